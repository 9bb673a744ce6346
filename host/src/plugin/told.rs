//! What the log was told already: the directory is looked at again and again, and a reason is worth one line.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use super::Refusal;
use super::claims::{Candidate, Plan, Unserved, other_content};
use super::report::FileReport;
use super::stage::Digest;
use super::survey::Survey;
use super::unavailable::Unavailable;
use super::wishes::OtherContent;

/// What is known to the log. What ceases to be so is forgotten, and worth a line again when it comes back.
#[derive(Debug, Default)]
pub struct Told {
    files: HashMap<PathBuf, FileReport>,
    unversioned: HashSet<PathBuf>,
    unserved: HashSet<(String, String)>,
    turned_away: HashSet<(Digest, String)>,
    others: HashSet<(String, Digest)>,
    lacks: Vec<Lacking>,
    directory: Option<String>,
}

/// What could not be done, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// The file, soname or folder.
    pub title: String,
    /// The plugin, where it is known.
    pub plugin: Option<String>,
    /// What the machine lacks.
    pub lack: Unavailable,
}

impl Told {
    /// What is lacking now. What was lacking before is no news.
    pub fn lacks(&mut self, lacks: Vec<Lacking>) {
        for lacking in lacks.iter().filter(|lacking| !self.lacks.contains(lacking)) {
            let Lacking { title, plugin, lack } = lacking;
            tracing::warn!(
                file = title,
                plugin,
                code = lack.code.as_str(),
                field = lack.field,
                found = lack.found,
                cure = lack.cure,
                "unavailable, trying again"
            );
        }
        self.lacks = lacks;
    }

    /// Refused files, accepted differences, and files without a version.
    pub fn report(&mut self, survey: &Survey) {
        self.directory = None;
        let mut files = HashMap::new();
        for finding in &survey.findings {
            let file = FileReport::new(finding.path.clone(), finding.link.clone(), &finding.verdict);
            let title = file.title();
            let known = self
                .files
                .get(&finding.path)
                .filter(|known| known.digest == file.digest);
            for refusal in &file.refusals {
                if known.is_none_or(|known| !known.refusals.contains(refusal)) {
                    log_refusal(&title, Some(&file), file.plugin.as_deref(), refusal);
                }
            }
            for difference in &file.differences {
                if known.is_none_or(|known| !known.differences.contains(difference)) {
                    tracing::warn!(
                        file = title,
                        plugin = file.plugin,
                        field = difference.field,
                        host = difference.host,
                        found = difference.plugin,
                        "accepted with a difference"
                    );
                }
            }
            files.insert(finding.path.clone(), file);
        }
        self.files = files;
        for file in &survey.unversioned {
            if !self.unversioned.contains(file) {
                tracing::warn!(
                    file = %file.display(),
                    cure = %format_args!("host install {} --plugins FILE", file.display()),
                    "a library without a version in its name is not served"
                );
            }
        }
        self.unversioned = survey.unversioned.iter().cloned().collect();
    }

    /// Plugins that don't serve for a reason that is in no file.
    pub fn plan(&mut self, plan: &Plan<'_>) {
        let mut now = HashSet::new();
        for unserved in &plan.unserved {
            let key = (title(unserved).to_owned(), unserved.refusal.to_string());
            if !self.unserved.contains(&key) {
                log_unserved(unserved);
            }
            now.insert(key);
        }
        self.unserved = now;
    }

    /// Newcomers that don't get their commands.
    pub fn turned_away(&mut self, plan: &Plan<'_>, losers: &[Digest], sonames: &[Candidate]) {
        for unserved in &plan.unserved {
            let soname = sonames
                .iter()
                .find(|soname| Some(&soname.soname) == unserved.soname.as_ref());
            let digest = soname
                .and_then(|soname| soname.wanted.as_ref().ok())
                .map(|admitted| admitted.digest());
            if let Some(digest) = digest.filter(|digest| losers.contains(digest))
                && self.turned_away.insert((digest, unserved.refusal.to_string()))
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
                    cure = refusal.cure,
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

fn title(unserved: &Unserved) -> &str {
    unserved.soname.as_deref().unwrap_or(&unserved.plugin)
}

fn log_unserved(unserved: &Unserved) {
    log_refusal(title(unserved), None, Some(&unserved.plugin), &unserved.refusal);
}

fn log_refusal(title: &str, file: Option<&FileReport>, plugin: Option<&str>, refusal: &Refusal) {
    tracing::error!(
        file = title,
        plugin,
        version = file.and_then(|file| file.version.as_deref()),
        digest = file.and_then(|file| file.digest.as_deref()),
        code = refusal.code.as_str(),
        field = refusal.field,
        host = refusal.host,
        found = refusal.plugin,
        cure = refusal.cure,
        "refused"
    );
}
