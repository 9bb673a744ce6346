//! Opens libraries in a process of its own first, so that whatever their code does there, crash or hang, does not reach the
//! host. Before anything is opened in a host that serves, and by `host check --load`.
//!
//! The child is this program again. It opens the private copies that its parent has admitted, one after another, and tells
//! what became of each. One that ends it is tried once more apart, for the fault may be an earlier one's; the others go on
//! in another child. What the child is to do and what it found go over a socket that is its standard input: standard output
//! is anybody's, and a constructor may well print.
//!
//! Where static TLS may be too short for what is tried out (`static_tls`), the child first opens what is open in the host and
//! has some, in the host's order: then it has what the host has left. Their start-up code runs once more for it, and what
//! comes of that is no newcomer's fault: if one of them does not open there, nothing is opened beforehand.

mod child;
mod end_watch;
mod process;
mod program;

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use plugin_record::{Code, Refusal};
use plugin_record::{Record, printable};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::call_with_deadline::timed_out;
use crate::admission::admit::Admitted;
use crate::admission::static_tls::{Room, StaticTls, is_known};
use crate::process::async_runtime::AsyncRuntime;
use crate::unavailable::{LoadError, Shortage, Unavailable};
pub use child::run as run_child;
pub use process::Output;
use process::{Heard, Process};
pub use program::NoProgram;

/// The hidden command that the child is started with.
pub const COMMAND: &str = "open";
/// How long a child may take to begin. A machine that takes longer is overloaded, which is no fault of a file.
const START: Duration = Duration::from_secs(60);
/// What a child may take beyond the time that it gives a library: it keeps to that time by itself, if it can.
const GRACE: Duration = Duration::from_secs(5);

/// What is to be opened.
#[derive(Clone, Debug)]
pub struct LoadCheck {
    /// The file, as it was admitted.
    pub admitted: Arc<Admitted>,
    /// Its path, for what is told to people.
    pub file: PathBuf,
    /// The plugin's configuration (JSON), if it is to check one.
    pub config: Option<String>,
}

/// What the child is told over the socket: not by its arguments, which everybody may read.
#[derive(Debug, Serialize, Deserialize)]
struct Work {
    /// Copies of what takes the static TLS that is taken in the host.
    before: Vec<PathBuf>,
    /// What is left of it there.
    room: Room,
    tasks: Vec<Task>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Task {
    copy: PathBuf,
    file: PathBuf,
    static_tls: Option<StaticTls>,
    /// Without the packages that nothing here looks at.
    record: Record,
    config: Option<String>,
    timeout: Duration,
}

/// What the child tells.
#[derive(Debug, Serialize, Deserialize)]
enum Message {
    /// It has its work.
    Ready,
    /// It begins with the task of this number.
    Opening(usize),
    /// What became of it.
    Verdict(usize, Result<(), LoadError>),
}

/// How a child ended.
enum End {
    /// All that it was given has its verdict, or it gave up after a verdict.
    Done,
    /// It did not come to its tasks: what it was to open before would not open.
    Unprepared,
    /// The task of this number broke it, in this way.
    Broken(usize, LoadError),
    /// Nothing can be said of what has no verdict.
    Failed(LoadError),
}

/// How children are started.
#[derive(Clone, Debug)]
pub struct LoadChecks {
    program: PathBuf,
    output: Output,
}

impl LoadChecks {
    /// In this program.
    ///
    /// # Errors
    /// When it is not known where that is.
    pub fn here(output: Output) -> Result<LoadChecks, NoProgram> {
        Ok(LoadChecks::in_program(program::own()?, output))
    }

    /// In another program that has the same command: for who holds a host as a library.
    pub fn in_program(program: PathBuf, output: Output) -> LoadChecks {
        LoadChecks { program, output }
    }

