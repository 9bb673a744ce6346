//! Holds what a running host is about at one moment: what serves, what each file in the plugin directory comes to and why, and
//! the last events. `check` beside the host, `install` and the control socket show this and nothing else. Decides nothing.

use std::sync::Arc;

use plugin_record::Refusal;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::change::FileId;
use super::history::Event;
use super::report::{FileReport, MisnamedReport, PluginReport, State};
use crate::admission::static_tls::Room;
use crate::unavailable::Unavailable;

/// A running host at one moment. Never changed: the next moment has a value of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Grows with each change.
    pub revision: u64,
    /// The process.
    pub host: HostStatus,
    /// What it serves and refuses.
    #[serde(flatten)]
    pub view: Arc<View>,
    /// The last events, the oldest first.
    pub events: Vec<Arc<Event>>,
}

/// The process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStatus {
    /// The host's version.
    pub version: String,
    /// Its process ID.
    pub pid: u32,
    /// Its effective user.
    pub user: u32,
    /// When it started, as RFC 3339 in UTC.
    pub started: String,
    /// What it is at.
    pub phase: Phase,
    /// Where peers connect; nothing before it listens.
    pub listen: Option<String>,
    /// The absolute path of plugins.toml, if it is a file.
    pub configuration: Option<String>,
}

/// What a host is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Its plugins are made ready; it does not listen yet.
    Starting,
    /// It serves.
    Serving,
    /// It ends: it finishes what has come.
    Stopping,
}

/// What a host serves and refuses, after its last pass over the plugin directory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The plugin directory, in its canonical form.
    pub directory: String,
    /// Why the plugin directory can't be read; what serves goes on, and what is said of files is what was seen last.
    pub directory_error: Option<String>,
    /// Whether it follows changes there.
    pub watch: bool,
    /// SHA-256 of the configuration's text that the host has read last, in hexadecimal; none where it is no file.
    pub configuration_digest: Option<String>,
    /// Why the configuration's file can't be used, where the running configuration is an older one.
    pub configuration_error: Option<String>,
    /// Instances that are alive: those that serve, then those that don't any more.
    pub instances: Vec<InstanceStatus>,
    /// One for each file or link in the plugin directory, each named relative to it.
    pub files: Vec<FileReport>,
    /// Plugins that do not serve for a reason that is in no file.
    pub plugins: Vec<PluginReport>,
    /// Files without a version, which are not judged.
    pub unversioned: Vec<String>,
    /// Files that look like libraries and have no plugin's name, which are not judged either.
    pub misnamed: Vec<MisnamedReport>,
    /// What the machine lacks; it is tried again.
    pub unavailable: Vec<Lack>,
    /// How many files and links are not complete or clear yet.
    pub unsettled: usize,
    /// The reserve of static TLS, by estimate.
    pub static_tls: StaticTlsStatus,
}

/// One instance of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// The plugin's name.
    pub plugin: String,
    /// Its soname.
    pub soname: String,
    /// Its version.
    pub version: Version,
    /// SHA-256 of its content, in hexadecimal.
    pub digest: String,
    /// [`State::Serving`], [`State::Draining`] or [`State::Standby`].
    pub state: State,
    /// The commands that it serves.
    pub commands: Vec<u8>,
    /// The name of the file that it was loaded from, where it is still known.
    pub file: Option<String>,
}

/// What the machine lacks, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lack {
    /// For whom.
    #[serde(flatten)]
    pub of: FileId,
    /// What it is.
    pub unavailable: Unavailable,
}

/// The reserve of static TLS of a host that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticTlsStatus {
    /// What is left, by estimate.
    pub room: Option<Room>,
    /// The C library's tunables that the host was started with.
    pub tunables: String,
    /// Digests of the contents that are open and take some.
    pub held_by: Vec<String>,
}

impl View {
    /// The reasons of this plugin that are in no file.
    pub fn reasons<'a>(&'a self, plugin: &'a str) -> impl Iterator<Item = &'a Refusal> {
        let reports = self.plugins.iter().filter(move |report| report.plugin == plugin);
        reports.map(|report| &report.refusal)
    }
}
