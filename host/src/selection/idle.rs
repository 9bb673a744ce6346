//! Decides why an admitted file does not serve although it has no fault: by what lies there, what the configuration says and
//! what serves, in this process or in one that starts now. Pure.

use plugin_record::Record;
use serde::{Deserialize, Serialize};

use super::candidate::{Candidate, NoVersion};
use super::table_for::Unasked;
use super::tried::Tried;
use crate::admission::admit::Admitted;
use crate::admission::names;
use crate::directory::groups::AtSoname;
use crate::directory::links::link_command;
use crate::directory::survey::Survey;
use crate::shell::rename;

/// The reason, and what would have the file serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idle {
    /// What kind of reason.
    pub reason: Reason,
    /// The same with its particulars.
    pub text: String,
    /// What would have it serve, as a line for a shell, as a refusal's.
    pub cure: String,
}

/// Why a file that could serve does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Its plugin is disabled.
    Disabled,
    /// Its plugin has no table, and plugins without one are not served.
    NotDiscovered,
    /// The configuration asks for another compatibility line of its plugin.
    OtherLine,
    /// A regular file stands at the soname, which is never replaced by a link.
    SonameIsFile,
    /// It is a pre-release, which serves only when a link leads to it.
    PreRelease,
    /// Another version serves at its soname.
    OtherVersion,
    /// The soname's link was taken away.
    LinkRemoved,
    /// It could not be loaded or initialised, which was said then.
    Failed,
    /// What stands at the soname is refused, and nothing serves in its place.
    SonameRefused,
    /// Another plugin has its commands or its name.
    ClaimLost,
}

impl Reason {
    /// Whether the log has lines of their own about it.
    pub fn is_said_elsewhere(self) -> bool {
        matches!(self, Reason::Failed | Reason::SonameRefused | Reason::ClaimLost)
    }
}

/// What decides it.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// What lies in the plugin directory.
    pub survey: &'a Survey,
    /// What should serve of each soname.
    pub candidates: &'a [Candidate],
    /// What could not be loaded, initialised or linked.
    pub tried: &'a Tried,
    /// What no table asks for.
    pub unasked: &'a [(Candidate, Unasked)],
}

impl Outcome<'_> {
    /// Why a file with this content does not serve, where `serving` gives what serves at its soname.
    pub fn why(&self, admitted: &Admitted, serving: Option<&Admitted>) -> Idle {
        let record = admitted.record();
        let soname = names::soname(record);
        let key = (record.name.as_str(), soname.as_str());
        let unasked = self.unasked.iter().find(|(candidate, _)| candidate.key() == key);
        if let Some((_, unasked)) = unasked {
            return not_asked_for(*unasked, record);
        }
        if self.tried.setback(admitted.digest()).is_some() {
            return failed();
        }
        let link = self.survey.directory.join(&soname);
        let group = self.survey.group(&record.name, &soname);
        let relink = match group.and_then(|group| group.file_name(admitted.digest())) {
            Some(file) => link_command(&link, &file),
            None => format!("# put it back into {}", self.survey.directory.display()),
        };
        if let Some(serving) = serving.filter(|serving| serving.record().name == record.name) {
            let version = &serving.record().version;
            return match group.map(|group| &group.at_soname) {
                Some(AtSoname::File(file)) => Idle {
                    reason: Reason::SonameIsFile,
                    text: format!("{soname} is a regular file, which serves {version} and is never replaced by a link"),
                    // It may be the only file with that content.
                    cure: format!("{} && {relink}", rename(&link, &names::real_name(file.record()))),
                },
                _ if !record.version.pre.is_empty() => pre_release(record, relink),
                _ => Idle {
                    reason: Reason::OtherVersion,
                    text: format!("{version} serves at {soname}"),
                    cure: relink,
                },
            };
        }
        let candidate = self.candidates.iter().find(|candidate| candidate.key() == key);
        match candidate.map(|candidate| &candidate.desired) {
            Some(Err(NoVersion::PreReleases)) => pre_release(record, relink),
            Some(Err(NoVersion::Removed)) => Idle {
                reason: Reason::LinkRemoved,
                text: "its link is gone".to_owned(),
                cure: relink,
            },
            Some(Err(NoVersion::Failed)) => failed(),
            Some(Err(NoVersion::Refused)) => Idle {
                reason: Reason::SonameRefused,
                text: format!("what stands at {soname} is refused"),
                cure: relink,
            },
            _ => Idle {
                reason: Reason::ClaimLost,
                text: "another plugin has its commands or its name".to_owned(),
                cure: "# the refusal says which one, and what would give them to this one".to_owned(),
            },
        }
    }
}

fn failed() -> Idle {
    Idle {
        reason: Reason::Failed,
        text: "it could not be loaded or initialised".to_owned(),
        cure: "# the log says why; it is tried again when the configuration changes, and at SIGHUP".to_owned(),
    }
}

fn pre_release(record: &Record, relink: String) -> Idle {
    Idle {
        reason: Reason::PreRelease,
        text: format!(
            "{} is a pre-release, which serves only when a link leads to it",
            record.version
        ),
        cure: relink,
    }
}

fn not_asked_for(unasked: Unasked, record: &Record) -> Idle {
    let (name, line) = (&record.name, record.line());
    match unasked {
        Unasked::Disabled => Idle {
            reason: Reason::Disabled,
            text: format!("[plugin.{name}] has enabled = false"),
            cure: format!("# set `enabled = true` under [plugin.{name}] in plugins.toml"),
        },
        Unasked::OtherLine(asked) => Idle {
            reason: Reason::OtherLine,
            text: format!("version = \"{asked}\" of {name} is asked for"),
            cure: format!("# set `version = \"{line}\"` under [plugin.{name}] in plugins.toml"),
        },
        Unasked::NotDiscovered => Idle {
            reason: Reason::NotDiscovered,
            text: format!("there is no [plugin.{name}], and plugins.discover is false"),
            cure: format!("# add the table [plugin.{name}] to plugins.toml, or set `discover = true` under [plugins]"),
        },
    }
}
