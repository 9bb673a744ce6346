//! Why an admitted file does not serve although nothing is wrong with it. Pure: what lies there, what the configuration says
//! and what serves decide it, in this process or in one that starts now.

use plugin_record::{Line, Record};
use serde::Serialize;

use super::admit::Admitted;
use super::claims::{Candidate, Unwanted};
use super::links::link_command;
use super::survey::{AtSoname, Survey};
use crate::config::Config;

/// The reason, and what would have the file serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standby {
    /// What kind of reason.
    pub reason: Reason,
    /// The same with its particulars.
    pub text: String,
    /// What would have it serve, as a line for a shell, as a refusal's.
    pub cure: String,
}

/// Why a file that could serve does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
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
    /// What was wanted of each soname.
    pub sonames: &'a [Candidate],
    /// What the operator asks for.
    pub config: &'a Config,
}

impl Outcome<'_> {
    /// Why a file with this content does not serve, where `serving` gives what serves at its soname.
    pub fn why(&self, admitted: &Admitted, serving: Option<&Admitted>) -> Standby {
        let record = admitted.record();
        let soname = super::name::soname(record);
        let link = self.survey.directory.join(&soname);
        let group = self.survey.group(&record.name, &soname);
        let file = group.and_then(|group| group.file_name(admitted.digest()));
        let relink = match &file {
            Some(file) => link_command(&link, file),
            None => format!("# put it into {}", self.survey.directory.display()),
        };
        let (name, line) = (&record.name, record.line());
        let standby = |reason, text: String, cure: String| Standby { reason, text, cure };
        if let Some((reason, text, cure)) = self.configured(record) {
            return standby(reason, text, cure);
        }
        if let Some(serving) = serving {
            let serves = serving.record();
            return match group.map(|group| &group.at_soname) {
                _ if serves.name != *name => self.lost(),
                Some(AtSoname::File(_)) => {
                    let text = format!(
                        "{soname} is a regular file, which serves {} and is never replaced by a link",
                        serves.version
                    );
                    standby(Reason::SonameIsFile, text, relink)
                }
                _ if !record.version.pre.is_empty() => {
                    let text = format!(
                        "{} is a pre-release, which serves only when a link leads to it",
                        record.version
                    );
                    standby(Reason::PreRelease, text, relink)
                }
                _ => standby(
                    Reason::OtherVersion,
                    format!("{} serves at {soname}", serves.version),
                    relink,
                ),
            };
        }
        let wanted = self.sonames.iter().find(|candidate| candidate.key() == (name, &soname));
        match wanted.map(|candidate| &candidate.wanted) {
            Some(Err(Unwanted::PreReleases)) => {
                let text = format!(
                    "{} is a pre-release, which serves only when a link leads to it",
                    record.version
                );
                standby(Reason::PreRelease, text, relink)
            }
            Some(Err(Unwanted::Removed)) => standby(Reason::LinkRemoved, "its link is gone".to_owned(), relink),
            Some(Err(Unwanted::Failed)) => {
                let cure = "# the log says why; it is tried again when the configuration changes, and at SIGHUP";
                standby(
                    Reason::Failed,
                    "it could not be loaded or initialised".to_owned(),
                    cure.to_owned(),
                )
            }
            Some(Err(Unwanted::Refused)) => standby(
                Reason::SonameRefused,
                format!("what stands at {soname} is refused"),
                relink,
            ),
            _ => match self.asked_line(record) {
                Some(asked) => standby(
                    Reason::OtherLine,
                    format!("[plugin.{name}] asks for version = \"{asked}\", which has its commands"),
                    format!("# set `version = \"{line}\"` under [plugin.{name}]"),
                ),
                None => self.lost(),
            },
        }
    }

    /// What the configuration alone says against it.
    fn configured(&self, record: &Record) -> Option<(Reason, String, String)> {
        let name = &record.name;
        match self.config.plugin.get(name) {
            Some(table) if !table.enabled => Some((
                Reason::Disabled,
                format!("[plugin.{name}] has enabled = false"),
                format!("# set `enabled = true` under [plugin.{name}]"),
            )),
            Some(table) if self.config.plugins.discover || table.version.is_none_or(|asked| asked == record.line()) => {
                None
            }
            Some(_) => Some((
                Reason::OtherLine,
                format!("[plugin.{name}] asks for another version"),
                format!("# set `version = \"{}\"` under [plugin.{name}]", record.line()),
            )),
            None if self.config.plugins.discover => None,
            None => Some((
                Reason::NotDiscovered,
                format!("there is no [plugin.{name}], and plugins.discover is false"),
                format!("# add the table [plugin.{name}], or set `discover = true` under [plugins]"),
            )),
        }
    }

    /// The compatibility line that the configuration asks for in place of this one.
    fn asked_line(&self, record: &Record) -> Option<Line> {
        let asked = self.config.plugin.get(&record.name)?.version?;
        (asked != record.line()).then_some(asked)
    }

    fn lost(&self) -> Standby {
        Standby {
            reason: Reason::ClaimLost,
            text: "another plugin has its commands or its name".to_owned(),
            cure: "# which one is said where the plugin is not served".to_owned(),
        }
    }
}
