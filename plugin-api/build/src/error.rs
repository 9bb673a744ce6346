//! Why there is no record, in words that an author can act on.
//!
//! Every variant names the file or command it is about; those that an author causes say which lines
//! to write. The lines to add stand on lines of their own, so that they can be copied.

use std::{io, path::PathBuf};

/// Why the record could not be gathered or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Cargo sets these variables for every build script.
    #[error("{name} is not set: plugin_build works in a build.rs that cargo runs")]
    NoVariable {
        /// The variable's name.
        name: String,
    },
    /// A variable that cargo sets has a value of another form than expected.
    #[error("{name} is {value:?}, expected {expected}")]
    Variable {
        /// The variable's name.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// A file or folder can't be read.
    #[error("{} can't be read", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The note file can't be written.
    #[error("{} can't be written", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A manifest or lock file is not TOML.
    #[error("{} is not valid TOML", path.display())]
    Toml {
        /// Which one.
        path: PathBuf,
        /// Where it goes wrong.
        source: toml::de::Error,
    },
    /// Cargo.toml does not say that this is a plugin.
    #[error(
        "{} has no [package.metadata.plugin] table; add the commands that the plugin answers:\n\
         [package.metadata.plugin]\ncommands = [0x02]",
        path.display()
    )]
    NoPluginTable {
        /// The manifest.
        path: PathBuf,
    },
    /// The table has no commands.
    #[error(
        "[package.metadata.plugin] in {} names no command; add at least one:\ncommands = [0x02]",
        path.display()
    )]
    NoCommands {
        /// The manifest.
        path: PathBuf,
    },
    /// Not a list of numbers.
    #[error(
        "commands of [package.metadata.plugin] in {} must be a list of whole numbers, found \
         {found}; for example:\ncommands = [0x02]",
        path.display()
    )]
    NotCommands {
        /// The manifest.
        path: PathBuf,
        /// What stands there.
        found: String,
    },
    /// Not a command that a plugin may answer: 0x01 is Conn, and the high bit marks an ack.
    #[error(
        "command {} of [package.metadata.plugin] in {} is none that a plugin can answer: expected \
         0x02 to 0x7F",
        hexadecimal(*command),
        path.display()
    )]
    CommandRange {
        /// The manifest.
        path: PathBuf,
        /// The number.
        command: i64,
    },
    /// The same command twice.
    #[error(
        "command {command:#04x} stands twice in [package.metadata.plugin] of {}: remove one",
        path.display()
    )]
    CommandTwice {
        /// The manifest.
        path: PathBuf,
        /// The command.
        command: u8,
    },
    /// A key that means nothing here, perhaps misspelt.
    #[error(
        "unknown key {key:?} in [package.metadata.plugin] of {}: the keys are \"commands\" and \"host\"",
        path.display()
    )]
    UnknownKey {
        /// The manifest.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// The package builds no shared library.
    #[error(
        "{} builds no shared library, crate-type is {found}; a plugin needs:\n\
         [lib]\ncrate-type = [\"cdylib\"]",
        path.display()
    )]
    NotCdylib {
        /// The manifest.
        path: PathBuf,
        /// The crate types that stand there.
        found: String,
    },
    /// The library is not named after its package, which the host's file names rely on.
    #[error(
        "{} names the library {found:?}, expected {expected:?} as the package's name gives it: \
         remove name from [lib]",
        path.display()
    )]
    LibraryName {
        /// The manifest.
        path: PathBuf,
        /// The name that stands there.
        found: String,
        /// The name that follows from the package's.
        expected: String,
    },
    /// Cargo takes the name, no host does.
    #[error(
        "the package's name in {} can't be a plugin's: {name:?} has {found:?}, expected ASCII letters, digits, - and _ alone, since it \
         becomes part of file names: rename the package",
        path.display()
    )]
    PackageName {
        /// The manifest.
        path: PathBuf,
        /// The name that stands there.
        name: String,
        /// The first character that can't be in it.
        found: char,
    },
    /// No file system takes the library's file name.
    #[error(
        "the package's name and version in {} make a file name of {size} bytes, the limit is {limit}: shorten them",
        path.display()
    )]
    LongName {
        /// The manifest.
        path: PathBuf,
        /// How long it is.
        size: usize,
        /// How long it may be.
        limit: usize,
    },
    /// Two plugins in one library.
    #[error(
        "{dependency}, which {package} depends on, is a plugin itself, and {} exports it in this build: a library holds one \
         plugin. Move the code that both need into a crate of its own, or put the export behind a feature of {dependency} \
         that {package} does not turn on (default-features = false), and build one package at a time (cargo build -p):\n\
         #[cfg(feature = \"export\")]\nplugin_api::export_plugin!(..);",
        path.display()
    )]
    SecondPlugin {
        /// The dependency's source that exports it.
        path: PathBuf,
        /// The package that is built.
        package: String,
        /// The plugin that it depends on.
        dependency: String,
    },
    /// A program can't be started.
    #[error("{command} can't be run")]
    Run {
        /// The command line.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program reported a failure.
    #[error("{command} failed ({status}):\n{stderr}\n{hint}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote to its standard error.
        stderr: String,
        /// What may be the reason.
        hint: &'static str,
    },
    /// A program printed something else than this crate knows.
    #[error("{command} printed {found:?}, expected {expected}")]
    Output {
        /// The command line.
        command: &'static str,
        /// The line or text.
        found: String,
        /// What it should look like.
        expected: &'static str,
    },
    /// A linked package has no entry in Cargo.lock, or several that can't be told apart.
    #[error(
        "{found} entries in {} fit the linked package {package}, expected one; \
         is the lock file the one that this build uses?",
        path.display()
    )]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The package as `cargo tree` prints it.
        package: String,
        /// How many entries fit.
        found: usize,
    },
    /// Not the path of a file.
    #[error(
        "host of [package.metadata.plugin] in {} must be a path relative to it, found {found}; for example:\n\
         host = \"host.json\"",
        path.display()
    )]
    NotHost {
        /// The manifest.
        path: PathBuf,
        /// What stands there.
        found: String,
    },
    /// The file that says what the host is can't be read.
    #[error(
        "{} can't be read: {error}; PLUGIN_HOST or [package.metadata.plugin] names it as the host's fingerprint; make \
         it where the host is:\nhost fingerprint --json --plugins plugins.toml > host.json",
        path.display()
    )]
    HostUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file says something else.
    #[error(
        "{} is no host's fingerprint, or one of another version: {error}; make it where the host is:\n\
         host fingerprint --json --plugins plugins.toml > host.json",
        path.display()
    )]
    HostMalformed {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
        error: serde_json::Error,
    },
    /// The host would not load what is being built.
    #[error("the host of {} would refuse this plugin:\n{}", path.display(), refusals.concat())]
    Refused {
        /// The host's fingerprint.
        path: PathBuf,
        /// Each reason: code and field, host's value, plugin's value, cure.
        refusals: Vec<String>,
    },
    /// The record does not fit into a note.
    #[error("the record can't be encoded")]
    Encode {
        /// Why.
        source: plugin_record::note::ParseError,
    },
    /// The dependency list for audit tools can't be written down.
    #[error("the dependency list can't be encoded")]
    Audit {
        /// Why.
        source: serde_json::Error,
    },
}

/// The error and what caused it, as one text.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// As authors write commands; a negative number has no such form.
fn hexadecimal(number: i64) -> String {
    if number < 0 {
        number.to_string()
    } else {
        format!("0x{number:02X}")
    }
}
