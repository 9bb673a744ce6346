//! Holds what the plugin directory offers: a verdict on every entry, and the admitted files grouped by soname with what their
//! link says. Reads the directory; does not decide what serves, which is `selection`'s part.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use plugin_record::{Code, Refusal};

use super::groups::{Finding, Group, group};
use super::links::link_command;
use super::misnamed::Misnamed;
use super::scan::Directory;
use super::verdicts::{Evaluation, NotAdmitted, Verdict, VerdictCache, refused};
use crate::admission::inspect::inspect;
use crate::admission::names::{self, LibraryName, Platform};
use crate::admission::stage::{self, Digest, Staging};
use crate::config::Config;
use crate::files::stability::StabilityTracker;
use crate::shell::rename;

/// A plugin directory with everything in it judged.
#[derive(Debug)]
pub struct Survey {
    /// The directory's canonical path.
    pub directory: PathBuf,
    /// One for each entry, sorted by path.
    pub findings: Vec<Finding>,
    /// One for each soname and package that an admitted file has, sorted by them.
    pub groups: Vec<Group>,
    /// Files as cargo names them, which are not served.
    pub unversioned: Vec<PathBuf>,
    /// Files that look like libraries and have no plugin's name.
    pub misnamed: Vec<(PathBuf, Misnamed)>,
    /// Names at which something stands that is refused or not complete yet.
    pub in_doubt: BTreeSet<String>,
    /// Those of them of which it is not known yet what they are: not complete, or the machine could not judge them.
    pub undecided: BTreeSet<String>,
    /// How many files have changed and are not complete yet.
    pub unsettled: usize,
}

impl Survey {
    /// The path of a file with this content, or of a link to one that lies elsewhere.
    pub fn file_with(&self, digest: Digest) -> PathBuf {
        let has = |finding: &&Finding| finding.verdict.as_ref().is_ok_and(|found| found.digest() == digest);
        let mut findings: Vec<&Finding> = self.findings.iter().filter(has).collect();
        findings.sort_by_key(|finding| finding.link.is_some());
        findings
            .first()
            .map_or_else(|| self.directory.clone(), |finding| finding.path.clone())
    }

    /// The versions of a plugin behind a soname.
    pub fn group(&self, plugin: &str, soname: &str) -> Option<&Group> {
        let mut groups = self.groups.iter();
        groups.find(|group| group.plugin == plugin && group.soname == soname)
    }

    /// Where the link at a soname leads, if there is one.
    pub fn link(&self, soname: &str) -> Option<&Path> {
        let finding = self.findings.iter().find(|finding| finding.path.ends_with(soname));
        finding.and_then(|finding| finding.link.as_deref())
    }

    /// The survey of a directory that does not exist.
    pub fn nothing(directory: &Path) -> Survey {
        Survey::new(directory, Vec::new(), BTreeSet::new())
    }

    /// The survey of a directory with these entries in it, sorted by path. `undecided` are names at which something stands
    /// that has no verdict.
    pub fn new(directory: &Path, mut findings: Vec<Finding>, mut undecided: BTreeSet<String>) -> Survey {
        let mut in_doubt = undecided.clone();
        for finding in &findings {
            match &finding.verdict {
                Ok(_) => {}
                Err(NotAdmitted::Refused(_)) => drop(in_doubt.insert(finding.name.to_string())),
                Err(NotAdmitted::Unavailable(_)) => {
                    in_doubt.insert(finding.name.to_string());
                    undecided.insert(finding.name.to_string());
                }
            }
        }
        let groups = group(&findings, &in_doubt);
        for finding in &mut findings {
            name_better_target(finding, &groups);
        }
        Survey {
            directory: directory.to_owned(),
            findings,
            groups,
            unversioned: Vec::new(),
            misnamed: Vec::new(),
            in_doubt,
            undecided,
            unsettled: 0,
        }
    }
}

