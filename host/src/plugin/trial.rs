//! Opens a library in a process of its own, so that whatever its code does there, crash or hang, ends with that process.
//! Shown by `host check --load`.
//!
//! The child is this program again. It admits the file by itself before it opens it, from its own private copy; so here,
//! too, nothing is opened that was not checked. Its verdict comes back over a socket that is its standard input: standard
//! output is anybody's, and a constructor may well print.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};

use super::claims::config_of;
use super::load::Library;
use super::stage::Staging;
use super::survey::judge_foreign;
use super::{Code, Refusal};
use crate::config::Config;

/// The hidden command that the child is started with.
pub const COMMAND: &str = "open";
/// How long a child may take beyond what the plugin's own code may: to start, and to copy and check the file.
const OVERHEAD: Duration = Duration::from_secs(60);
/// No verdict is longer; what lies behind is the plugin's.
const MAX_VERDICT: u64 = 1 << 20;

/// What is to be opened.
#[derive(Debug)]
pub struct Trial {
    /// The file.
    pub file: PathBuf,
    /// The digest of what was admitted.
    pub digest: String,
    /// The configuration file, if there is one.
    pub configuration: Option<PathBuf>,
    /// How long the plugin's own code may take.
    pub timeout: Duration,
}

impl Trial {
    /// Opens the library in a child process, checks its layout and has the plugin check its configuration.
    ///
    /// # Errors
    /// The load failure, or what else kept the library from being opened.
    pub fn run(&self) -> Result<(), Refusal> {
        let (verdict, child) = UnixStream::pair().map_err(no_process)?;
        let child = self.command(child).and_then(|mut command| command.spawn());
        let mut child = Running(child.map_err(no_process)?);
        let patience = self.timeout + OVERHEAD;
        verdict.set_read_timeout(Some(patience)).map_err(no_process)?;
        let mut text = Vec::new();
        let read = verdict.take(MAX_VERDICT).read_to_end(&mut text);
        match serde_json::from_slice::<Result<(), Refusal>>(&text) {
            // Made anew: the process that wrote it has run the plugin's code.
            Ok(verdict) => verdict.map_err(|r| Refusal::new(r.code, r.field, r.host, r.plugin, r.cure)),
            Err(_) if read.is_err() && matches!(child.0.try_wait(), Ok(None)) => Err(timeout(patience)),
            Err(_) => Err(crashed(child.end().map_err(no_process)?)),
        }
    }

    fn command(&self, verdict: UnixStream) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(COMMAND).arg("--digest").arg(&self.digest);
        if let Some(configuration) = &self.configuration {
            command.arg("--plugins").arg(configuration);
        }
        command.arg("--").arg(&self.file);
        command.stdin(Stdio::from(std::os::fd::OwnedFd::from(verdict)));
        // Results are ours alone to print.
        command.stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?));
        Ok(command)
    }
}

/// Ends the child, if it has not ended, and takes its exit status from the system.
struct Running(Child);

impl Running {
    /// How it ended: a process that is ending already keeps its status.
    fn end(&mut self) -> io::Result<ExitStatus> {
        self.0.kill()?;
        self.0.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// The child's part: opens `file`, tells the parent, and ends without a further step, as the plugin's code might not let
/// it end otherwise.
///
/// # Errors
/// When the parent can't be told.
pub fn open(file: &Path, digest: &str, config: &Config) -> io::Result<()> {
    let mut parent = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // A crash is told by its signal; nobody asked for a core file.
    let _ = setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    );
    let verdict = verdict(file, digest, config);
    parent.write_all(&serde_json::to_vec(&verdict)?)?;
    kill_process(getpid(), Signal::KILL)?;
    Ok(())
}

fn verdict(file: &Path, digest: &str, config: &Config) -> Result<(), Refusal> {
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
        Ok(admitted) if admitted.digest().to_string() == digest => admitted,
        Ok(admitted) => return Err(changed(digest, &admitted.digest().to_string())),
        Err(refused) => {
            let first = refused.refusals.first().cloned();
            return Err(first.unwrap_or_else(|| changed(digest, "another file")));
        }
    };
    let json = config_of(&admitted, config);
    let timeout = config.plugins.init_timeout;
    Library::open(admitted, timeout)?.check_config(json, timeout)
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

fn crashed(status: ExitStatus) -> Refusal {
    Refusal::new(
        Code::LoadCrash,
        "load",
        "a library whose start-up code returns",
        format!("the process that opened it ended: {status}"),
        "# keep it out of the plugin directory, where it would end the host; its start-up code (constructors, statics of \
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
