//! Holds what can change in what a host serves and refuses: one value for each event that an operator is told of. The log
//! (`audit_log`) and the history of a [`Status`](super::snapshot::Status) are made from it. Decides nothing.

use plugin_record::{Note, Refusal};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::report::FileReport;
use crate::selection::idle::Idle;
use crate::unavailable::Unavailable;

/// One version of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionId {
    /// The plugin's name.
    pub plugin: String,
    /// Its version.
    pub version: Version,
    /// SHA-256 of the content, in hexadecimal.
    pub digest: String,
}

/// A version that begins to serve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Which one.
    #[serde(flatten)]
    pub id: VersionId,
    /// Where.
    pub soname: String,
    /// The commands that it serves.
    pub commands: Vec<u8>,
    /// How long the steps took.
    pub took: Took,
}

/// A version that serves in the place of another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Swapped {
    /// The new one.
    #[serde(flatten)]
    pub to: Started,
    /// The version that served before.
    pub from_version: Version,
    /// Its digest.
    pub from_digest: String,
}

/// How long the steps to a new handler took, in milliseconds; those that there was no need for took none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Took {
    /// From the first look at the file to the one that found it complete.
    pub settle_ms: f64,
    /// To copy and judge it.
    pub admit_ms: f64,
    /// To open it in a child process.
    pub trial_ms: f64,
    /// To open it here.
    pub load_ms: f64,
    /// For its init.
    pub init_ms: f64,
    /// To put the new route table in force.
    pub publish_ms: f64,
}

/// A file, and what is known of the plugin in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId {
    /// The file, soname or plugin.
    pub file: String,
    /// The plugin's name, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Its version, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// SHA-256 of the content, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl FileId {
    /// A file by its report, whatever its content.
    pub fn without_digest(file: &FileReport) -> FileId {
        FileId {
            digest: None,
            ..FileId::from(file)
        }
    }
}

impl From<&FileReport> for FileId {
    fn from(file: &FileReport) -> FileId {
        FileId {
            file: file.title(),
            plugin: file.plugin.clone(),
            version: file.version.clone(),
            digest: file.digest.clone(),
        }
    }
}

/// What has changed. The kinds are stable across versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Change {
    /// The host has started, and this version serves.
    Serving(Started),
    /// A plugin serves that did not.
    Added(Started),
    /// A higher version serves.
    Upgraded(Swapped),
    /// A lower version serves.
    RolledBack(Swapped),
    /// Other content with the same version serves.
    Replaced(Swapped),
    /// The same version serves with another configuration.
    Reconfigured(Swapped),
    /// The same instance serves other commands.
    OtherCommands(Swapped),
    /// Nothing of the plugin serves at a soname any more.
    Removed {
        /// What served.
        #[serde(flatten)]
        id: VersionId,
        /// Where.
        soname: String,
        /// Why.
        reason: String,
    },
    /// A library is opened.
    Opening {
        /// Which one.
        #[serde(flatten)]
        id: VersionId,
    },
    /// Calls into a version that was replaced take long.
    StillDraining {
        /// Which one.
        #[serde(flatten)]
        id: VersionId,
        /// How many calls have not returned.
        calls: usize,
    },
    /// The last call into a version that was replaced has returned.
    Drained {
        /// Which one.
        #[serde(flatten)]
        id: VersionId,
        /// How long that took, in milliseconds.
        drain_ms: f64,
        /// What becomes of it: `standby` or `shutdown`.
        then: String,
    },
    /// A version waits in standby, and its `paused` has not succeeded.
    NotPaused {
        /// Which one.
        #[serde(flatten)]
        id: VersionId,
        /// Why not.
        reason: String,
    },
    /// An instance was shut down.
    Retired {
        /// Which one.
        #[serde(flatten)]
        id: VersionId,
        /// Why.
        reason: String,
    },
    /// A file, or a plugin, is refused: for this reason among others.
    Refused {
        /// Which one.
        #[serde(flatten)]
        of: FileId,
        /// The reason.
        refusal: Refusal,
    },
    /// The machine lacks something for it.
    Unavailable {
        /// Which one.
        #[serde(flatten)]
        of: FileId,
        /// What is lacking.
        unavailable: Unavailable,
    },
    /// A file is accepted although it differs.
    Difference {
        /// Which one.
        #[serde(flatten)]
        of: FileId,
        /// In what.
        difference: Refusal,
    },
    /// Something is worth knowing of a file that is accepted.
    Noted {
        /// Which one.
        #[serde(flatten)]
        of: FileId,
        /// What.
        note: Note,
    },
    /// A file has no fault and does not serve.
    NotServed {
        /// Which one.
        #[serde(flatten)]
        of: FileId,
        /// Why, and what would have it serve.
        idle: Idle,
    },
    /// A library without a version in its name.
    Unversioned {
        /// Its path.
        file: String,
        /// What has it served.
        cure: String,
    },
    /// A library whose name is no plugin's.
    Misnamed {
        /// Its path.
        file: String,
        /// What gives it a name.
        cure: String,
    },
    /// Other content lies under the name of a file that serves.
    OtherContent {
        /// The file.
        file: String,
        /// Its soname.
        soname: String,
        /// The digest of what serves.
        running: String,
        /// The digest of what lies there.
        found: String,
        /// Why it is not taken over, and what to do.
        refusal: Refusal,
    },
    /// The plugin directory can't be read; what serves goes on.
    DirectoryUnreadable {
        /// Its path.
        directory: String,
        /// What the system said.
        error: String,
    },
    /// A link was made.
    LinkCreated {
        /// Its path.
        link: String,
        /// Where it leads.
        to: String,
    },
    /// A link was moved.
    LinkMoved {
        /// Its path.
        link: String,
        /// Where it leads.
        to: String,
    },
    /// The staging directory was removed, and made anew.
    StagingRenewed {
        /// Its path.
        directory: String,
    },
    /// The configuration was reread.
    ConfigurationReread {
        /// How many files and links were not complete or clear by then.
        unsettled: usize,
    },
    /// The configuration's file can't be used; the running one stays.
    ConfigurationRefused {
        /// Why, one line for each fault.
        error: String,
    },
    /// A key of the configuration takes effect at the next start.
    NextStart {
        /// Which one.
        key: String,
    },
}
