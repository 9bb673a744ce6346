//! The threads that drive the event loops, and the clock that watches them. A handler that blocks holds its thread; the clock
//! notices within two ticks and has a spare thread drive its loop on. While some are held it looks more often, for where one
//! handler blocks others mostly do as well. The thread that was held becomes a spare when it is free.
//!
//! There is always a spare thread that was started before it is needed: while the start-up code of a library hangs, the
//! dynamic linker lets no thread begin.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

use super::event_loop::{Context, EventLoop};
use crate::connection::{Scratch, TICK};

/// How many threads handlers may hold at once, beyond those that drive loops. When all are held, the connections of further
/// loops that block wait.
const MOST_HELD: usize = 256;
/// How often the clock looks while handlers hold threads.
const CLOSE_LOOK: Duration = Duration::from_millis(5);
/// How often the log hears of handlers that block while they do.
const REMINDER: Duration = Duration::from_secs(10);

pub(super) struct Crew {
    context: Arc<Context>,
    loops: Vec<Arc<EventLoop>>,
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Default)]
struct Work {
    /// Loops that nobody drives.
    loops: VecDeque<Arc<EventLoop>>,
    /// Threads that wait for one.
    spare: usize,
    /// Threads that handlers hold: another one drives their loop.
    held: usize,
}

impl Crew {
    /// Starts driving these loops.
    ///
    /// # Errors
    /// When there are no threads.
    pub(super) fn start(loops: Vec<Arc<EventLoop>>, context: Arc<Context>) -> io::Result<Arc<Crew>> {
        let crew = Arc::new(Crew {
            context,
            work: Mutex::new(Work {
                loops: loops.iter().cloned().collect(),
                ..Work::default()
            }),
            loops,
            changed: Condvar::new(),
        });
        for _ in 0..=crew.loops.len() {
            crew.add_thread()?;
        }
        let clock = Arc::clone(&crew);
        std::thread::Builder::new()
            .name("clock".to_owned())
            .spawn(move || clock.keep_time())?;
        Ok(crew)
    }

    pub(super) fn loops(&self) -> &[Arc<EventLoop>] {
        &self.loops
    }

    fn add_thread(self: &Arc<Crew>) -> io::Result<()> {
        let crew = Arc::clone(self);
        let thread = std::thread::Builder::new().name("worker".to_owned());
        thread.spawn(move || crew.work()).map(drop)
    }

    /// What a thread does: one loop after another, as they need somebody.
    fn work(&self) {
        self.context.shared.warm_up();
        let mut scratch = Scratch::default();
        loop {
            let mut work = self.lock();
            if work.spare > 0 && work.loops.is_empty() {
                return; // one spare is enough
            }
            work.spare += 1;
            let nothing = |work: &mut Work| work.loops.is_empty();
            let waited = self.changed.wait_while(work, nothing);
            let mut work = waited.unwrap_or_else(PoisonError::into_inner);
            work.spare -= 1;
            let Some(next) = work.loops.pop_front() else { continue };
            drop(work);
            if next.drive(&mut scratch) {
                self.lock().held -= 1;
            }
        }
    }

    /// Counts ticks, has loops sweep, and relieves those that a handler holds. Never ends.
    fn keep_time(self: Arc<Crew>) {
        let start = Instant::now();
        let mut seen: Vec<Option<u64>> = vec![None; self.loops.len()];
        let mut logged: Option<Instant> = None;
        loop {
            let is_quiet = self.lock().held == 0;
            std::thread::sleep(if is_quiet { TICK } else { CLOSE_LOOK });
            let ticks = start.elapsed().as_nanos() / TICK.as_nanos();
            let now = u32::try_from(ticks).unwrap_or(u32::MAX);
            self.context.now.store(now, Ordering::Relaxed);
            for (event_loop, seen) in self.loops.iter().zip(&mut seen) {
                event_loop.sweep(now);
                let turn = event_loop.current_turn();
                let is_held = turn.is_some() && turn == *seen;
                *seen = turn;
                let Some(turn) = turn.filter(|_| is_held) else { continue };
                let Some(held) = self.relieve(event_loop, turn) else {
                    continue;
                };
                if logged.is_none_or(|logged| logged.elapsed() >= REMINDER) {
                    logged = Some(Instant::now());
                    warn!(threads = held, "handlers block, other threads serve in their place");
                }
            }
        }
    }

    /// Has a spare thread drive a loop on whose driver does not come back from a turn; gives how many are held then.
    fn relieve(self: &Arc<Crew>, event_loop: &Arc<EventLoop>, turn: u64) -> Option<usize> {
        let mut work = self.lock();
        if work.spare <= work.loops.len() {
            // None to spare. That may be for a thread that could not be started when it was time.
            let may_grow = work.held < MOST_HELD && work.loops.is_empty();
            drop(work);
            if may_grow {
                let _ = self.add_thread();
            }
            return None;
        }
        if !event_loop.end_turn(turn) {
            return None;
        }
        work.held += 1;
        work.loops.push_back(Arc::clone(event_loop));
        let held = work.held;
        drop(work);
        self.changed.notify_one();
        if held < MOST_HELD {
            // Fails when the system has no more threads; then the next loop that is held waits for one.
            let _ = self.add_thread();
        }
        Some(held)
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
