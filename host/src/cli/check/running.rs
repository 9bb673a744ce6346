//! Asks the host that runs with a configuration what it is about, for `host check`. Decides what it means that there is none.

use std::path::{Path, PathBuf};

use plugin_record::printable;

use crate::config::{Config, Source};
use crate::control::client::Client;
use crate::process::async_runtime::AsyncRuntime;
use crate::status::snapshot::{Phase, Status};

/// The host that runs with a configuration.
#[derive(Debug)]
pub(super) enum Running {
    /// There is none that this user can see; another user's host shows nothing but to root.
    NotSeen,
    /// There is one, and it does not answer.
    Silent(String),
    /// There is one.
    Host {
        /// Its control socket.
        socket: PathBuf,
        /// What it is about.
        status: Box<Status>,
    },
}

impl Running {
    /// Asks the host that runs with this configuration.
    pub(super) fn with(config: &Config) -> Running {
        let runtime = match AsyncRuntime::start() {
            Ok(runtime) => runtime,
            Err(error) => return Running::Silent(format!("no thread to ask it with: {error}")),
        };
        match Client::find(config, &runtime) {
            Ok(None) => Running::NotSeen,
            Ok(Some((client, status))) => Running::Host {
                socket: client.socket().to_owned(),
                status: Box::new(status),
            },
            Err(error) => Running::Silent(error.to_string()),
        }
    }

    /// Asks the host that runs with a file that can't be used any more; where `admin.socket` named its socket, it is not found.
    pub(super) fn with_file(path: &Path) -> Running {
        Running::with(&Config {
            source: Source {
                file: std::path::absolute(path).ok(),
                ..Source::default()
            },
            ..Config::default()
        })
    }

    /// What it is about.
    pub(super) fn status(&self) -> Option<&Status> {
        match self {
            Running::Host { status, .. } => Some(status),
            Running::NotSeen | Running::Silent(_) => None,
        }
    }

    /// Which host it is, or that there is none.
    pub(super) fn title(&self) -> String {
        match self {
            Running::NotSeen => "no running host that this user can see".to_owned(),
            Running::Silent(reason) => printable(format!("a host that does not answer: {reason}")),
            Running::Host { status, .. } => {
                let host = &status.host;
                let phase = match host.phase {
                    Phase::Serving => String::new(),
                    Phase::Starting => ", starting".to_owned(),
                    Phase::Stopping => ", stopping".to_owned(),
                };
                let listen = host
                    .listen
                    .as_deref()
                    .map_or_else(String::new, |listen| format!(", {listen}"));
                format!("pid {}{listen}{phase}", host.pid)
            }
        }
    }
}
