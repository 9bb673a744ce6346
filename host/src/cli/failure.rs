//! Decides which exit code a failed command ends with: each error has one by its type, here and nowhere else.

use std::io;

use super::{FAILED, NO_READER, UNUSABLE};
use crate::admission::stage::StagingError;
use crate::config::ConfigError;
use crate::manager::StartError;
use crate::net::ListenError;

/// Why nothing more can be printed.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutputError {
    /// The reader wants no more (`| head`), which is no failure of the reader's.
    #[error("nobody reads the output any more")]
    NoReader,
    /// A full disk, for example.
    #[error("can't write the output: {0}")]
    Failed(io::Error),
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> OutputError {
        match error.kind() {
            io::ErrorKind::BrokenPipe => OutputError::NoReader,
            _ => OutputError::Failed(error),
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The reader of its output has gone: there is nothing to say, and no reader for it.
    NoReader,
    /// The configuration, or what it names, can't be used. One line for each reason.
    Unusable(Vec<String>),
    /// It could not be done.
    Failed(String),
}

impl Failure {
    /// What to say of it, line by line.
    pub(super) fn lines(&self) -> &[String] {
        match self {
            Failure::NoReader => &[],
            Failure::Unusable(lines) => lines,
            Failure::Failed(line) => std::slice::from_ref(line),
        }
    }

    /// The process's exit code.
    pub(super) fn code(&self) -> u8 {
        match self {
            Failure::NoReader => NO_READER,
            Failure::Unusable(_) => UNUSABLE,
            Failure::Failed(_) => FAILED,
        }
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Failure {
        match error {
            OutputError::NoReader => Failure::NoReader,
            OutputError::Failed(_) => Failure::Failed(error.to_string()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::Unusable(error.lines())
    }
}

impl From<StagingError> for Failure {
    fn from(error: StagingError) -> Failure {
        Failure::Unusable(vec![error.to_string()])
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Failure {
        Failure::Unusable(vec![error.to_string()])
    }
}

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Failure {
        Failure::Unusable(vec![error.to_string()])
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::Failed(format!("{error:#}"))
    }
}

/// Errors that mean that something could not be done.
macro_rules! failed {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                Failure::from(anyhow::Error::from(error))
            }
        })*
    };
}

failed!(
    io::Error,
    serde_json::Error,
    toml::ser::Error,
    host_bench::BenchError,
    crate::control::client::ClientError,
    crate::manager::install::InstallError,
    crate::runtime::library::StaticHost,
    crate::runtime::load_check::NoProgram,
);
