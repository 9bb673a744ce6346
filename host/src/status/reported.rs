//! Decides what of files and plugins is news, and so worth an event: the directory is surveyed again and again, and each reason
//! is worth one. Never decides what is refused.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use plugin_record::{Note, Refusal, printable};

use super::change::{Change, FileId};
use super::publisher::Publisher;
use super::report::{FileReport, MisnamedReport};
use super::snapshot::Lack;
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

/// What was reported. What ceases to be so is forgotten, and worth a line again when it comes back.
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
    unavailable: Vec<Lack>,
    directory: Option<String>,
}

impl Reported {
    /// What is unavailable now. What was so before is no news.
    pub fn unavailable(&mut self, unavailable: Vec<Lack>, publisher: &Publisher) {
        for Lack { of, unavailable } in unavailable.iter().filter(|one| !self.unavailable.contains(one)) {
            publisher.record(Change::Unavailable {
                of: of.clone(),
                unavailable: unavailable.clone(),
            });
        }
        self.unavailable = unavailable;
    }

    /// Refused files, accepted differences, notes, and files without a version.
    pub fn files(&mut self, survey: &Survey, config: &Config, publisher: &Publisher) {
        self.directory = None;
        let mut files: HashMap<PathBuf, FileReport> = HashMap::new();
        for finding in &survey.findings {
            let file = FileReport::new(finding.path.clone(), finding.link.clone(), &finding.verdict);
            let of = FileId::from(&file);
            let known = self
                .files
                .get(&finding.path)
                .filter(|known| known.digest == file.digest);
            for refusal in &file.refusals {
                if known.is_none_or(|known| !known.refusals.contains(refusal)) {
                    publisher.record(Change::Refused {
                        of: of.clone(),
                        refusal: refusal.clone(),
                    });
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
                publisher.record(Change::Difference {
                    of: FileId::without_digest(&file),
                    difference: difference.clone(),
                });
            }
            let is_known = |note: &Note| known.iter().any(|other| other.notes.contains(note));
            for note in file.notes.iter().filter(|note| is_accepted(&file) && !is_known(note)) {
                publisher.record(Change::Noted {
                    of: FileId::without_digest(&file),
                    note: note.clone(),
                });
            }
            files.insert(finding.path.clone(), file);
        }
        self.files = files;
        self.nameless(survey, config, publisher);
    }

    /// Libraries whose names are no plugin's.
    fn nameless(&mut self, survey: &Survey, config: &Config, publisher: &Publisher) {
        for file in survey.unversioned.iter().filter(|file| !self.nameless.contains(*file)) {
            let cure = format!("host install {} --plugins {}", quoted(file), config.source.quoted());
            let file = printable(file.display().to_string());
            publisher.record(Change::Unversioned { file, cure });
        }
        for misnamed in survey.misnamed.iter().filter(|(file, _)| !self.nameless.contains(file)) {
            let MisnamedReport { file, cure } = MisnamedReport::new(misnamed);
            let file = printable(file.display().to_string());
            publisher.record(Change::Misnamed { file, cure });
        }
        let misnamed = survey.misnamed.iter().map(|(file, _)| file);
        self.nameless = survey.unversioned.iter().chain(misnamed).cloned().collect();
    }

    /// Admitted files that don't serve although nothing is wrong with them; `serving` gives what serves at a soname. Of what
    /// lay there at the start older versions are no news; later each file that comes is.
    pub fn idle<'a>(
        &mut self,
        outcome: Outcome<'_>,
        is_start: bool,
        serving: impl Fn(&str) -> Option<&'a Admitted>,
        publisher: &Publisher,
    ) {
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
                publisher.record(Change::NotServed {
                    of: FileId {
                        file: printable(finding.path.display().to_string()),
                        plugin: Some(record.name.clone()),
                        version: Some(record.version.to_string()),
                        digest: None,
                    },
                    idle: idle.clone(),
                });
            }
            now.insert(key, Some(idle.reason));
        }
        self.idle = now;
    }

    /// Plugins that don't serve for a reason that is in no file.
    pub fn plan(&mut self, plan: &Plan<'_>, publisher: &Publisher) {
        let mut now = HashSet::new();
        for unserved in &plan.unserved {
            let key = (title(unserved).to_owned(), reason(&unserved.refusal));
            if !self.unserved.contains(&key) {
                publisher.record(refused(unserved));
            }
            now.insert(key);
        }
        self.unserved = now;
    }

    /// Newcomers that don't get their commands.
    pub fn turned_away(&mut self, plan: &Plan<'_>, losers: &[Digest], candidates: &[Candidate], publisher: &Publisher) {
        for unserved in &plan.unserved {
            let candidate = candidates.iter().find(|candidate| unserved.is_of(candidate));
            let digest = candidate.and_then(Candidate::digest);
            if let Some(digest) = digest.filter(|digest| losers.contains(digest))
                && self.turned_away.insert((digest, reason(&unserved.refusal)))
            {
                publisher.record(refused(unserved));
            }
        }
    }

    /// Other content under a name that serves.
    pub fn other_contents(&mut self, directory: &Path, others: &[OtherContent], publisher: &Publisher) {
        let mut now = HashSet::new();
        for other in others {
            let key = (other.file.clone(), other.found);
            if !self.others.contains(&key) {
                let refusal = other_content(&other.file, &other.running.to_string(), &other.found.to_string());
                publisher.record(Change::OtherContent {
                    file: printable(directory.join(&other.file).display().to_string()),
                    soname: other.soname.clone(),
                    running: other.running.to_string(),
                    found: other.found.to_string(),
                    refusal,
                });
            }
            now.insert(key);
        }
        self.others = now;
    }

    /// Why the directory can't be read, where it can't.
    pub fn directory_error(&self) -> Option<&str> {
        self.directory.as_deref()
    }

    /// The directory can't be read.
    pub fn directory(&mut self, directory: &Path, error: &io::Error, publisher: &Publisher) {
        let text = error.to_string();
        if self.directory.as_ref() != Some(&text) {
            publisher.record(Change::DirectoryUnreadable {
                directory: printable(directory.display().to_string()),
                error: text.clone(),
            });
        }
        self.directory = Some(text);
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

/// The event of a plugin that does not serve for a reason that is in no file.
pub fn refused(unserved: &Unserved) -> Change {
    Change::Refused {
        of: FileId {
            file: title(unserved).to_owned(),
            plugin: Some(unserved.plugin.clone()),
            version: unserved.version.as_ref().map(ToString::to_string),
            digest: None,
        },
        refusal: unserved.refusal.clone(),
    }
}
