//! The child as its parent sees it: started, told its work, listened to, and ended with all that it has forked. Waits on the
//! control plane's runtime: for its words and its end, whichever comes first.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::end_watch::EndWatch;
use super::{COMMAND, Message, START, Work};

/// How long after its socket was closed its end may take. The kernel closes a process's files before it can be waited for.
const CLOSED: Duration = Duration::from_secs(1);
/// No message is longer; what lies behind is the plugin's.
const MAX_MESSAGE: usize = 1 << 20;
/// How much is read at once.
const PART: usize = 4096;

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
    pid: Pid,
    end: EndWatch,
    socket: UnixStream,
    text: Vec<u8>,
    /// It has ended, and all that it wrote is in `text`.
    has_ended: bool,
    /// Its status was taken: its number may be another process's by now.
    is_reaped: bool,
}

/// What is heard of it.
pub(super) enum Heard {
    Message(Message),
    /// It ended. No status where other code of this process has taken it: a plugin's in the host, that waits for any child or
    /// has the system reap them.
    Ended(Option<ExitStatus>),
    /// It goes on, and its time is up.
    Silent,
    /// It goes on, but what came is no message, or the socket is closed.
    Garbled,
}

impl Process {
    /// Starts it and gives it its work. On a runtime.
    pub(super) async fn start(program: &Path, work: &Work, output: Output) -> io::Result<Process> {
        let (socket, theirs) = std::os::unix::net::UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        let socket = UnixStream::from_std(socket)?;
        let mut command = Command::new(program);
        command.arg(COMMAND).stdin(Stdio::from(OwnedFd::from(theirs)));
        match output {
            Output::Null => command.stdout(Stdio::null()).stderr(Stdio::null()),
            Output::Shown => command.stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?)),
        };
        // Its own group, so that what it forks ends with it.
        command.process_group(0);
        let mut child = command.spawn()?;
        drop(command); // and with it our copy of the child's end
        let pid = Pid::from_child(&child);
        let end = match EndWatch::of(pid) {
            Ok(end) => end,
            Err(error) => {
                let _ = child.kill(); // it has forked nothing yet
                let _ = child.wait();
                return Err(error);
            }
        };
        let mut process = Process {
            child,
            pid,
            end,
            socket,
            text: Vec::new(),
            has_ended: false,
            is_reaped: false,
        };
        let mut line = serde_json::to_vec(work)?;
        line.push(b'\n');
        match timeout(START, process.socket.write_all(&line)).await? {
            // A child that is gone already has its end told by `hear`.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
            _ => Ok(process),
        }
    }

    /// Waits for its next message. What it has forked may hold the socket open, so its end is waited for as well.
    pub(super) async fn hear(&mut self, deadline: Instant) -> io::Result<Heard> {
        timeout_at(deadline, self.next()).await.unwrap_or(Ok(Heard::Silent))
    }

    async fn next(&mut self) -> io::Result<Heard> {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                return Ok(serde_json::from_slice(&line).map_or(Heard::Garbled, Heard::Message));
            }
            if self.text.len() > MAX_MESSAGE {
                return Ok(Heard::Garbled);
            }
            if self.has_ended {
                return self.ended();
            }
            self.text.reserve(PART);
            let read = tokio::select! {
                biased;
                read = self.socket.read_buf(&mut self.text) => read,
                () = self.end.ended() => {
                    self.read_rest()?;
                    self.has_ended = true;
                    continue;
                }
            };
            let is_closed = match read {
                Ok(length) => length == 0,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
                Err(error) => return Err(error),
            };
            if is_closed {
                return match timeout(CLOSED, self.end.ended()).await {
                    Ok(()) => self.ended(),
                    Err(_) => Ok(Heard::Garbled),
                };
            }
        }
    }

    /// What it wrote before its end was seen. Asked of the system: the runtime may not have heard of it yet.
    fn read_rest(&mut self) -> io::Result<()> {
        let mut buffer = [0; PART];
        while self.text.len() <= MAX_MESSAGE {
            match recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) | Err(Errno::AGAIN | Errno::CONNRESET) => break,
                Ok((length, _)) => self.text.extend_from_slice(&buffer[..length]),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn ended(&mut self) -> io::Result<Heard> {
        match self.reap() {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::CHILD) => Ok(Heard::Ended(None)),
            status => status.map(|status| Heard::Ended(Some(status))),
        }
    }

    /// Ends what it has forked, and it too, and takes its status. The group is ended first, while its number is certainly
    /// still this one.
    ///
    /// # Errors
    /// `CHILD` where it was reaped already.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        if std::mem::replace(&mut self.is_reaped, true) {
            return Err(Errno::CHILD.into());
        }
        self.end.has_ended()?;
        let _ = kill_process_group(self.pid, Signal::KILL);
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.reap();
    }
}
