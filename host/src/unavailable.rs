//! Decides which failures are the machine's and not a file's: shortages of room, descriptors, memory, threads, processes.
//! They are never a verdict on a file: none is remembered, and each is tried again, with a back-off.

use std::io;
use std::path::Path;
use std::time::Duration;

use plugin_record::{Refusal, printable};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::shell::quoted;

/// One thing that could not be done, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unavailable {
    /// What is lacking; stable across versions.
    pub code: Shortage,
    /// What it was wanted for, e.g. `private copy`.
    pub field: String,
    /// What the system said.
    pub found: String,
    /// What mends it, as a line for a shell, as a refusal's.
    pub cure: String,
}

/// What is lacking. The text of each never changes; `host/docs/refusals.md` explains them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shortage {
    /// Room where private copies are made, or the place itself.
    Staging,
    /// File descriptors.
    Descriptors,
    /// Memory.
    Memory,
    /// A thread.
    Thread,
    /// A process to open a library in.
    Process,
    /// The dynamic linker: another library's start-up code holds it.
    Linker,
    /// The end of the plugin's last handler of this kind, which is being shut down.
    Shutdown,
    /// The right, or the room, to make or move a link.
    Link,
    /// An answer of the device or the file system.
    Device,
}

impl Shortage {
    /// Every one, in the order of the enum.
    pub const ALL: [Shortage; 9] = [
        Shortage::Staging,
        Shortage::Descriptors,
        Shortage::Memory,
        Shortage::Thread,
        Shortage::Process,
        Shortage::Linker,
        Shortage::Shutdown,
        Shortage::Link,
        Shortage::Device,
    ];

    /// As it is written in logs and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Shortage::Staging => "staging",
            Shortage::Descriptors => "descriptors",
            Shortage::Memory => "memory",
            Shortage::Thread => "thread",
            Shortage::Process => "process",
            Shortage::Linker => "linker",
            Shortage::Shutdown => "shutdown",
            Shortage::Link => "link",
            Shortage::Device => "device",
        }
    }

    fn cure(self) -> &'static str {
        match self {
            Shortage::Staging => "df -h # make room there, or set plugins.staging",
            Shortage::Descriptors => "ulimit -n # is the limit on open files; fs.file-max that of the whole system",
            Shortage::Memory => "free -h # and what the control group allows; make room",
            Shortage::Thread | Shortage::Process => {
                "ulimit -u # is the limit on processes and threads; control groups have one as well"
            }
            Shortage::Linker => {
                "# wait for that start-up code to return; if it never does, restart the host without that plugin"
            }
            Shortage::Shutdown => "# wait for it; after plugins.init_timeout it is given up",
            Shortage::Link => "ls -ld . # in the plugin directory: who may write there",
            Shortage::Device => "dmesg # tells what is wrong with the device",
        }
    }
}

impl Unavailable {
    /// A shortage, what it was wanted for, and what the system said.
    pub fn new(code: Shortage, field: &str, found: impl Into<String>) -> Unavailable {
        Unavailable {
            code,
            field: field.to_owned(),
            found: printable(found.into()),
            cure: code.cure().to_owned(),
        }
    }

    /// What an error says of the machine; nothing where it says something of the file that was wanted.
    pub fn of(field: &str, error: &io::Error) -> Option<Unavailable> {
        let code = match errno(error)? {
            Errno::NOSPC | Errno::DQUOT => Shortage::Staging,
            Errno::MFILE | Errno::NFILE => Shortage::Descriptors,
            Errno::NOMEM => Shortage::Memory,
            Errno::IO | Errno::STALE | Errno::TIMEDOUT | Errno::NODEV => Shortage::Device,
            _ => return None,
        };
        Some(Unavailable::new(code, field, text(error)))
    }

    /// A private copy that could not be made: whatever the system said, it is about a place of the host's own.
    pub fn staging(directory: &Path, error: &io::Error) -> Unavailable {
        let of_system = Unavailable::of("private copy", error).filter(|found| found.code != Shortage::Staging);
        of_system.unwrap_or_else(|| Unavailable {
            cure: format!("df -h {} # make room there, or set plugins.staging", quoted(directory)),
            ..Unavailable::new(
                Shortage::Staging,
                "private copy",
                format!("{}: {}", directory.display(), text(error)),
            )
        })
    }

    /// A private copy of which nothing may be executed where it lies.
    pub fn not_executable(copy: &Path, found: String) -> Unavailable {
        let folder = quoted(copy.parent().unwrap_or(copy));
        Unavailable {
            cure: format!(
                "findmnt -T {folder} # shows that it is mounted noexec: mount it otherwise, or set plugins.staging"
            ),
            ..Unavailable::new(Shortage::Staging, "private copy", found)
        }
    }

    /// A thread that could not be started.
    pub fn thread(field: &str, error: &io::Error) -> Unavailable {
        let code = Unavailable::of(field, error).map_or(Shortage::Thread, |found| found.code);
        Unavailable::new(code, field, format!("could not start a thread: {}", text(error)))
    }

