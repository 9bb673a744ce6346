//! Lines on their way to standard error: bounded, and never waited for. A line that has no room is dropped and counted.
//! Plugins' lines may take half of the room, so that no plugin can crowd out what the host has to say.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::panics::Panic;

/// The most bytes that wait, or are being written.
const ROOM: usize = 4 << 20;
/// The most of them that are plugins' lines.
const ROOM_OF_PLUGINS: usize = ROOM / 2;
/// The most panics that wait to be told.
const PANICS: usize = 16;
/// How many times its patience a flush takes at most.
const FLUSH: u32 = 10;

/// Whose line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Host,
    Plugin,
    /// The thread that writes; its few lines always have room.
    Writer,
}

/// Lines that nobody will read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// All of them.
    pub(super) lines: u64,
    /// Those of them that were plugins'.
    pub(super) of_plugins: u64,
}

pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something to do for the writer.
    work: Condvar,
    /// Something was written, or a flush is over.
    progress: Condvar,
}

#[derive(Debug)]
struct State {
    is_open: bool,
    lines: Vec<u8>,
    waiting: Amount,
    /// Taken by the writer, and not written yet.
    in_hand: Amount,
    lost: Lost,
    panics: Vec<Panic>,
    /// Bytes since the start; only compared.
    written: u64,
    /// Flushes that were asked for, and those that are over.
    asked: u64,
    served: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Amount {
    bytes: usize,
    of_plugins: usize,
}

/// What the writer has to do beside writing.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Somebody waits for everything to be written.
    pub(super) is_flush: bool,
    pub(super) lost: Lost,
    pub(super) panics: Vec<Panic>,
    asked: u64,
}

impl State {
    fn has_room(&self, origin: Origin, length: usize) -> bool {
        let bytes = self.waiting.bytes + self.in_hand.bytes + length;
        let of_plugins = self.waiting.of_plugins + self.in_hand.of_plugins + length;
        match origin {
            Origin::Writer => true,
            Origin::Host => bytes <= ROOM,
            Origin::Plugin => bytes <= ROOM && of_plugins <= ROOM_OF_PLUGINS,
        }
    }

    fn is_idle(&self) -> bool {
        self.lines.is_empty() && self.panics.is_empty() && self.asked == self.served
    }
}

impl Queue {
    pub(super) const fn new() -> Queue {
        let nothing = Amount {
            bytes: 0,
            of_plugins: 0,
        };
        let state = State {
            is_open: false,
            lines: Vec::new(),
            in_hand: nothing,
            waiting: nothing,
            lost: Lost {
                lines: 0,
                of_plugins: 0,
            },
            panics: Vec::new(),
            written: 0,
            asked: 0,
            served: 0,
        };
        Queue {
            state: Mutex::new(state),
            work: Condvar::new(),
            progress: Condvar::new(),
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
        let of_plugins = if origin == Origin::Plugin { line.len() } else { 0 };
        if !state.has_room(origin, line.len()) {
            state.lost.lines += 1;
            state.lost.of_plugins += u64::from(origin == Origin::Plugin);
            return true;
        }
        let was_idle = state.lines.is_empty();
        state.lines.extend_from_slice(line);
        state.waiting.bytes += line.len();
        state.waiting.of_plugins += of_plugins;
        drop(state);
        if was_idle {
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
        if state.panics.len() < PANICS {
            state.panics.push(panic);
        } else {
            state.lost.lines += 1;
        }
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// The writer's: waits for something to do, no longer than `patience`.
    pub(super) fn wait(&self, patience: Duration) -> Round {
        let waited = self
            .work
            .wait_timeout_while(self.lock(), patience, |state| state.is_idle());
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        Round {
            is_flush: state.asked != state.served,
            lost: std::mem::take(&mut state.lost),
            panics: std::mem::take(&mut state.panics),
            asked: state.asked,
        }
    }

    /// The writer's: takes all lines, for an empty `buffer`.
    pub(super) fn take(&self, buffer: &mut Vec<u8>) {
        let mut state = self.lock();
        std::mem::swap(&mut state.lines, buffer);
        state.in_hand = std::mem::take(&mut state.waiting);
    }

    /// The writer's: so many bytes of what it took are done with.
    pub(super) fn wrote(&self, bytes: usize) {
        let mut state = self.lock();
        let left = state.in_hand.bytes.saturating_sub(bytes);
        state.in_hand.bytes = left;
        // Whose bytes they were is not known, only that the rest can't be more than is left.
        state.in_hand.of_plugins = state.in_hand.of_plugins.min(left);
        state.written += bytes as u64;
        drop(state);
        self.progress.notify_all();
    }

    /// The writer's: all that this round was about is written.
    pub(super) fn done(&self, round: &Round) {
        self.lock().served = round.asked;
        self.progress.notify_all();
    }

    /// See [`flush`](super::flush).
    pub(super) fn flush(&self, patience: Duration) {
        let mut state = self.lock();
        if !state.is_open {
            return;
        }
        let since = Instant::now();
        state.asked += 1;
        let mine = state.asked;
        self.work.notify_one();
        while state.served < mine && since.elapsed() < patience * FLUSH {
            let before = state.written;
            let stands = |state: &mut State| state.served < mine && state.written == before;
            let waited = self.progress.wait_timeout_while(state, patience, stands);
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

    const PATIENCE: Duration = Duration::from_secs(10);

    fn open() -> Queue {
        let queue = Queue::new();
        queue.open();
        queue
    }

    fn line(length: usize) -> Vec<u8> {
        vec![b'x'; length]
    }

    #[test]
    fn without_a_writer_it_takes_nothing_and_nobody_waits() {
        let queue = Queue::new();
        assert!(!queue.push(Origin::Host, b"line\n"));
        queue.flush(PATIENCE);
    }

    #[test]
    fn plugins_leave_half_of_the_room_and_what_has_none_is_counted() {
        let queue = open();
        for _ in 0..3 {
            assert!(queue.push(Origin::Plugin, &line(ROOM_OF_PLUGINS / 2)));
        }
        for _ in 0..3 {
            assert!(queue.push(Origin::Host, &line(ROOM / 4)));
        }
        let lost = |lines, of_plugins| Lost { lines, of_plugins };
        assert_eq!(queue.wait(PATIENCE).lost, lost(2, 1));
        let mut taken = Vec::new();
        queue.take(&mut taken);
        assert_eq!(taken.len(), ROOM);
        // What is being written still counts, as far as it is not yet written.
        queue.push(Origin::Host, b"1");
        queue.wrote(ROOM / 2);
        queue.push(Origin::Plugin, b"2");
        queue.push(Origin::Host, b"3");
        queue.wrote(ROOM / 2);
        queue.push(Origin::Plugin, b"4");
        assert_eq!(queue.wait(PATIENCE).lost, lost(2, 1));
        taken.clear();
        queue.take(&mut taken);
        assert_eq!(taken, b"34");
    }

    #[test]
    fn the_writers_own_lines_always_have_room() {
        let queue = open();
        queue.push(Origin::Host, &line(ROOM));
        queue.push(Origin::Writer, b"lost");
        let round = queue.wait(PATIENCE);
        assert_eq!(round.lost, Lost::default());
        let mut taken = Vec::new();
        queue.take(&mut taken);
        assert!(taken.ends_with(b"lost"));
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
                    let round = queue.wait(PATIENCE);
                    queue.take(&mut taken);
                    queue.wrote(taken.len());
                    queue.done(&round);
                    if round.asked == 2 {
                        break;
                    }
                }
            });
            queue.flush(PATIENCE);
        });
        assert!(!queue.wait(Duration::ZERO).is_flush);
    }
}
