//! Opens a library in a process of its own, so that whatever its code does there, crash or hang, does not reach others.
//! Shown by `host check --load`.
//!
//! The child is this program again. It admits the file by itself before it opens it, from its own private copy; so here,
//! too, nothing is opened that was not checked. What it is to do and what it found go over a socket that is its standard
//! input: standard output is anybody's, and a constructor may well print.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getpid, kill_process, kill_process_group, setrlimit};
use serde::{Deserialize, Serialize};

use super::load::Library;
use super::stage::Staging;
use super::survey::judge_foreign;
use super::{Code, Refusal};
use crate::config::Config;
use crate::logging;

/// The hidden command that the child is started with.
pub const COMMAND: &str = "open";
/// How long a child may take beyond what the plugin's own code may: to start, and to copy and check the file.
const OVERHEAD: Duration = Duration::from_secs(60);
/// How often it is looked whether the child is still there.
const LOOK: Duration = Duration::from_millis(50);
/// No verdict is longer; what lies behind is the plugin's.
const MAX_VERDICT: usize = 1 << 20;

/// What is to be opened.
#[derive(Debug)]
pub struct Trial {
    /// The file.
    pub file: PathBuf,
    /// The configuration file, if there is one: for the policy and the staging directory.
    pub configuration: Option<PathBuf>,
    /// How long each step of the plugin's own code may take.
    pub timeout: Duration,
    /// What else the child is told.
    pub task: Task,
}

/// What the child is told over the socket: not by its arguments, which everybody may read.
#[derive(Debug, Serialize, Deserialize)]
pub struct Task {
    /// The digest of what was admitted.
    pub digest: String,
    /// The plugin's configuration (JSON), if it is to check one.
    pub config: Option<String>,
}

impl Trial {
    /// Opens the library in a child process, checks its layout and has the plugin check its configuration.
    ///
    /// # Errors
    /// The load failure, or what else kept the library from being opened.
    pub fn run(&self, staging: &Staging) -> Result<(), Refusal> {
        let (mut socket, child) = UnixStream::pair().map_err(no_process)?;
        let child = self.command(child).and_then(|mut command| command.spawn());
        let mut child = Running(child.map_err(no_process)?);
        // A child that is gone already has its end told below.
        let task = serde_json::to_string(&self.task).unwrap_or_default();
        let _ = writeln!(socket, "{task}");
        // The plugin's code runs twice at most: when it is opened, and when it checks its configuration.
        let patience = self.timeout * 2 + OVERHEAD;
        let verdict = read_verdict(&mut socket, &mut child, Instant::now() + patience).map_err(no_process)?;
        match verdict {
            // Made anew: the process that wrote it has run the plugin's code.
            Verdict::Told(Ok(())) => Ok(()),
            Verdict::Told(Err(r)) => Err(Refusal::new(r.code, r.field, r.host, r.plugin, r.cure)),
            no_verdict => {
                drop(child);
                staging.remove_leftovers();
                Err(match no_verdict {
                    Verdict::Ended(status) => crashed(&format!("the process that opened it ended: {status}")),
                    Verdict::Silent => timeout(patience),
                    _ => crashed("it disturbed the process that opened it, which could not tell what it found"),
                })
            }
        }
    }

    fn command(&self, socket: UnixStream) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(COMMAND);
        if let Some(configuration) = &self.configuration {
            command.arg("--plugins").arg(configuration);
        }
        command.arg("--").arg(&self.file);
        command.stdin(Stdio::from(OwnedFd::from(socket)));
        // Results are ours alone to print.
        command.stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?));
        // Its own group, so that what it forks ends with it.
        command.process_group(0);
        Ok(command)
    }
}

enum Verdict {
    Told(Result<(), Refusal>),
    /// It ended without one.
    Ended(ExitStatus),
    /// It goes on, and its time is up.
    Silent,
    /// It goes on, but what came is none, or the socket is closed.
    Garbled,
}

