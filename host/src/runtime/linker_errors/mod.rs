//! Why a library could not be opened, as a refusal with a cure or as what the machine lacks: made of what the dynamic linker's
//! words mean (`words`). Of words that are not known the refusal has no more than the words.

mod words;

use std::path::Path;

use plugin_record::{Code, Record, Refusal};
use rustix::process::{Resource, getrlimit};

use self::words::{Fault, fault};
use crate::admission::static_tls::{self, Room, StaticTls};
use crate::shell::quoted;
use crate::unavailable::{LoadError, Shortage, Unavailable};

/// What could not be opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// The private copy, which is what the dynamic linker speaks of.
    pub(super) copy: &'a Path,
    /// The plugin's file, which is what people know.
    pub(super) file: &'a Path,
    pub(super) record: &'a Record,
    /// The static TLS that it takes.
    pub(super) static_tls: Option<StaticTls>,
    /// What was left for it.
    pub(super) room: Room,
}

/// Why the dynamic linker would not open a library; `words` are its own.
pub(super) fn error(words: &str, subject: Subject<'_>) -> LoadError {
    let copy = subject.copy.display().to_string();
    let said = said(words, subject);
    match fault(words, &copy) {
        Fault::Shortage(lack) => Unavailable::new(lack, "library", said).into(),
        Fault::NotMapped(None) if is_noexec(subject.copy) => Unavailable::not_executable(subject.copy, said).into(),
        Fault::NotMapped(None) if is_memory_limited() => Unavailable::new(Shortage::Memory, "library", said).into(),
        // What a cleaner of temporary directories does.
        _ if !subject.copy.exists() => Unavailable::new(Shortage::Staging, "private copy", "it was removed").into(),
        Fault::StaticTls(dependency) => {
            static_tls::refusal(subject.static_tls, dependency, subject.room, subject.record).into()
        }
        fault => refusal(&fault, &said, subject).into(),
    }
}

/// Its words, with the name that people know.
pub(super) fn said(words: &str, subject: Subject<'_>) -> String {
    let [copy, file] = [subject.copy, subject.file].map(|path| path.display().to_string());
    words.replace(&copy, &file)
}

// Long: one arm for each fault.
fn refusal(fault: &Fault<'_>, said: &str, subject: Subject<'_>) -> Refusal {
    let refuse =
        |field: &str, expected: String, cure: String| Refusal::new(Code::LoadOpen, field, expected, said, cure);
    let file = quoted(subject.file);
    let path = |dependency: Option<&str>| dependency.map_or_else(|| file.clone(), |path| quoted(Path::new(path)));
    let build = format!(
        "cargo build --release -p {}",
        plugin_record::quoted(&subject.record.name)
    );
    // Of a library that has no path in the words, only where to look for it can be told.
    let look = |dependency: &str| match dependency.contains('/') {
        true => format!("ls -lL {} ", quoted(Path::new(dependency))),
        false => format!("ldd {file} "),
    };
    match *fault {
        Fault::LibraryMissing(name) => refuse(
            "needed library",
            format!("{name} where the dynamic linker looks"),
            format!(
                "ldd {file} # says \"not found\" of what is missing: install the package that brings it, or link it statically"
            ),
        ),
        Fault::LibraryDenied(name) => refuse(
            "needed library",
            format!("{name}, readable for the host's user"),
            format!(
                "{}# let the host's user read that library and enter the folders above it",
                look(name)
            ),
        ),
        Fault::Symbol(dependency, symbol) => refuse(
            "symbol",
            format!("{symbol} in a library that {} needs", dependency.unwrap_or("it")),
            format!(
                "ldd -r {} # lists every symbol that is missing: {}",
                path(dependency),
                match dependency {
                    None =>
                        "link the library that has it (`cargo::rustc-link-lib` in build.rs), or install the release of it \
                             that does",
                    Some(_) => "install the releases of that library and of what it needs that belong together",
                }
            ),
        ),
        Fault::Version(version, library) => refuse(
            "symbol version",
            format!("{version} in {library}"),
            format!("{build} # where {library} is as old as here; or install a release of it that has {version}"),
        ),
        Fault::Format(None) | Fault::NotMapped(None) | Fault::Unknown => refuse(
            "library",
            "a library that the dynamic linker opens".to_owned(),
            format!("{build} # and install it again; `ldd {file}` shows what the dynamic linker makes of this one"),
        ),
        Fault::Format(Some(name)) => refuse(
            "needed library",
            format!("{name} as a whole library for this machine"),
            format!(
                "{}# install the package that brings it again, for this machine",
                look(name)
            ),
        ),
        Fault::NotMapped(Some(name)) => refuse(
            "needed library",
            format!("{name}, whole, where libraries may be executed"),
            format!(
                "{}# install it again, on a file system that is not mounted noexec",
                look(name)
            ),
        ),
        Fault::ExecutableStack(name) => refuse(
            "stack",
            format!("not executable, for {}", name.unwrap_or("it")),
            format!(
                "{}# install it built without `-z execstack`",
                look(name.unwrap_or_default())
            ),
        ),
        Fault::TextRelocations(name) => refuse(
            "text relocations",
            format!("none in {}", name.unwrap_or("it")),
            format!("{}# install it built with `-fPIC`", look(name.unwrap_or_default())),
        ),
        Fault::Processor(name) => refuse(
            "processor",
            format!("code for this one in {}", name.unwrap_or("it")),
            match name {
                None => format!("{build} # without `target-cpu` and `-march` for a newer processor"),
                Some(name) => format!("{}# install it built for this processor", look(name)),
            },
        ),
        // Told as others are, see above.
        Fault::Shortage(_) | Fault::StaticTls(_) => refuse("library", "a library that opens".to_owned(), build),
    }
}

/// Whether nothing may be executed where the copies lie. It was otherwise when the host started: somebody has mounted it anew.
fn is_noexec(copy: &Path) -> bool {
    let flags = copy.parent().and_then(|folder| rustix::fs::statvfs(folder).ok());
    flags.is_some_and(|flags| flags.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC))
}

/// Whether this process may have so much memory and no more.
fn is_memory_limited() -> bool {
    getrlimit(Resource::As).current.is_some()
}
