//! What foreign code in this process prints, as lines of the log: in the JSON format only, where a line that is no JSON would
//! disturb who reads it. Standard error, and where plugins run standard output as well, become pipes. One thread reads them
//! and never waits for the log, so that who prints waits no longer than that thread takes. In the text format both stay what
//! they were: nothing that a dying process says can get lost there.
//!
//! What is printed is bounded and limited as plugins' events are, but RUST_LOG filters none of it: the last words of a process
//! are no less worth for being printed, and in the text format nothing filters them either. A line that is not ended counts as
//! one when nothing more came for a second, when the log is flushed, or when the process aborts.

use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio, ioctl_fionread};
use tracing::Level;

use super::LEFT_OUT;
use super::cut::{LONGEST, rest};
use super::json::{self, Object};
use super::line;
use super::rate_limit::{Counted, register};
use super::repeats::{Repeated, Repeats};
use crate::process::descriptors::end_if_gone;

/// How long a line may wait for its end.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How often it is looked whether it need not wait any longer; an abort waits for some of these.
const TICK: Duration = Duration::from_millis(50);
/// As much as a pipe holds.
const BUFFER: usize = 64 << 10;
/// How many times that is taken at the end while somebody goes on printing.
const PASSES: u32 = 16;

static OUTPUT: OnceLock<Output> = OnceLock::new();
static REPEATS: OnceLock<Arc<RepeatLimits>> = OnceLock::new();
/// Standard error is a pipe to here.
static IS_CAPTURED: AtomicBool = AtomicBool::new(false);
/// Something was taken out of a pipe, or may have been, and is not in the log's queue yet.
static IS_BUSY: AtomicBool = AtomicBool::new(false);
/// A line waits for its end. As true as it was when `IS_BUSY` was left last.
static HAS_PARTIAL: AtomicBool = AtomicBool::new(false);
/// The process aborts: no line will get its end.
static IS_ENDING: AtomicBool = AtomicBool::new(false);

struct Output {
    pipes: Vec<(Name, PipeReader)>,
    state: Mutex<State>,
}

struct State {
    buffer: Box<[u8]>,
    /// For each pipe.
    lines: Vec<Lines>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Stdout,
    Stderr,
}

#[derive(Default)]
struct RepeatLimits {
    repeats: Mutex<Repeats>,
}

/// Makes pipes of the standard streams. The log's writer must have a standard error of its own by then.
///
/// # Errors
/// When there is no pipe or no thread to be had; then all is as before.
pub(super) fn capture(with_stdout: bool) -> io::Result<()> {
    let stderr = std::io::pipe()?;
    let stdout = with_stdout.then(std::io::pipe).transpose()?;
    let mut pipes = Vec::new();
    let mut writers: Vec<(Name, PipeWriter)> = Vec::new();
    let streams = [(Name::Stdout, stdout), (Name::Stderr, Some(stderr))];
    for (name, pipe) in streams {
        if let Some((reader, writer)) = pipe {
            ioctl_fionbio(&reader, true)?; // the reader alone: who prints waits for room, as ever
            pipes.push((name, reader));
            writers.push((name, writer));
        }
    }
    let lines = pipes.iter().map(|_| Lines::default()).collect();
    let state = Mutex::new(State {
        buffer: vec![0; BUFFER].into(),
        lines,
    });
    register(Arc::clone(REPEATS.get_or_init(Arc::default)) as Arc<dyn Counted>);
    let output = OUTPUT.get_or_init(|| Output { pipes, state });
    crate::process::exit::critical("output", || output.run())?;
    for (name, writer) in writers {
        match name {
            Name::Stdout => rustix::stdio::dup2_stdout(writer)?,
            Name::Stderr => rustix::stdio::dup2_stderr(writer)?,
        }
    }
    IS_CAPTURED.store(true, Ordering::SeqCst);
    Ok(())
}

/// Whether what is written to standard error comes back here.
pub(super) fn is_captured() -> bool {
    IS_CAPTURED.load(Ordering::SeqCst)
}

/// Puts all that was printed by now into the log's queue, lines without an end as well.
pub(super) fn drain() {
    let Some(output) = OUTPUT.get() else { return };
    // A pipe that is gone has nothing more.
    let mut passes = 0;
    while !is_read() && passes < PASSES && output.take(false).is_ok() {
        passes += 1;
    }
    let _ = output.take(true);
}