/// Reads and judges a plugin directory. Runs nothing of it.
///
/// # Errors
/// When the directory can't be read.
pub fn survey(config: &Config, staging: &Staging) -> io::Result<Survey> {
    survey_again(config, staging, &mut VerdictCache::default(), None)
}

/// The same for a directory that was surveyed before: what is as it was is not judged again, and what is not complete yet,
/// if `stability` is asked, is left for later.
///
/// # Errors
/// When the directory can't be read.
pub fn survey_again(
    config: &Config,
    staging: &Staging,
    cache: &mut VerdictCache,
    stability: Option<&mut StabilityTracker>,
) -> io::Result<Survey> {
    let directory = Directory::read(&config.plugins.dir, &config.source)?;
    let mut evaluation = Evaluation::new(config, staging, Some(&directory), cache, stability);
    let mut findings = Vec::with_capacity(directory.entries.len());
    let mut undecided = BTreeSet::new();
    for entry in &directory.entries {
        match evaluation.entry(entry) {
            None => drop(undecided.insert(entry.name.to_string())),
            Some(verdict) => findings.push(Finding {
                path: entry.path.clone(),
                name: entry.name.clone(),
                link: entry.is_link.then(|| entry.target().unwrap_or_default()),
                verdict,
            }),
        }
    }
    let unsettled = evaluation.finish();
    Ok(Survey {
        unversioned: directory.unversioned,
        misnamed: directory.misnamed,
        unsettled,
        ..Survey::new(&directory.path, findings, undecided)
    })
}

/// A soname's link that leads nowhere is to lead to the highest version that there is, where there is one package alone that has
/// it.
fn name_better_target(finding: &mut Finding, groups: &[Group]) {
    let Err(NotAdmitted::Refused(found)) = &finding.verdict else {
        return;
    };
    let [refusal] = found.refusals.as_slice() else { return };
    let mut of_soname = groups.iter().filter(|group| finding.path.ends_with(&group.soname));
    let (Some(group), None) = (of_soname.next(), of_soname.next()) else {
        return;
    };
    let highest = group.highest(|_, admitted| admitted.record().version.pre.is_empty());
    if let Some((file, _)) = highest.filter(|_| matches!(refusal.code, Code::LinkDangling | Code::LinkLoop)) {
        let cure = link_command(&finding.path, &file.to_string());
        let refusal = Refusal {
            cure,
            ..refusal.clone()
        };
        finding.verdict = refused(vec![refusal]);
    }
}

/// Judges one file from elsewhere than the plugin directory: the file alone.
pub fn judge_foreign(file: &Path, config: &Config, staging: &Staging) -> Verdict {
    let mut cache = VerdictCache::default();
    let mut evaluation = Evaluation::new(config, staging, None, &mut cache, None);
    let file_name = file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    match LibraryName::parse(&file_name) {
        Some(name) => evaluation.judge(&name, file, Vec::new()),
        // A name that is wrong and a file that is missing are two reasons, and the second one is what helps.
        None if !file.exists() => refused(stage::read(file).err().into_iter().collect()),
        None => refused(vec![name_form(file, &file_name)]),
    }
}

/// A name that no plugin's file has; the record, if there is one, knows a better one.
fn name_form(file: &Path, file_name: &str) -> Refusal {
    let inspection = stage::read(file).ok().and_then(|bytes| inspect(&bytes).ok());
    let record = inspection.and_then(|inspection| inspection.record.ok());
    let cure = match (record, Misnamed::parse(file_name)) {
        (Some(record), _) => rename(file, &Platform::HOST.file_name(&names::stem(&record.name), None)),
        (None, Some(Misnamed::For(name))) => rename(file, &name.to_string()),
        (None, _) => "# this is no plugin's file: name the one that cargo makes".to_owned(),
    };
    let forms = [None, Some("<version>")].map(|version| Platform::HOST.file_name("<name>", version));
    Refusal::new(Code::NameForm, "file name", forms.join(" or "), file_name, cure)
}
