//! Decides which reasons the log has yet to report: the directory is surveyed again and again, and each reason is worth one
//! line. Never decides what is refused.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use plugin_record::{Note, Refusal};
use semver::Version;

use crate::admission::admit::Admitted;
use crate::admission::names::soname;
use crate::admission::stage::Digest;
use crate::config::Config;
use crate::directory::survey::Survey;
use crate::selection::candidate::Candidate;
use crate::selection::command_claims::Plan;
use crate::selection::desired_version::OtherContent;
use crate::selection::idle::{Outcome, Reason};
use crate::selection::unserved::{Unserved, other_content};
use crate::shell::quoted;
use crate::status::report::{FileReport, MisnamedReport};
use crate::unavailable::Unavailable;

/// What the log has reported. What ceases to be so is forgotten, and worth a line again when it comes back.
#[derive(Debug, Default)]
pub struct Reported {
    files: HashMap<PathBuf, FileReport>,
    /// Libraries whose names are no plugin's.
    nameless: HashSet<PathBuf>,
    /// Why files with their contents don't serve; nothing of those that do.
    idle: HashMap<(PathBuf, Digest), Option<Reason>>,
    unserved: HashSet<(String, String)>,
    turned_away: HashSet<(Digest, String)>,
    others: HashSet<(String, Digest)>,
    unavailable: Vec<UnavailableFor>,
    directory: Option<String>,
}

/// What the machine could not give, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnavailableFor {
    /// The file, soname or folder.
    pub title: String,
    /// The plugin and its version, where they are known.
    pub plugin: Option<(String, Version)>,
    /// What it is.
    pub reason: Unavailable,
}

impl Reported {
    /// What is unavailable now. What was so before is no news.
    pub fn unavailable(&mut self, unavailable: Vec<UnavailableFor>) {
        for new in unavailable.iter().filter(|one| !self.unavailable.contains(one)) {
            let UnavailableFor { title, plugin, reason } = new;
            tracing::warn!(
                file = title,
                plugin = plugin.as_ref().map(|(name, _)| name),
                version = plugin.as_ref().map(|(_, version)| display(version)),
                code = reason.code.as_str(),
                field = reason.field,
                found = reason.found,
                cure = %reason.cure, // unquoted, to be pasted; so it is last
                "unavailable, trying again"
            );
        }
        self.unavailable = unavailable;
    }

    /// Refused files, accepted differences, notes, and files without a version.
    pub fn files(&mut self, survey: &Survey, config: &Config) {
        self.directory = None;
        let mut files: HashMap<PathBuf, FileReport> = HashMap::new();
        for finding in &survey.findings {
            let file = FileReport::new(finding.path.clone(), finding.link.clone(), &finding.verdict);
            let title = file.title();
            let known = self
                .files
                .get(&finding.path)
                .filter(|known| known.digest == file.digest);
            for refusal in &file.refusals {
                if known.is_none_or(|known| !known.refusals.contains(refusal)) {
                    let (plugin, version) = (file.plugin.as_deref(), file.version.as_deref());
                    log_refusal(&title, plugin, version, file.digest.as_deref(), refusal);
                }
            }
            // Of a refused file its refusals are enough, and the rest is news once it is accepted. One line for each content,
            // however many names and links lead to it.
            let is_accepted = |file: &FileReport| file.refusals.is_empty();
            let of_content = |other: &&FileReport| is_accepted(other) && other.digest == file.digest;
            let known: Vec<&FileReport> = files.values().chain(self.files.values()).filter(of_content).collect();
            let is_known = |difference: &Refusal| known.iter().any(|other| other.differences.contains(difference));
            let differences = file.differences.iter().filter(|_| is_accepted(&file));
            for difference in differences.filter(|difference| !is_known(difference)) {
                tracing::warn!(
                    file = title,
                    plugin = file.plugin,
                    version = file.version,
                    field = difference.field,
                    host = difference.host,
                    found = difference.plugin,
                    "accepted with a difference"
                );
            }
            let is_known = |note: &Note| known.iter().any(|other| other.notes.contains(note));
            for note in file.notes.iter().filter(|note| is_accepted(&file) && !is_known(note)) {
                tracing::info!(
                    file = title,
                    plugin = file.plugin,
                    version = file.version,
                    code = note.code.as_str(),
                    field = note.field,
                    found = note.plugin,
                    meaning = note.text,
                    "accepted with a note"
                );
            }
            files.insert(finding.path.clone(), file);
        }
        self.files = files;
        self.nameless(survey, config);
    }

    /// Libraries whose names are no plugin's.
    fn nameless(&mut self, survey: &Survey, config: &Config) {
        for file in survey.unversioned.iter().filter(|file| !self.nameless.contains(*file)) {
            let cure = format!("host install {} --plugins {}", quoted(file), config.source.quoted());
            tracing::warn!(file = %file.display(), %cure, "a library without a version in its name is not served");
        }
        for misnamed in survey.misnamed.iter().filter(|(file, _)| !self.nameless.contains(file)) {
            let MisnamedReport { file, cure } = MisnamedReport::new(misnamed);
            tracing::warn!(file = %file.display(), %cure, "a library whose name is no plugin's is not served");
        }
        let misnamed = survey.misnamed.iter().map(|(file, _)| file);
        self.nameless = survey.unversioned.iter().chain(misnamed).cloned().collect();
    }

