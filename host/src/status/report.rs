//! Holds the report on a plugin directory or a file: the same values for the log, for `check` and in JSON. Judges nothing.

use std::path::PathBuf;

use plugin_record::{Note, Refusal, notes, printable};
use serde::{Deserialize, Serialize};

use crate::admission::names::Platform;
use crate::admission::static_tls::StaticTls;
use crate::directory::misnamed::Misnamed;
use crate::directory::survey::Survey;
use crate::directory::verdicts::{NotAdmitted, Verdict};
use crate::selection::command_claims::Plan;
use crate::selection::desired_version;
use crate::selection::idle::{Idle, Outcome, Reason};
use crate::selection::tried::Tried;
use crate::selection::unserved::Unserved;
use crate::shell::{quoted, rename};
use crate::unavailable::{LoadError, Unavailable};

/// The whole report.
#[derive(Debug, Serialize)]
pub struct Report {
    /// One for each file or link that was judged.
    pub files: Vec<FileReport>,
    /// Plugins that do not serve for a reason that is in no file.
    pub plugins: Vec<PluginReport>,
    /// Files without a version, which are not judged.
    pub unversioned: Vec<PathBuf>,
    /// Files that look like libraries and have no plugin's name, which are not judged either.
    pub misnamed: Vec<MisnamedReport>,
}

/// A file that has no plugin's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MisnamedReport {
    /// Its path.
    pub file: PathBuf,
    /// What gives it one, as a line for a shell.
    pub cure: String,
}

/// One file or link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReport {
    /// Its path.
    pub file: PathBuf,
    /// Where it points, if it is a link.
    pub link: Option<PathBuf>,
    /// The plugin's name, as far as the record could be read.
    pub plugin: Option<String>,
    /// The plugin's version, likewise.
    pub version: Option<String>,
    /// SHA-256 of the content, as far as it could be copied.
    pub digest: Option<String>,
    /// What becomes of it.
    pub state: State,
    /// The commands that it serves.
    pub commands: Vec<u8>,
    /// Whether it was opened, which `check --load` alone does, and found good.
    pub opened: bool,
    /// Why it is refused; empty unless it is.
    pub refusals: Vec<Refusal>,
    /// What the machine lacks to judge it; nothing unless it does.
    pub unavailable: Option<Unavailable>,
    /// Why it does not serve although nothing is wrong with it; nothing unless that is so.
    pub idle: Option<Idle>,
    /// What sets it apart from the host and the policy lets through.
    pub differences: Vec<Refusal>,
    /// What is worth knowing of it and is no difference.
    pub notes: Vec<Note>,
    /// The static TLS that it takes once it is open, if it takes some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub static_tls: Option<StaticTls>,
}

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Seen, and not judged: it is not complete yet.
    Candidate,
    /// Admitted: a file from elsewhere, of which no directory says whether it serves.
    Admitted,
    /// It answers its commands.
    Serving,
    /// Calls into it have not returned; new ones go elsewhere.
    Draining,
    /// Admitted, while another version serves, or none.
    Standby,
    /// Admitted, and the operator has switched its plugin off.
    Disabled,
    /// Not admitted.
    Refused,
    /// Neither: the machine lacks something to find out.
    Unavailable,
}

/// A plugin that does not serve although a table or a file asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginReport {
    /// The plugin's name.
    pub plugin: String,
    /// Its soname, if a file brings one.
    pub soname: Option<String>,
    /// Why.
    pub refusal: Refusal,
}

impl Report {
    /// The report on a plugin directory.
    pub fn new(survey: &Survey, plan: &Plan<'_>) -> Report {
        let tried = Tried::default();
        let outcome = Outcome {
            survey,
            candidates: &desired_version::at_start(survey, &tried),
            tried: &tried,
            unasked: &plan.unasked,
        };
        let files = survey.findings.iter().map(|finding| {
            let mut report = FileReport::new(finding.path.clone(), finding.link.clone(), &finding.verdict);
            if let Ok(admitted) = &finding.verdict {
                let claim = plan
                    .claims
                    .iter()
                    .find(|claim| claim.admitted.digest() == admitted.digest());
                report.idle = claim.is_none().then(|| outcome.why(admitted, plan.serving(admitted)));
                report.state = match &report.idle {
                    None => State::Serving,
                    Some(idle) if idle.reason == Reason::Disabled => State::Disabled,
                    Some(_) => State::Standby,
                };
                report.commands = claim.map(|claim| claim.commands.clone()).unwrap_or_default();
            }
            report
        });
        Report {
            files: files.collect(),
            plugins: plan.unserved.iter().map(PluginReport::from).collect(),
            unversioned: survey.unversioned.clone(),
            misnamed: survey.misnamed.iter().map(MisnamedReport::new).collect(),
        }
    }