/// What was printed by now is a line, whether it has an end or not. For a signal handler, as is [`is_drained`].
pub(super) fn end_lines() {
    IS_ENDING.store(true, Ordering::SeqCst);
}

/// Whether everything printed is in the log's queue. For a signal handler: takes no lock and allocates nothing.
pub(super) fn is_drained() -> bool {
    is_read() && !HAS_PARTIAL.load(Ordering::SeqCst) // in this order: it is set before what is read ceases to be busy
}

/// Whether everything printed is in the log's queue, or the beginning of a line.
fn is_read() -> bool {
    let pipes = OUTPUT.get().map_or(&[][..], |output| &output.pipes);
    // In this order: what is taken out of a pipe is announced before.
    pipes
        .iter()
        .all(|(_, pipe)| ioctl_fionread(pipe).is_ok_and(|bytes| bytes == 0))
        && !IS_BUSY.load(Ordering::SeqCst)
}

impl Output {
    fn run(&self) {
        let mut is_open = true;
        while is_open {
            self.wait();
            is_open = match self.take(false) {
                Ok(is_open) => is_open,
                Err(error) => {
                    end_if_gone(&error);
                    false
                }
            };
        }
    }

    /// Waits for something to read; not for long while a line waits for its end.
    fn wait(&self) {
        let (open, is_partial): (Vec<bool>, bool) = {
            let state = self.lock();
            let is_partial = state.lines.iter().any(|lines| !lines.is_empty());
            (state.lines.iter().map(|lines| !lines.is_over).collect(), is_partial)
        };
        let pipes = self.pipes.iter().zip(open).filter(|(_, is_open)| *is_open);
        let mut polled: Vec<PollFd<'_>> = pipes.map(|((_, pipe), _)| PollFd::new(pipe, PollFlags::IN)).collect();
        let timeout = Timespec::try_from(TICK).ok().filter(|_| is_partial);
        let _ = poll(&mut polled, timeout.as_ref()); // reading tells what is wrong
    }