    /// Admitted files that don't serve although nothing is wrong with them; `serving` gives what serves at a soname. Of what
    /// lay there at the start older versions are no news; later each file that comes is.
    pub fn idle<'a>(&mut self, outcome: Outcome<'_>, is_start: bool, serving: impl Fn(&str) -> Option<&'a Admitted>) {
        let mut now = HashMap::new();
        for finding in &outcome.survey.findings {
            let Ok(admitted) = &finding.verdict else { continue };
            let soname = soname(admitted.record());
            // One line for each content, however many names and links lead to it.
            let is_known = now.keys().any(|(_, digest)| *digest == admitted.digest());
            if finding.path.ends_with(&soname) || is_known {
                continue;
            }
            let serves = serving(&soname);
            let key = (finding.path.clone(), admitted.digest());
            if serves.is_some_and(|serves| serves.digest() == admitted.digest()) {
                now.insert(key, None);
                continue;
            }
            let idle = outcome.why(admitted, serves);
            let is_news = match self.idle.get(&key) {
                None => !is_start || idle.reason != Reason::OtherVersion,
                Some(None) => false, // the line that it is replaced, or removed, says why
                Some(Some(before)) => {
                    let is_of_others = matches!(idle.reason, Reason::OtherVersion | Reason::LinkRemoved);
                    *before != idle.reason && !is_of_others
                }
            };
            if is_news && !idle.reason.is_said_elsewhere() {
                let record = admitted.record();
                tracing::warn!(
                    file = %finding.path.display(),
                    plugin = record.name,
                    version = %record.version,
                    reason = idle.text,
                    cure = %idle.cure,
                    "does not serve"
                );
            }
            now.insert(key, Some(idle.reason));
        }
        self.idle = now;
    }

    /// Plugins that don't serve for a reason that is in no file.
    pub fn plan(&mut self, plan: &Plan<'_>) {
        let mut now = HashSet::new();
        for unserved in &plan.unserved {
            let key = (title(unserved).to_owned(), reason(&unserved.refusal));
            if !self.unserved.contains(&key) {
                log_unserved(unserved);
            }
            now.insert(key);
        }
        self.unserved = now;
    }

    /// Newcomers that don't get their commands.
    pub fn turned_away(&mut self, plan: &Plan<'_>, losers: &[Digest], candidates: &[Candidate]) {
        for unserved in &plan.unserved {
            let candidate = candidates.iter().find(|candidate| unserved.is_of(candidate));
            let digest = candidate.and_then(Candidate::digest);
            if let Some(digest) = digest.filter(|digest| losers.contains(digest))
                && self.turned_away.insert((digest, reason(&unserved.refusal)))
            {
                log_unserved(unserved);
            }
        }
    }

    /// What failed when it was opened or initialised. Not tried again as it is, so it is news each time.
    pub fn failed(&self, unserved: &Unserved) {
        log_unserved(unserved);
    }

    /// Other content under a name that serves.
    pub fn other_contents(&mut self, directory: &Path, others: Vec<OtherContent>) {
        let mut now = HashSet::new();
        for other in others {
            let key = (other.file.clone(), other.found);
            if !self.others.contains(&key) {
                let refusal = other_content(&other.file, &other.running.to_string(), &other.found.to_string());
                tracing::warn!(
                    file = %directory.join(&other.file).display(),
                    soname = other.soname,
                    code = refusal.code.as_str(),
                    running = %other.running,
                    found = %other.found,
                    cure = %refusal.cure,
                    "other content"
                );
            }
            now.insert(key);
        }
        self.others = now;
    }

    /// The directory can't be read.
    pub fn directory(&mut self, directory: &Path, error: &io::Error) {
        let text = error.to_string();
        if self.directory.as_ref() != Some(&text) {
            tracing::error!(
                directory = %directory.display(),
                error = text,
                "the plugin directory can't be read; what serves goes on"
            );
        }
        self.directory = Some(text);
    }

    /// A link that was made or moved.
    pub fn linked(&self, link: &Path, to: &str, was_there: bool) {
        let link = link.display();
        // Not `target`: that is where an event comes from.
        match was_there {
            true => tracing::info!(%link, to, "link moved"),
            false => tracing::info!(%link, to, "link created"),
        }
    }
}

/// What distinguishes one reason from another; the same one may have another cure the next time.
fn reason(refusal: &Refusal) -> String {
    let Refusal {
        code,
        field,
        host,
        plugin,
        ..
    } = refusal;
    format!("{}: {field}: {host}: {plugin}", code.as_str())
}

fn title(unserved: &Unserved) -> &str {
    unserved.soname.as_deref().unwrap_or(&unserved.plugin)
}

fn log_unserved(unserved: &Unserved) {
    let version = unserved.version.as_ref().map(Version::to_string);
    let plugin = Some(unserved.plugin.as_str());
    log_refusal(title(unserved), plugin, version.as_deref(), None, &unserved.refusal);
}

fn log_refusal(title: &str, plugin: Option<&str>, version: Option<&str>, digest: Option<&str>, refusal: &Refusal) {
    tracing::error!(
        file = title,
        plugin,
        version,
        digest,
        code = refusal.code.as_str(),
        field = refusal.field,
        host = refusal.host,
        found = refusal.plugin,
        cure = %refusal.cure,
        "refused"
    );
}
