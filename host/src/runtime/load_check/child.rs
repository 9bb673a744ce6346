//! The child's part: opens what it is told to, tells the parent of each, and ends without a further step, as a plugin's code
//! might not let it end otherwise.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use nix::sys::signal::SigSet;
use plugin_record::Code;
use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};

use super::{Message, Task, Work};
use crate::admission::static_tls::Room;
use crate::process::async_runtime::AsyncRuntime;
use crate::runtime::call_with_deadline::within;
use crate::runtime::library::{Opened, hold};
use crate::runtime::linker_errors::Subject;
use crate::unavailable::{LoadError, Unavailable};

/// Runs the child to its end.
///
/// # Errors
/// When the parent can't be heard or told.
pub fn run() -> io::Result<()> {
    // A library that hangs must not outlive the host that asked.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // A host holds signals back, and its children inherit that: here they are what they are to any other process.
    let _ = SigSet::all().thread_unblock();
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
    let work: Work = serde_json::from_str(&line)?;
    let tell = |message: &Message| writeln!(&socket, "{}", serde_json::to_string(message)?);
    // Without descriptors, which a library may close. Before any is opened: it may hold the dynamic linker for good.
    let runtime = AsyncRuntime::with_timers_only();
    tell(&Message::Ready)?;
    if !work.before.iter().all(|copy| hold(copy).is_ok()) {
        kill_process(getpid(), Signal::KILL)?; // which tells it
    }
    let mut room = work.room;
    for (number, task) in work.tasks.into_iter().enumerate() {
        tell(&Message::Opening(number))?;
        let static_tls = task.static_tls;
        let verdict = match &runtime {
            Ok(runtime) => open(task, room, runtime),
            Err(error) => Err(Unavailable::thread("load", error).into()),
        };
        if verdict.is_ok() {
            room = room.after(static_tls);
        }
        // It holds the dynamic linker's lock: nothing else can be opened here.
        let is_stuck = matches!(&verdict, Err(LoadError::Refused(refusal)) if refusal.code == Code::LoadTimeout);
        tell(&Message::Verdict(number, verdict))?;
        if is_stuck {
            break;
        }
    }
    // Told apart from an end by a lack of memory by its verdicts: all are there.
    kill_process(getpid(), Signal::KILL)?;
    Ok(())
}

fn open(task: Task, room: Room, runtime: &AsyncRuntime) -> Result<(), LoadError> {
    let open = move || {
        let opened = Opened::open(Subject {
            copy: &task.copy,
            file: &task.file,
            record: &task.record,
            static_tls: task.static_tls,
            room,
        })?;
        match &task.config {
            Some(config) => opened.check_config(&task.record.name, config),
            None => Ok(()),
        }
    };
    within(task.timeout, runtime, "load", open, drop)
}
