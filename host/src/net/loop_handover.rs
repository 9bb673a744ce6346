//! Decides which worker thread drives a loop, and passes loops from one to another. A loop is with one thread, or in the queue, or
//! its thread is inside a turn; then another thread may end the turn's hold and put the loop into the queue, for a spare worker
//! to drive on. Which thread ends a turn is decided by one compare-and-swap, so a loop is never lost and never with two. Knows
//! nothing of sockets, plugins or time.
//!
//! There is a reserve of spare threads, started before they are needed: while the start-up code of a library runs, the
//! dynamic linker may let no thread begin. The thread that starts further ones waits here, too; to ask for them takes no time.

use std::collections::VecDeque;
use std::time::Duration;

use super::sync::{AtomicU64, Condvar, Mutex, MutexGuard, Ordering, PoisonError};

/// How long a thread beyond the reserve waits for work before it ends.
const SURPLUS_WAITS: Duration = Duration::from_secs(1);
/// How many reports may wait to be read.
const MOST_REPORTS: usize = 64;

/// The turns of one loop: which is under way, and who ends it.
pub(super) struct Turns {
    /// Even between turns, odd during one; it only grows.
    number: AtomicU64,
}

impl Turns {
    pub(super) fn new() -> Turns {
        Turns {
            number: AtomicU64::new(0),
        }
    }

    /// Begins one. By the loop's driver alone.
    pub(super) fn begin(&self) -> u64 {
        let turn = self.number.load(Ordering::Relaxed) + 1; // between turns no other thread writes it
        self.number.store(turn, Ordering::Release);
        turn
    }

    /// The turn that is under way, if one is.
    pub(super) fn current(&self) -> Option<u64> {
        let turn = self.number.load(Ordering::Acquire);
        (turn % 2 == 1).then_some(turn)
    }

    /// Ends the turn's hold on the loop; whether it was still there. The thread that ends it has the loop.
    pub(super) fn end(&self, turn: u64) -> bool {
        let ended = self
            .number
            .compare_exchange(turn, turn + 1, Ordering::AcqRel, Ordering::Relaxed);
        ended.is_ok()
    }
}

/// How many threads there may be.
#[derive(Clone, Copy)]
pub(super) struct ThreadLimits {
    /// Spare ones that are kept ready.
    pub(super) reserve: usize,
    /// Those that are inside turns while others drive their loops.
    pub(super) most_held: usize,
}

/// Loops that need a driver, and threads that can be one.
pub(super) struct Relay<L, R> {
    work: Mutex<Work<L, R>>,
    limits: ThreadLimits,
    /// For spare threads.
    loops_came: Condvar,
    /// For the thread that starts threads.
    relieved: Condvar,
}

struct Work<L, R> {
    /// Loops without a driver.
    loops: VecDeque<L>,
    /// Threads that were started and have not come yet.
    starting: usize,
    /// Threads that wait for a loop.
    spare: usize,
    /// Threads inside a turn whose loop was given to another one.
    held: usize,
    /// What is to be logged of threads that were relieved, and how many were held then.
    reports: Vec<(R, usize)>,
    /// Whether there may be threads to start.
    is_changed: bool,
}

/// What a thread was before it waits for a loop.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Was {
    /// Not here yet.
    Starting,
    /// A loop's driver, to the loop's end.
    Driving,
    /// Inside a turn while another thread had its loop.
    Held,
}

impl<L, R> Relay<L, R> {
    /// With loops that have no driver yet, and so many threads on their way.
    pub(super) fn new(loops: impl IntoIterator<Item = L>, starting: usize, limits: ThreadLimits) -> Relay<L, R> {
        let work = Work {
            loops: loops.into_iter().collect(),
            starting,
            spare: 0,
            held: 0,
            reports: Vec::new(),
            is_changed: true,
        };
        Relay {
            work: Mutex::new(work),
            limits,
            loops_came: Condvar::new(),
            relieved: Condvar::new(),
        }
    }

    /// How many threads are held.
    pub(super) fn held(&self) -> usize {
        self.lock().held
    }

    /// Waits for a loop without a driver. None: there are more threads than needed, and this one may end.
    pub(super) fn next(&self, was: Was) -> Option<L> {
        let mut work = self.lock();
        match was {
            Was::Starting => work.starting -= 1,
            Was::Driving => {}
            Was::Held => work.held -= 1,
        }
        work.spare += 1;
        loop {
            if let Some(next) = work.loops.pop_front() {
                work.spare -= 1;
                return Some(next);
            }
            if work.spare <= self.limits.reserve {
                work = self.loops_came.wait(work).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = self.loops_came.wait_timeout(work, SURPLUS_WAITS);
            let (locked, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            work = locked;
            if timeout.timed_out() && work.loops.is_empty() && work.spare > self.limits.reserve {
                work.spare -= 1;
                return None;
            }
        }
    }

    /// Has a spare thread drive a loop on whose driver is inside this turn; whether one does. `report` goes to the thread
    /// that starts threads. Not when no thread is to spare, or the turn is over by now.
    pub(super) fn relieve(&self, own: L, turns: &Turns, turn: u64, report: Option<R>) -> bool {
        let mut work = self.lock();
        let can = work.spare > work.loops.len() && work.held < self.limits.most_held;
        if !can || !turns.end(turn) {
            return false;
        }
        work.held += 1;
        work.loops.push_back(own);
        work.is_changed = true;
        work.report(report);
        drop(work);
        self.loops_came.notify_one();
        self.relieved.notify_one();
        true
    }

    /// Has something logged.
    pub(super) fn report(&self, report: R) {
        let mut work = self.lock();
        work.report(Some(report));
        work.is_changed = true;
        drop(work);
        self.relieved.notify_one();
    }

    /// For the thread that starts threads: waits until some may be missing; how many are, which count as started, and what was
    /// reported.
    pub(super) fn missing(&self) -> (usize, Vec<(R, usize)>) {
        let mut work = self.lock();
        while !work.is_changed {
            work = self.relieved.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
        work.is_changed = false;
        let may_be_held = self.limits.most_held - work.held;
        let wanted = self.limits.reserve.min(may_be_held) + work.loops.len();
        let missing = wanted.saturating_sub(work.spare + work.starting);
        work.starting += missing;
        (missing, std::mem::take(&mut work.reports))
    }

    /// So many could not be started.
    pub(super) fn not_started(&self, count: usize) {
        let mut work = self.lock();
        work.starting -= count;
        work.is_changed = true;
    }

    fn lock(&self) -> MutexGuard<'_, Work<L, R>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L, R> Work<L, R> {
    fn report(&mut self, report: Option<R>) {
        if self.reports.len() < MOST_REPORTS {
            self.reports.extend(report.map(|report| (report, self.held)));
        }
    }
}
