//! Opens libraries in a process of its own first, so that whatever their code does there, crash or hang, does not reach the
//! host. Before anything is opened in a host that serves, and by `host check --load`.
//!
//! The child is this program again. It opens the private copies that its parent has admitted, one after another, and tells
//! what became of each. One that ends it is tried once more apart, for the fault may be an earlier one's; the others go on
//! in another child. What the child is to do and what it found go over a socket that is its standard input: standard output
//! is anybody's, and a constructor may well print.

mod child;
mod process;

use std::collections::VecDeque;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plugin_record::Record;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::admit::Admitted;
use super::deadline::timed_out;
use super::unavailable::{Lack, LoadError, Unavailable};
use super::{Code, Refusal};
use crate::shutdown::Stop;
pub use child::run as run_child;
pub use process::Output;
use process::{Heard, Process};

/// The hidden command that the child is started with.
pub const COMMAND: &str = "open";
/// How long a child may take to begin. A machine that takes longer is overloaded, which is no fault of a file.
const START: Duration = Duration::from_secs(60);
/// What a child may take beyond the time that it gives a library: it keeps to that time by itself, if it can.
const GRACE: Duration = Duration::from_secs(5);

/// What is to be opened.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The file, as it was admitted.
    pub admitted: Arc<Admitted>,
    /// The plugin's configuration (JSON), if it is to check one.
    pub config: Option<String>,
}

/// What the child is told over the socket: not by its arguments, which everybody may read.
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    copy: PathBuf,
    /// Without the packages that opening does not look at.
    record: Record,
    config: Option<String>,
    timeout: Duration,
}

/// What the child tells.
#[derive(Debug, Serialize, Deserialize)]
enum Message {
    /// It has its tasks.
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
    /// The task of this number broke it, in this way.
    Broken(usize, LoadError),
    /// Nothing can be said of what has no verdict.
    Failed(LoadError),
}

/// How children are started.
#[derive(Clone, Debug)]
pub struct Trials {
    program: PathBuf,
    output: Output,
}

impl Trials {
    /// In this program.
    ///
    /// # Errors
    /// When it is not known where that is.
    pub fn here(output: Output) -> io::Result<Trials> {
        Ok(Trials::in_program(process::own_program()?, output))
    }

    /// In another program that has the same command: for who holds a host as a library.
    pub fn in_program(program: PathBuf, output: Output) -> Trials {
        Trials { program, output }
    }

    /// Opens each library in a child process, checks its layout and has the plugin check its configuration; gives a verdict on
    /// each, in their order. Each may take `timeout`.
    pub fn run(&self, trials: &[Trial], timeout: Duration, stop: &Stop) -> Vec<Result<(), LoadError>> {
        let mut verdicts: Vec<Option<Result<(), LoadError>>> = vec![None; trials.len()];
        let mut waiting: VecDeque<usize> = (0..trials.len()).collect();
        let run = |numbers: &[usize], verdicts: &mut [Option<_>]| {
            let tasks: Vec<Task> = numbers.iter().map(|number| task(&trials[*number], timeout)).collect();
            match Process::start(&self.program, &tasks, self.output) {
                Ok(process) => listen(process, numbers, verdicts, timeout, stop),
                Err(error) => End::Failed(Unavailable::process("load", &error).into()),
            }
        };
        while !waiting.is_empty() {
            let numbers: Vec<usize> = waiting.iter().copied().collect();
            let end = match run(&numbers, &mut verdicts) {
                End::Broken(number, _) if numbers[0] != number => run(&[number], &mut verdicts),
                end => end,
            };
            match end {
                End::Done => {}
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

fn task(trial: &Trial, timeout: Duration) -> Task {
    let mut record = Record::clone(trial.admitted.record());
    record.packages.retain(|package| package.name == "plugin-api");
    Task {
        copy: trial.admitted.staged().path.clone(),
        record,
        config: trial.config.clone(),
        timeout,
    }
}

/// Listens to one child; writes its verdicts on its tasks. At least one has a verdict, or the end says why not.
fn listen(
    mut process: Process,
    numbers: &[usize],
    verdicts: &mut [Option<Result<(), LoadError>>],
    timeout: Duration,
    stop: &Stop,
) -> End {
    let mut is_ready = false;
    let mut missing = numbers.len();
    let mut current = None;
    let mut deadline = Instant::now() + START;
    while missing > 0 {
        let heard = match process.hear(deadline, stop) {
            Ok(heard) => heard,
            Err(error) => return End::Failed(Unavailable::process("load", &error).into()),
        };
        let broken = match heard {
            Heard::Stop => return End::Failed(LoadError::Stopping),
            Heard::Message(Message::Ready) if !is_ready => {
                is_ready = true; // once: what comes later is a plugin's
                continue;
            }
            Heard::Message(Message::Opening(at)) if current.is_none() && at < numbers.len() => {
                current = Some(at);
                deadline = Instant::now() + timeout + GRACE;
                continue;
            }
            Heard::Message(Message::Verdict(at, verdict)) if current == Some(at) => {
                verdicts[numbers[at]] = Some(made_anew(verdict));
                missing -= 1;
                current = None;
                continue;
            }
            Heard::Ended(_) if current.is_none() && missing < numbers.len() => return End::Done,
            Heard::Ended(status) => ended(status),
            Heard::Silent => LoadError::Refused(timed_out("load", timeout)),
            Heard::Message(_) | Heard::Garbled => {
                crashed("it disturbed the process that opened it, which could not tell what it found")
            }
        };
        return match current {
            Some(at) => End::Broken(numbers[at], broken),
            None => {
                End::Failed(Unavailable::new(Lack::Process, "load", "the process to open it in did not begin").into())
            }
        };
    }
    End::Done
}

/// The process that wrote it has run the plugin's code.
fn made_anew(verdict: Result<(), LoadError>) -> Result<(), LoadError> {
    verdict.map_err(|error| match error {
        LoadError::Refused(r) => Refusal::new(r.code, r.field, r.host, r.plugin, r.cure).into(),
        LoadError::Unavailable(lack) => Unavailable::new(lack.code, "library", lack.found).into(),
        LoadError::Stopping => LoadError::Stopping,
    })
}

fn ended(status: ExitStatus) -> LoadError {
    if status.signal() == Some(Signal::KILL.as_raw()) {
        let found = "the process that opened it was killed (SIGKILL), as the system does when memory runs out";
        return Unavailable::new(Lack::Memory, "load", found).into();
    }
    crashed(&format!("the process that opened it ended: {status}"))
}

fn crashed(found: &str) -> LoadError {
    let cure = "# its start-up code (constructors, statics of native libraries that it links) is its author's to mend; if that \
                takes something that only one process can have, as a port or a lock file, it belongs into init";
    let expected = "a library whose start-up code returns";
    Refusal::new(Code::LoadCrash, "load", expected, found, cure).into()
}