    /// Opens each library in a child process, checks its layout and has the plugin check its configuration; gives a verdict on
    /// each, in their order. Each may take `timeout`. `open` are the libraries that take static TLS here, in the order in which
    /// they were opened. When it is time to stop, those without a verdict are `Stopping`.
    pub fn run(
        &self,
        checks: &[LoadCheck],
        open: &[Arc<Admitted>],
        timeout: Duration,
        runtime: &AsyncRuntime,
    ) -> Vec<Result<(), LoadError>> {
        let mut verdicts: Vec<Option<Result<(), LoadError>>> = vec![None; checks.len()];
        let mut waiting: VecDeque<usize> = (0..checks.len()).collect();
        let run = |indices: &[usize], verdicts: &mut [Option<_>]| {
            let (room, before) = before(checks, indices, verdicts, open);
            let run = |before: Vec<PathBuf>, verdicts: &mut [Option<_>]| {
                let is_prepared = before.is_empty();
                let tasks = indices.iter().map(|number| task(&checks[*number], timeout)).collect();
                let work = Work { before, room, tasks };
                let run = async {
                    match Process::start(&self.program, &work, self.output).await {
                        Ok(process) => {
                            let listener = Listener::new(process, checks, indices, timeout, is_prepared);
                            listener.listen(verdicts).await
                        }
                        Err(error) => End::Failed(Unavailable::process(&self.program, &error).into()),
                    }
                };
                let end = runtime.wait(runtime.stop().run_until_cancelled(run));
                end.unwrap_or(End::Failed(LoadError::Stopping))
            };
            match run(before, verdicts) {
                End::Unprepared => {
                    tracing::info!(
                        "what takes static TLS here can't be opened in the child as well: tried out without it"
                    );
                    run(Vec::new(), verdicts)
                }
                end => end,
            }
        };
        while !waiting.is_empty() {
            let indices: Vec<usize> = waiting.iter().copied().collect();
            let end = match run(&indices, &mut verdicts) {
                End::Broken(number, _) if indices[0] != number => run(&[number], &mut verdicts),
                end => end,
            };
            match end {
                End::Done | End::Unprepared => {}
                End::Broken(number, error) => verdicts[number] = Some(Err(error)),
                End::Failed(error) => {
                    let missing = verdicts.iter_mut().filter(|verdict| verdict.is_none());
                    missing.for_each(|verdict| *verdict = Some(Err(error.clone())));
                }
            }
            waiting.retain(|number| verdicts[*number].is_none());
        }
        verdicts.into_iter().flatten().collect()
    }
}

/// What static TLS the host has left for these checks, and what a child opens first so that it has no more: nothing where
/// there is enough. What was tried well already will be open in the host by then.
fn before(
    checks: &[LoadCheck],
    indices: &[usize],
    verdicts: &[Option<Result<(), LoadError>>],
    open: &[Arc<Admitted>],
) -> (Room, Vec<PathBuf>) {
    let tried = checks.iter().zip(verdicts);
    let good = tried.filter(|(_, verdict)| matches!(verdict, Some(Ok(()))));
    let good = good.map(|(trial, _)| &trial.admitted);
    let held: Vec<&Arc<Admitted>> = open
        .iter()
        .chain(good)
        .filter(|held| held.static_tls().is_some())
        .collect();
    let room = Room::at_start().after(held.iter().filter_map(|held| held.static_tls()));
    let needs = indices
        .iter()
        .filter_map(|number| checks[*number].admitted.static_tls());
    let copies = held.iter().map(|held| held.staged().path.clone());
    match room.is_enough_for(needs) {
        true => (room, Vec::new()),
        false => (room, copies.collect()),
    }
}

fn task(trial: &LoadCheck, timeout: Duration) -> Task {
    let mut record = Record::clone(trial.admitted.record());
    record
        .packages
        .retain(|package| package.name == "plugin-api" || is_known(&package.name));
    Task {
        copy: trial.admitted.staged().path.clone(),
        file: trial.file.clone(),
        static_tls: trial.admitted.static_tls(),
        record,
        config: trial.config.clone(),
        timeout,
    }
}

/// Listens to one child.
struct Listener<'a> {
    process: Process,
    checks: &'a [LoadCheck],
    /// Which of them are its tasks.
    indices: &'a [usize],
    timeout: Duration,
    /// It has its work.
    is_ready: bool,
    /// It has nothing to open before its tasks, or has done that.
    is_prepared: bool,
    /// The task that it is at.
    current: Option<usize>,
    /// A library has taken static TLS there that will take none in the host.
    is_spoiled: bool,
}