/// Reads one line. What the child has forked may hold the socket open, so its end is looked for as well.
fn read_verdict(socket: &mut UnixStream, child: &mut Running, deadline: Instant) -> io::Result<Verdict> {
    socket.set_read_timeout(Some(LOOK))?;
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        // In this order: what it wrote before it ended is read after its end is seen.
        let ended = child.0.try_wait()?;
        let is_closed = match socket.read(&mut buffer) {
            Ok(0) => true,
            Ok(length) => {
                text.extend_from_slice(&buffer[..length]);
                false
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => true,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                if let Some(status) = ended {
                    return Ok(Verdict::Ended(status));
                }
                false
            }
            Err(error) => return Err(error),
        };
        if let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            return Ok(serde_json::from_slice(&text[..end]).map_or(Verdict::Garbled, Verdict::Told));
        }
        if text.len() > MAX_VERDICT {
            return Ok(Verdict::Garbled);
        }
        if is_closed {
            // The kernel closes a process's files before it can be waited for.
            return Ok(child.ended_within(LOOK * 20)?.map_or(Verdict::Garbled, Verdict::Ended));
        }
        if Instant::now() >= deadline {
            return Ok(Verdict::Silent);
        }
    }
}

/// Ends the child and what it has forked, and takes its exit status from the system.
struct Running(Child);

impl Running {
    fn ended_within(&mut self, time: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + time;
        loop {
            match self.0.try_wait()? {
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                status => return Ok(status),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The child's part: opens `file`, tells the parent, and ends without a further step, as the plugin's code might not let
/// it end otherwise.
///
/// # Errors
/// When the parent can't be heard or told.
pub fn open(file: &Path, config: &Config) -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // A plugin that reads or writes its standard input does not meet the verdict there.
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    // A crash is told by its signal; nobody asked for a core file.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    let mut line = String::new();
    BufReader::new(&socket).read_line(&mut line)?;
    let verdict = verdict(file, &serde_json::from_str(&line)?, config);
    logging::flush(LOOK * 20); // before the parent hears of it and ends this process
    writeln!(&socket, "{}", serde_json::to_string(&verdict)?)?;
    kill_process(getpid(), Signal::KILL)?;
    Ok(())
}

fn verdict(file: &Path, task: &Task, config: &Config) -> Result<(), Refusal> {
    let staging = Staging::create(config.plugins.staging.as_deref()).map_err(|error| {
        let cure = "# make room there, or set plugins.staging";
        Refusal::new(
            Code::Staging,
            "private copy",
            "a staging directory",
            error.to_string(),
            cure,
        )
    })?;
    let admitted = match judge_foreign(file, &staging, &config.policy) {
        Ok(admitted) if admitted.digest().to_string() == task.digest => admitted,
        Ok(admitted) => return Err(changed(&task.digest, &admitted.digest().to_string())),
        Err(refused) => {
            let first = refused.refusals.first().cloned();
            return Err(first.unwrap_or_else(|| changed(&task.digest, "another file")));
        }
    };
    let timeout = config.plugins.init_timeout;
    let library = Library::open(admitted, timeout)?;
    match &task.config {
        Some(json) => library.check_config(json.clone(), timeout),
        None => Ok(()),
    }
}

fn changed(expected: &str, found: &str) -> Refusal {
    let cure = "# it was overwritten meanwhile: check it again";
    Refusal::new(
        Code::FileUnreadable,
        "content",
        format!("SHA-256 {expected}"),
        found,
        cure,
    )
}

fn crashed(found: &str) -> Refusal {
    Refusal::new(
        Code::LoadCrash,
        "load",
        "a library whose start-up code returns",
        found,
        "# keep it out of the plugin directory, where it would harm the host; its start-up code (constructors, statics of \
         native libraries that it links) is its author's to mend",
    )
}

fn timeout(patience: Duration) -> Refusal {
    let cure = "# keep it out of the plugin directory; its start-up code is its author's to mend";
    let expected = format!("an answer within {patience:?}");
    Refusal::new(Code::LoadTimeout, "load", expected, "no answer yet", cure)
}

fn no_process(error: io::Error) -> Refusal {
    let cure = "ulimit -u # is the limit on processes";
    Refusal::new(
        Code::LoadOpen,
        "load",
        "a process to open it in",
        error.to_string(),
        cure,
    )
}