    /// A process of this program that could not be started, to open libraries in.
    pub fn process(program: &Path, error: &io::Error) -> Unavailable {
        let found = format!(
            "could not start a process ({}) to open it in: {}",
            program.display(),
            text(error)
        );
        let code = Unavailable::of("", error).map_or(Shortage::Process, |found| found.code);
        let unavailable = Unavailable::new(code, "load", found);
        // The limit on processes is EAGAIN; what else there is, is about the program itself.
        match errno(error) {
            Some(Errno::AGAIN) | None => unavailable,
            _ if code != Shortage::Process => unavailable,
            _ => Unavailable {
                cure: format!(
                    "ls -lL {} # the host's own program, which it starts anew for this: put it back, or restart the host",
                    quoted(program)
                ),
                ..unavailable
            },
        }
    }

    /// A link that could not be made or moved; `command` would make it.
    pub fn link(command: String, error: &io::Error) -> Unavailable {
        Unavailable {
            cure: command,
            ..Unavailable::new(Shortage::Link, "link", text(error))
        }
    }
}

/// What tempfile puts behind the system's words: the name of a temporary file, another one each time.
const AT_PATH: &str = " at path ";

/// The system's error number. tempfile keeps it in its text alone.
fn errno(error: &io::Error) -> Option<Errno> {
    Errno::from_io_error(error).or_else(|| {
        let text = text(error);
        let number = text.rsplit_once("(os error ")?.1.strip_suffix(')')?;
        Some(Errno::from_raw_os_error(number.parse().ok()?))
    })
}

/// The system's own words, without the name of a temporary file: a shortage is the same however often it is met.
fn text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(AT_PATH) {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// Why a library is not opened, or its handler not made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoadError {
    /// Its own fault.
    Refused(Refusal),
    /// The machine's.
    Unavailable(Unavailable),
    /// It is time to stop, and nothing new is begun.
    Stopping,
}

impl From<Refusal> for LoadError {
    fn from(refusal: Refusal) -> LoadError {
        LoadError::Refused(refusal)
    }
}

impl From<Unavailable> for LoadError {
    fn from(unavailable: Unavailable) -> LoadError {
        LoadError::Unavailable(unavailable)
    }
}

/// When to try again: soon at first, then less and less often.
#[derive(Debug, Default)]
pub struct BackOff {
    tries: u32,
}

impl BackOff {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(30);

    /// How long to wait before the next try.
    pub fn wait(&mut self) -> Duration {
        let wait = BackOff::FIRST.saturating_mul(1 << self.tries.min(16));
        self.tries = self.tries.saturating_add(1);
        wait.min(BackOff::LONGEST)
    }

    /// Nothing is lacking any more.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

/// Whether an error is the machine's whatever it was wanted for. A file that is not there, or may not be read, is not.
pub fn is_of_machine(error: &io::Error) -> bool {
    Unavailable::of("", error).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_the_machine_s_or_the_file_s() {
        let of = |errno: Errno| Unavailable::of("x", &errno.into()).map(|found| found.code);
        assert_eq!(of(Errno::NOSPC), Some(Shortage::Staging));
        assert_eq!(of(Errno::MFILE), Some(Shortage::Descriptors));
        assert_eq!(of(Errno::NOMEM), Some(Shortage::Memory));
        assert_eq!(of(Errno::IO), Some(Shortage::Device));
        for of_file in [Errno::NOENT, Errno::ACCESS, Errno::LOOP, Errno::ISDIR] {
            assert_eq!(of(of_file), None);
        }
        let denied = Unavailable::staging(Path::new("/s"), &Errno::ACCESS.into());
        assert_eq!(denied.code, Shortage::Staging);
        let process = |errno: Errno| Unavailable::process(Path::new("/bin/host"), &errno.into());
        let again = process(Errno::AGAIN);
        assert!(
            again.code == Shortage::Process && again.cure.starts_with("ulimit -u"),
            "{again:?}"
        );
        assert_eq!(process(Errno::NOMEM).code, Shortage::Memory);
        let gone = process(Errno::NOENT);
        assert!(
            gone.code == Shortage::Process && gone.cure.starts_with("ls -lL /bin/host"),
            "{gone:?}"
        );
    }

    #[test]
    fn a_shortage_is_the_same_whatever_the_temporary_file_was_called() {
        let nowhere = Path::new("/nowhere");
        let unavailable = || {
            let error = tempfile::tempfile_in(nowhere).expect_err("no such directory");
            Unavailable::staging(nowhere, &error)
        };
        assert_eq!(unavailable(), unavailable());
        assert!(!unavailable().found.contains(" at path "), "{:?}", unavailable());
        let of_tempfile = tempfile::Builder::new()
            .tempdir_in(nowhere)
            .expect_err("no such directory");
        assert_eq!(errno(&of_tempfile), Some(Errno::NOENT));
    }

    #[test]
    fn each_shortage_is_written_as_it_is_serialized() {
        for shortage in Shortage::ALL {
            assert_eq!(serde_json::to_value(shortage).ok(), Some(shortage.as_str().into()));
        }
    }

    #[test]
    fn tries_become_rare_and_begin_anew() {
        let mut back_off = BackOff::default();
        assert_eq!(back_off.wait(), Duration::from_millis(200));
        assert_eq!(back_off.wait(), Duration::from_millis(400));
        for _ in 0..100 {
            back_off.wait();
        }
        assert_eq!(back_off.wait(), BackOff::LONGEST);
        back_off.reset();
        assert_eq!(back_off.wait(), BackOff::FIRST);
    }
}