impl<'a> Listener<'a> {
    fn new(
        process: Process,
        checks: &'a [LoadCheck],
        indices: &'a [usize],
        timeout: Duration,
        is_prepared: bool,
    ) -> Listener<'a> {
        Listener {
            process,
            checks,
            indices,
            timeout,
            is_ready: false,
            is_prepared,
            current: None,
            is_spoiled: false,
        }
    }

    /// Writes the verdicts on its tasks. At least one has a verdict, or the end says why not.
    async fn listen(mut self, verdicts: &mut [Option<Result<(), LoadError>>]) -> End {
        let mut missing = self.indices.len();
        let mut deadline = Instant::now() + START;
        while missing > 0 {
            let heard = match self.process.hear(deadline).await {
                Ok(heard) => heard,
                Err(error) => {
                    let found = format!("the process to open it in can't be waited for: {error}");
                    return End::Failed(Unavailable::new(Shortage::Process, "load", found).into());
                }
            };
            let broken = match heard {
                // Once: what comes later is a plugin's.
                Heard::Message(Message::Ready) if !self.is_ready => {
                    self.is_ready = true;
                    if !self.is_prepared {
                        deadline = Instant::now() + self.timeout + GRACE;
                    }
                    continue;
                }
                Heard::Message(Message::Opening(at)) if self.current.is_none() && at < self.indices.len() => {
                    self.current = Some(at);
                    self.is_prepared = true;
                    deadline = Instant::now() + self.timeout + GRACE;
                    continue;
                }
                Heard::Message(Message::Verdict(at, verdict)) if self.current == Some(at) => {
                    self.current = None;
                    missing -= 1;
                    self.note(self.indices[at], made_anew(verdict), verdicts);
                    continue;
                }
                _ if !self.is_prepared => return End::Unprepared,
                Heard::Ended(_) if self.current.is_none() && missing < self.indices.len() => return End::Done,
                Heard::Ended(Some(status)) => ended(status),
                Heard::Ended(None) => taken(),
                Heard::Silent => LoadError::Refused(timed_out("load", self.timeout)),
                Heard::Message(_) | Heard::Garbled => {
                    crashed("it disturbed the process that opened it, which could not tell what it found")
                }
            };
            return match self.current {
                Some(at) => End::Broken(self.indices[at], broken),
                None => End::Failed(not_begun(broken)),
            };
        }
        End::Done
    }

    /// A lack of static TLS behind a library that was refused after it had taken some may be that one's doing: it is tried in
    /// another child.
    fn note(&mut self, number: usize, verdict: Result<(), LoadError>, verdicts: &mut [Option<Result<(), LoadError>>]) {
        let found_none = matches!(&verdict, Err(LoadError::Refused(refusal)) if refusal.code == Code::StaticTls);
        if found_none && self.is_spoiled {
            return;
        }
        let takes_some = self.checks[number].admitted.static_tls().is_some();
        self.is_spoiled |= verdict.is_err() && !found_none && takes_some;
        verdicts[number] = Some(verdict);
    }
}

/// A child that ended before it came to anything. None of that is a file's fault.
fn not_begun(how: LoadError) -> LoadError {
    match how {
        LoadError::Refused(refusal) => {
            let found = format!("the process to open it in did not begin: {}", refusal.plugin);
            Unavailable::new(Shortage::Process, "load", found).into()
        }
        other => other,
    }
}

/// The process that wrote it has run the plugin's code.
fn made_anew(verdict: Result<(), LoadError>) -> Result<(), LoadError> {
    verdict.map_err(|error| match error {
        LoadError::Refused(r) => Refusal::new(r.code, r.field, r.host, r.plugin, r.cure).into(),
        LoadError::Unavailable(lack) => Unavailable {
            cure: printable(lack.cure),
            ..Unavailable::new(lack.code, &printable(lack.field), lack.found)
        }
        .into(),
        LoadError::Stopping => LoadError::Stopping,
    })
}

/// How it ended is known to a plugin's code in the host at most.
fn taken() -> LoadError {
    let found = "the process that opened it ended, and other code of the host's process has taken its status";
    let cure = "# a plugin that serves ignores SIGCHLD or waits for any child (waitpid of -1): its author should wait for its own \
                children only; without that plugin a restarted host can tell what this one's fault is";
    Unavailable {
        cure: cure.to_owned(),
        ..Unavailable::new(Shortage::Process, "load", found)
    }
    .into()
}

fn ended(status: ExitStatus) -> LoadError {
    if status.signal() == Some(Signal::KILL.as_raw()) {
        let found = "the process that opened it was killed (SIGKILL), as the system does when memory runs out";
        return Unavailable::new(Shortage::Memory, "load", found).into();
    }
    crashed(&format!("the process that opened it ended: {status}"))
}

fn crashed(found: &str) -> LoadError {
    let cure = "# its start-up code (constructors, statics of native libraries that it links) is its author's to mend; if that \
                takes something that only one process can have, as a port or a lock file, it belongs into init";
    let expected = "a library whose start-up code returns";
    Refusal::new(Code::LoadCrash, "load", expected, found, cure).into()
}