    /// Every refusal, with the file or plugin that it is about.
    pub fn refusals(&self) -> impl Iterator<Item = (String, &Refusal)> {
        let of_files = self
            .files
            .iter()
            .flat_map(|file| file.refusals.iter().map(|refusal| (file.title(), refusal)));
        of_files.chain(
            self.plugins
                .iter()
                .map(|plugin| (plugin.plugin.clone(), &plugin.refusal)),
        )
    }

    /// Whether nothing was refused, and everything could be judged.
    pub fn is_good(&self) -> bool {
        self.refusals().next().is_none() && self.files.iter().all(|file| file.unavailable.is_none())
    }
}

impl MisnamedReport {
    /// The report on one file.
    pub fn new((file, misnamed): &(PathBuf, Misnamed)) -> MisnamedReport {
        let cure = match misnamed {
            Misnamed::For(name) => rename(file, &name.to_string()),
            Misnamed::Unclear => {
                let form = Platform::HOST.file_name("<package>", Some("<version>"));
                format!(
                    "host inspect {} # tells package and version, for a name of the form {form}",
                    quoted(file)
                )
            }
        };
        MisnamedReport {
            // JSON has no bytes that are no text.
            file: PathBuf::from(file.to_string_lossy().into_owned()),
            cure,
        }
    }
}

impl FileReport {
    /// The report on one file.
    pub fn new(file: PathBuf, link: Option<PathBuf>, verdict: &Verdict) -> FileReport {
        let mut report = FileReport {
            link,
            state: State::Admitted,
            ..FileReport::candidate(file)
        };
        let record = match verdict {
            Ok(admitted) => {
                report.digest = Some(admitted.digest().to_string());
                report.differences = admitted.differences().to_vec();
                report.static_tls = admitted.static_tls();
                Some(admitted.record())
            }
            Err(NotAdmitted::Refused(refused)) => {
                report.digest = refused.digest.map(|digest| digest.to_string());
                report.refuse(&refused.refusals);
                report.differences = refused.differences.clone();
                refused.record.as_ref()
            }
            Err(NotAdmitted::Unavailable(unavailable)) => {
                report.unavailable(unavailable);
                None
            }
        };
        report.notes = record.map(|record| notes(record)).unwrap_or_default();
        report.plugin = record.map(|record| record.name.clone());
        report.version = record.map(|record| record.version.to_string());
        report
    }

    /// A file that is not complete yet.
    pub fn candidate(file: PathBuf) -> FileReport {
        FileReport {
            file,
            link: None,
            plugin: None,
            version: None,
            digest: None,
            state: State::Candidate,
            commands: Vec::new(),
            opened: false,
            refusals: Vec::new(),
            unavailable: None,
            idle: None,
            differences: Vec::new(),
            notes: Vec::new(),
            static_tls: None,
        }
    }

    /// Adds what opening an admitted file has shown.
    pub fn opened(&mut self, verdict: &Result<(), LoadError>) {
        match verdict {
            Ok(()) => self.opened = true,
            Err(LoadError::Refused(refusal)) => self.refuse(std::slice::from_ref(refusal)),
            Err(LoadError::Unavailable(unavailable)) => self.unavailable(unavailable),
            Err(LoadError::Stopping) => {}
        }
    }

    /// Makes it refused, for these reasons.
    pub fn refuse(&mut self, refusals: &[Refusal]) {
        self.idle = None;
        self.state = State::Refused;
        self.commands.clear();
        self.refusals.extend_from_slice(refusals);
    }

    /// Makes it unavailable, for this reason.
    pub fn unavailable(&mut self, unavailable: &Unavailable) {
        self.idle = None;
        self.state = State::Unavailable;
        self.commands.clear();
        self.unavailable = Some(unavailable.clone());
    }

    /// The file, and what it points to.
    pub fn title(&self) -> String {
        match &self.link {
            // A link may say anything.
            Some(target) => printable(format!("{} -> {}", self.file.display(), target.display())),
            None => printable(self.file.display().to_string()),
        }
    }
}

impl From<&Unserved> for PluginReport {
    fn from(unserved: &Unserved) -> PluginReport {
        PluginReport {
            plugin: unserved.plugin.clone(),
            soname: unserved.soname.clone(),
            refusal: unserved.refusal.clone(),
        }
    }
}
