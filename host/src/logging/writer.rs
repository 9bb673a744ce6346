//! The thread that writes the log, and the only one that waits for its reader. Each round it says what there is to say of the
//! log itself (lines that were lost or left out, panics), then takes all lines and writes them. What can't be written is
//! lost and never ends anything: the disk may be full, the reader gone.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tracing::warn;

use super::capture;
use super::line;
use super::queue::Queue;
use super::rate_limit;
use super::store::Lost;

/// How often it looks for limits whose time is up.
const TICK: Duration = Duration::from_secs(1);
/// A pause before what doesn't block is tried again when it took nothing: poll may say that it is ready, and be wrong.
const PAUSE: Duration = Duration::from_millis(1);
/// The largest buffer that is kept when there is little to write.
const KEPT: usize = 64 << 10;

/// Writes what comes into the queue, for good. `own` is a descriptor that no other code has: should a plugin close standard
/// error, the next connection has that number.
pub(super) fn run(queue: &Queue, own: Option<OwnedFd>) {
    line::is_writer();
    line::warm_up();
    let mut lines = Lines::default();
    let mut buffer = Vec::new();
    let mut lost = Lost::default();
    let mut next_tick = Instant::now() + TICK;
    loop {
        let round = queue.wait(TICK);
        round.panics.iter().for_each(|panic| panic.log());
        let now = Instant::now();
        if round.is_flush || now >= next_tick {
            rate_limit::report_all(now, round.is_flush);
            next_tick = now + TICK;
        }
        lost.lines += round.lost.lines;
        lost.of_plugins += round.lost.of_plugins;
        // Not while nothing can be written: the line that says so would be lost as well.
        if lost.lines > 0 && lines.are_written {
            let Lost { lines, of_plugins } = std::mem::take(&mut lost);
            warn!(
                lines,
                of_plugins, "log lines lost: not read in time, or not to be written"
            );
        }
        queue.take(&mut buffer);
        let write = |bytes: &[u8]| match own.as_ref().map(|own| write(own, bytes)) {
            // That would be read as what somebody printed, and come back here.
            None | Some(Err(Errno::BADF)) if capture::is_captured() => Err(Errno::BADF),
            None | Some(Err(Errno::BADF)) => write(io::stderr().as_fd(), bytes),
            Some(outcome) => outcome,
        };
        lost.lines += lines.write(&buffer, write, |bytes| queue.wrote(bytes));
        buffer.clear();
        if buffer.capacity() > KEPT {
            buffer = Vec::new();
        }
        queue.done(&round);
    }
}

/// Writes some of the bytes; waits where the other end takes none for now.
fn write(to: impl AsFd, bytes: &[u8]) -> rustix::io::Result<usize> {
    loop {
        match rustix::io::write(&to, bytes) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&to, PollFlags::OUT)], None); // writing tells what is wrong
                thread::sleep(PAUSE); // not to spin where the poll says ready and is wrong
            }
            Ok(0) => return Err(Errno::IO),
            outcome => return outcome,
        }
    }
}

/// Keeps lines whole where writing fails in between.
struct Lines {
    /// Whether the last attempt succeeded.
    are_written: bool,
    /// Whether what was written last is a line without its end.
    is_open: bool,
}

impl Default for Lines {
    fn default() -> Lines {
        Lines {
            are_written: true,
            is_open: false,
        }
    }
}

impl Lines {
    /// Writes lines; tells `done` of bytes that are written or given up, and gives how many lines were lost.
    fn write(
        &mut self,
        mut rest: &[u8],
        mut write: impl FnMut(&[u8]) -> rustix::io::Result<usize>,
        mut done: impl FnMut(usize),
    ) -> u64 {
        let mut lost = 0;
        let mut at_start = true;
        while !rest.is_empty() {
            let outcome = match at_start && self.is_open {
                true => write(b"\n").map(|_| 0),
                false => write(rest),
            };
            self.are_written = outcome.is_ok();
            let length = match outcome {
                Ok(0) => {
                    self.is_open = false;
                    continue;
                }
                Ok(length) => {
                    self.is_open = !rest[..length].ends_with(b"\n");
                    at_start = !self.is_open;
                    length
                }
                Err(_) => {
                    lost += 1;
                    at_start = true;
                    let end = rest.iter().position(|byte| *byte == b'\n');
                    end.map_or(rest.len(), |end| end + 1)
                }
            };
            done(length);
            rest = &rest[length..];
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"first\nsecond\nthird\n";

    /// Writes three lines where each attempt may write so many bytes, or fails; the last one holds for all further ones.
    fn written(attempts: &[rustix::io::Result<usize>]) -> (String, u64) {
        let mut written = Vec::new();
        let last = attempts[attempts.len() - 1];
        let mut attempts = attempts.iter().copied().chain(std::iter::repeat(last));
        let mut done = 0;
        let write = |bytes: &[u8]| {
            let length = attempts.next().unwrap_or(last)?.min(bytes.len());
            written.extend_from_slice(&bytes[..length]);
            Ok(length)
        };
        let lost = Lines::default().write(TEXT, write, |bytes| done += bytes);
        assert_eq!(done, TEXT.len());
        (String::from_utf8(written).expect("text"), lost)
    }

    #[test]
    fn short_writes_go_on() {
        for attempts in [&[Ok(1)][..], &[Ok(7), Ok(100)], &[Ok(6), Ok(1), Ok(100)]] {
            assert_eq!(written(attempts), ("first\nsecond\nthird\n".to_owned(), 0));
        }
    }

    #[test]
    fn what_fails_loses_its_line_and_the_next_one_stands_by_itself() {
        let full = Err(Errno::NOSPC);
        for (attempts, text, lost) in [
            (&[Err(Errno::PIPE)][..], "", 3),
            (&[full, Ok(100)], "second\nthird\n", 1),
            (&[Ok(2), full, Ok(100)], "fi\nsecond\nthird\n", 1),
            (&[Ok(2), full, full, Ok(100)], "fi\nthird\n", 2),
            (&[Ok(13), full], "first\nsecond\n", 1),
        ] {
            assert_eq!(written(attempts), (text.to_owned(), lost), "{attempts:?}");
        }
    }
}
