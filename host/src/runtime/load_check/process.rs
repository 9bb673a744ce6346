//! The child as its parent sees it: started, told its work, listened to, and ended with all that it has forked.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::{COMMAND, Message, START, Work};
use crate::process::stop::Stop;

/// How often it is looked whether the child is still there.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// No message is longer; what lies behind is the plugin's.
const MAX_MESSAGE: usize = 1 << 20;

/// Where goes what plugins print.
#[derive(Clone, Copy, Debug)]
pub enum Output {
    /// Nowhere: they will print it again in the host.
    Null,
    /// To standard error; results are ours alone to print.
    Shown,
}

/// A child process. Ended, with what it has forked, when dropped.
pub(super) struct Process {
    child: Child,
    socket: UnixStream,
    text: Vec<u8>,
    /// Its number may be another process's by now.
    is_reaped: bool,
}

/// What is heard of it.
pub(super) enum Heard {
    Message(Message),
    /// It ended.
    Ended(ExitStatus),
    /// It goes on, and its time is up.
    Silent,
    /// It goes on, but what came is no message, or the socket is closed.
    Garbled,
    /// It is time to stop.
    Stop,
}

impl Process {
    pub(super) fn start(program: &Path, work: &Work, output: Output) -> io::Result<Process> {
        let (socket, theirs) = UnixStream::pair()?;
        let mut command = Command::new(program);
        command.arg(COMMAND).stdin(Stdio::from(OwnedFd::from(theirs)));
        match output {
            Output::Null => command.stdout(Stdio::null()).stderr(Stdio::null()),
            Output::Shown => command.stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?)),
        };
        // Its own group, so that what it forks ends with it.
        command.process_group(0);
        let child = command.spawn()?;
        drop(command); // and with it our copy of the child's end
        let mut process = Process {
            child,
            socket,
            text: Vec::new(),
            is_reaped: false,
        };
        let mut line = serde_json::to_vec(work)?;
        line.push(b'\n');
        process.socket.set_write_timeout(Some(START))?;
        match process.socket.write_all(&line) {
            // A child that is gone already has its end told by `hear`.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
        process.socket.set_read_timeout(Some(CHECK_INTERVAL))?;
        Ok(process)
    }

    /// Waits for its next message. What it has forked may hold the socket open, so its end is looked for as well.
    pub(super) fn hear(&mut self, deadline: Instant, stop: &Stop) -> io::Result<Heard> {
        let mut buffer = [0; 4096];
        loop {
            if stop.is_set() {
                return Ok(Heard::Stop);
            }
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                return Ok(serde_json::from_slice(&line).map_or(Heard::Garbled, Heard::Message));
            }
            if self.text.len() > MAX_MESSAGE {
                return Ok(Heard::Garbled);
            }
            // In this order: what it wrote before it ended is read after its end is seen.
            let has_ended = self.has_ended()?;
            let is_closed = match self.socket.read(&mut buffer) {
                Ok(0) => true,
                Ok(length) => {
                    self.text.extend_from_slice(&buffer[..length]);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => false,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if has_ended {
                return self.reap().map(Heard::Ended);
            }
            if is_closed {
                // The kernel closes a process's files before it can be waited for.
                return match self.ends_within(CHECK_INTERVAL * 20)? {
                    true => self.reap().map(Heard::Ended),
                    false => Ok(Heard::Garbled),
                };
            }
            if Instant::now() >= deadline {
                return Ok(Heard::Silent);
            }
        }
    }

    /// Whether it has ended. Its number stays its own until it is reaped.
    fn has_ended(&self) -> io::Result<bool> {
        let Some(pid) = self.pid() else { return Ok(true) };
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(pid), look)?.is_some())
    }

    fn ends_within(&self, time: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + time;
        loop {
            match self.has_ended()? {
                false if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                has_ended => return Ok(has_ended),
            }
        }
    }

    /// Ends what it has forked, and it too, and takes its status. The group is ended first, while its number is certainly
    /// still this one.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        if let Some(group) = self.pid().filter(|_| !self.is_reaped) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let status = self.child.wait();
        self.is_reaped = true;
        status
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.reap();
    }
}
