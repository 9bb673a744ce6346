//! Where threads meet over the log: those that have lines, which never wait; the one that writes them; and who waits for them
//! to be written, for as long as they are. The lock is held for a copy or a swap, never while anything is written.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::panic_hook::Panic;
use super::store::{Lost, Origin, Store};

/// The most panics that wait to be told.
const PANICS: usize = 16;
/// How many times its timeout a flush takes at most.
const FLUSH: u32 = 10;

pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something to do for the writer.
    work: Condvar,
    /// Something was written, or a flush is over.
    progress: Condvar,
    /// All that came is written. For who can take no lock; as true as the state was when it was left last.
    is_written: AtomicBool,
}

struct State {
    is_open: bool,
    store: Store,
    panics: Vec<Panic>,
    /// Bytes since the start; only compared.
    written: u64,
    /// Flushes that were asked for, and those that are over.
    asked: u64,
    served: u64,
}

impl State {
    fn is_idle(&self) -> bool {
        self.store.is_empty() && self.panics.is_empty() && self.asked == self.served
    }
}

/// What the writer has to do beside writing.
pub(super) struct Round {
    /// Somebody waits for everything to be written.
    pub(super) is_flush: bool,
    pub(super) lost: Lost,
    pub(super) panics: Vec<Panic>,
    asked: u64,
}

impl Queue {
    pub(super) const fn new() -> Queue {
        let state = State {
            is_open: false,
            store: Store::new(),
            panics: Vec::new(),
            written: 0,
            asked: 0,
            served: 0,
        };
        Queue {
            state: Mutex::new(state),
            work: Condvar::new(),
            progress: Condvar::new(),
            is_written: AtomicBool::new(true),
        }
    }

    /// There is a writer.
    pub(super) fn open(&self) {
        self.lock().is_open = true;
    }

    /// Takes a line, or counts it as lost; false when there is no writer to take it.
    pub(super) fn push(&self, origin: Origin, line: &[u8]) -> bool {
        let mut state = self.lock();
        if !state.is_open {
            return false;
        }
        let was_empty = state.store.is_empty();
        self.is_written.store(false, Ordering::SeqCst);
        state.store.push(origin, line);
        drop(state);
        if was_empty {
            self.work.notify_one();
        }
        true
    }

    /// Takes a panic, for the writer to make a line of, or counts it as lost; gives it back when there is no writer.
    pub(super) fn push_panic(&self, panic: Panic) -> Result<(), Panic> {
        let mut state = self.lock();
        if !state.is_open {
            return Err(panic);
        }
        self.is_written.store(false, Ordering::SeqCst);
        if state.panics.len() < PANICS {
            state.panics.push(panic);
        } else {
            state.store.lose(Origin::Host);
        }
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// The writer's: waits for something to do, no longer than `timeout`.
    pub(super) fn wait(&self, timeout: Duration) -> Round {
        let waited = self
            .work
            .wait_timeout_while(self.lock(), timeout, |state| state.is_idle());
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        Round {
            is_flush: state.asked != state.served,
            lost: state.store.take_lost(),
            panics: std::mem::take(&mut state.panics),
            asked: state.asked,
        }
    }

    /// The writer's: takes all lines, for an empty `buffer`.
    pub(super) fn take(&self, buffer: &mut Vec<u8>) {
        self.lock().store.take(buffer);
    }

    /// The writer's: so many bytes of what it took are done with.
    pub(super) fn wrote(&self, bytes: usize) {
        let mut state = self.lock();
        state.store.wrote(bytes);
        state.written += bytes as u64;
        drop(state);
        self.progress.notify_all();
    }

    /// The writer's: all that this round was about is written.
    pub(super) fn done(&self, round: &Round) {
        let mut state = self.lock();
        state.served = round.asked;
        let is_written = state.store.is_empty() && state.panics.is_empty();
        self.is_written.store(is_written, Ordering::SeqCst);
        drop(state);
        self.progress.notify_all();
    }

    /// Whether all that came is written, or given up. For a signal handler.
    pub(super) fn is_written(&self) -> bool {
        self.is_written.load(Ordering::SeqCst)
    }

    /// See [`flush`](super::flush).
    pub(super) fn flush(&self, timeout: Duration) {
        let mut state = self.lock();
        if !state.is_open {
            return;
        }
        let since = Instant::now();
        state.asked += 1;
        let mine = state.asked;
        self.work.notify_one();
        while state.served < mine && since.elapsed() < timeout * FLUSH {
            let before = state.written;
            let stands = |state: &mut State| state.served < mine && state.written == before;
            let waited = self.progress.wait_timeout_while(state, timeout, stands);
            let (now, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() {
                return;
            }
            state = now;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn open() -> Queue {
        let queue = Queue::new();
        queue.open();
        queue
    }

    #[test]
    fn without_a_writer_it_takes_nothing_and_nobody_waits() {
        let queue = Queue::new();
        assert!(!queue.push(Origin::Host, b"line\n"));
        queue.flush(TIMEOUT);
    }

    #[test]
    fn a_flush_ends_when_its_round_is_over_or_nothing_is_written_any_more() {
        let queue = open();
        queue.push(Origin::Host, b"line\n");
        queue.flush(Duration::from_millis(1)); // nobody writes
        std::thread::scope(|scope| {
            scope.spawn(|| {
                loop {
                    let mut taken = Vec::new();
                    let round = queue.wait(TIMEOUT);
                    queue.take(&mut taken);
                    queue.wrote(taken.len());
                    queue.done(&round);
                    if round.asked == 2 {
                        break;
                    }
                }
            });
            queue.flush(TIMEOUT);
        });
        assert!(!queue.wait(Duration::ZERO).is_flush);
    }
}