    /// Reads what is there, as much as the pipes hold. Tells whether there can be more.
    fn take(&self, is_end: bool) -> io::Result<bool> {
        // Asked before reading: what was printed before an abort began is then read to its end, and no line of it is cut in two.
        let is_end = is_end || IS_ENDING.load(Ordering::SeqCst);
        let mut state = self.lock();
        let State { buffer, lines } = &mut *state;
        IS_BUSY.store(true, Ordering::SeqCst);
        let mut outcome = Ok(());
        for ((name, pipe), lines) in self.pipes.iter().zip(lines.iter_mut()) {
            let mut write = |text: &str| write_line(*name, text);
            if !lines.is_over {
                match read(pipe, buffer) {
                    Ok(Some(0)) => lines.is_over = true,
                    Ok(Some(length)) => lines.add(&buffer[..length], Instant::now(), &mut write),
                    Ok(None) => {}
                    Err(error) => {
                        lines.is_over = true;
                        outcome = Err(error);
                    }
                }
            }
            if is_end || lines.is_over || lines.is_late(Instant::now()) {
                lines.end(&mut write);
            }
        }
        let has_partial = lines.iter().any(|lines| !lines.is_empty());
        HAS_PARTIAL.store(has_partial, Ordering::SeqCst);
        IS_BUSY.store(false, Ordering::SeqCst);
        outcome.map(|()| lines.iter().any(|lines| !lines.is_over))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing where there is nothing for now.
fn read(mut pipe: &PipeReader, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match pipe.read(buffer) {
            Ok(length) => return Ok(Some(length)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// One line. Errors of programs go to standard error, what they have to say to standard output.
fn write_line(name: Name, text: &str) {
    let is_admitted = REPEATS.get().is_none_or(|limits| {
        limits
            .lock()
            .admits(name as usize, text, || text.to_owned(), Instant::now())
    });
    if is_admitted {
        push(name, |line| line.add("message", &text));
    }
}

/// Hands a line on, past the filter.
fn push(name: Name, fill: impl FnOnce(&mut Object<'_>)) {
    let (level, stream) = match name {
        Name::Stdout => (Level::INFO, "stdout"),
        Name::Stderr => (Level::WARN, "stderr"),
    };
    let line = json::line(level, line::PRINTED, |line| {
        fill(line);
        line.add("stream", &stream);
    });
    super::push(line::origin(line::PRINTED), line.as_bytes());
}

impl RepeatLimits {
    fn lock(&self) -> MutexGuard<'_, Repeats> {
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted for RepeatLimits {
    fn report(&self, now: Instant, at_once: bool) {
        let owed = self.lock().owed(now, at_once);
        for Repeated { kind, text, lines } in owed {
            let name = match kind == Name::Stdout as usize {
                true => Name::Stdout,
                false => Name::Stderr,
            };
            push(name, |line| {
                line.add("message", &LEFT_OUT);
                line.add("lines", &lines);
                line.add("like", &text);
            });
        }
    }
}

/// Turns bytes into lines.
#[derive(Debug, Default)]
struct Lines {
    /// The beginning of a line.
    line: Vec<u8>,
    /// How many more bytes it has.
    more: usize,
    /// When the last of them came.
    since: Option<Instant>,
    /// Nothing more will come.
    is_over: bool,
}

impl Lines {
    fn add(&mut self, bytes: &[u8], now: Instant, write: &mut impl FnMut(&str)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_whole) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            let kept = text.len().min(LONGEST - self.line.len());
            self.line.extend_from_slice(&text[..kept]);
            self.more += text.len() - kept;
            self.since = Some(now);
            if is_whole {
                self.end(write);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    fn is_late(&self, now: Instant) -> bool {
        self.since
            .is_some_and(|since| now.saturating_duration_since(since) >= TIMEOUT)
    }

    /// What there is is a line. An empty one says nothing.
    fn end(&mut self, write: &mut impl FnMut(&str)) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        let mut text = String::from_utf8_lossy(line);
        if self.more > 0 {
            text.to_mut().push_str(&rest(self.more));
        }
        if !text.is_empty() {
            write(&text);
        }
        self.line.clear();
        self.more = 0;
        self.since = None;
    }
}

/// A standard error for the log's writer alone.
///
/// # Errors
/// When there is no descriptor to be had.
pub(super) fn own_stderr() -> rustix::io::Result<OwnedFd> {
    // Out of the way of code that closes the lower numbers.
    let stderr = io::stderr();
    let far = rustix::io::fcntl_dupfd_cloexec(&stderr, FAR);
    far.or_else(|_: Errno| rustix::io::fcntl_dupfd_cloexec(&stderr, 3))
}

/// Within the usual soft limit of 1024.
const FAR: i32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(parts: &[&[u8]]) -> Vec<String> {
        let mut told = Vec::new();
        let mut write = |text: &str| told.push(text.to_owned());
        let mut lines = Lines::default();
        for part in parts {
            lines.add(part, Instant::now(), &mut write);
        }
        lines.end(&mut write);
        told
    }

    #[test]
    fn bytes_become_lines_whatever_they_are() {
        for (parts, told) in [
            (&[&b"one\ntwo\r\n\nthree"[..]][..], &["one", "two", "three"][..]),
            (&[b"o", b"ne", b"\nt", b"wo\n"], &["one", "two"]),
            (&[b"\xff\0\x1b[2J\n"], &["\u{fffd}\0\u{1b}[2J"]),
            (&[b"", b"\n\n"], &[]),
        ] {
            assert_eq!(lines(parts), told);
        }
    }

    #[test]
    fn a_long_line_is_cut_and_costs_no_more_memory() {
        let long = vec![b'x'; LONGEST - 1];
        assert_eq!(
            lines(&[&long, b"y\nnext"]),
            [format!("{}y", "x".repeat(LONGEST - 1)), "next".to_owned()]
        );
        let told = lines(&[&long, &long, &long, b"\nnext\n"]);
        let more = 2 * LONGEST - 3;
        assert_eq!(
            told,
            [
                format!("{}... ({more} bytes more)", "x".repeat(LONGEST)),
                "next".to_owned()
            ]
        );
        let mut lines = Lines::default();
        (0..100).for_each(|_| lines.add(&long, Instant::now(), &mut |_| {}));
        assert!(lines.line.capacity() <= 2 * LONGEST);
    }

    #[test]
    fn a_line_without_an_end_is_late_after_a_while() {
        let (mut lines, now) = (Lines::default(), Instant::now());
        lines.add(b"prompt> ", now, &mut |_| {});
        assert!(!lines.is_late(now) && lines.is_late(now + TIMEOUT));
        lines.end(&mut |text| assert_eq!(text, "prompt> "));
        assert!(!lines.is_late(now + TIMEOUT));
    }
}
