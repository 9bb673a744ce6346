//! What the plugin directory offers: every entry judged, and the admitted files grouped by soname with what their link
//! says. Decides which version of a soname is wanted; who gets which command is decided in `claims`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugin_record::Line;
use plugin_record::{Code, Refusal};

use super::links::link_command;
use super::misnamed::Misnamed;
use super::scan::{Directory, Entry};
use super::verdicts::{Judge, Memory, NotAdmitted, Verdict, refused};
use crate::admission::admit::Admitted;
use crate::admission::inspect::inspect;
use crate::admission::names::{self, LibraryName, Platform};
use crate::admission::stage::{self, Digest, Staging};
use crate::config::Config;
use crate::files::stability::Settling;
use crate::selection::command_claims::{Candidate, Unwanted};
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
    /// Names at which something stands that is refused or not whole yet.
    pub in_doubt: BTreeSet<String>,
    /// Those of them of which it is not known yet what they are: not whole, or the machine could not judge them.
    pub undecided: BTreeSet<String>,
    /// How many files have changed and are not whole yet.
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
}

/// One entry and what was found about it.
#[derive(Debug)]
pub struct Finding {
    /// The entry's path.
    pub path: PathBuf,
    /// Where it points, if it is a link.
    pub link: Option<PathBuf>,
    /// Whether it may serve.
    pub verdict: Verdict,
}

/// The versions of one package behind one soname. Packages whose names differ in `-` and `_` alone have the same sonames.
#[derive(Debug)]
pub struct Group {
    /// E.g. `libsubmit_echo.so.1`.
    pub soname: String,
    /// The plugin's name.
    pub plugin: String,
    /// The compatibility line.
    pub line: Line,
    /// What stands at the soname.
    pub at_soname: AtSoname,
    /// The admitted real files, one for each content.
    files: Vec<(LibraryName, Arc<Admitted>)>,
}

/// What stands at a soname in the directory.
#[derive(Debug)]
pub enum AtSoname {
    /// Nothing yet: the highest version may take it.
    Nothing,
    /// A link to an admitted file, which is thereby wanted.
    Link(Arc<Admitted>),
    /// An admitted regular file, which serves and is never replaced by a link.
    File(Arc<Admitted>),
    /// A link or file of the package of that name, whose name differs in `-` and `_` alone: it is what the operator wanted.
    Other(String),
    /// Something that was refused. It is what the operator wanted, so nothing else serves in its place.
    Refused,
}

impl Group {
    /// What a start would serve.
    pub fn candidate(&self) -> Candidate {
        Candidate {
            plugin: self.plugin.clone(),
            soname: self.soname.clone(),
            line: self.line,
            is_linked: self.is_linked(),
            wanted: self.wanted().cloned().ok_or(match self.at_soname {
                AtSoname::Refused => Unwanted::Refused,
                AtSoname::Other(_) => Unwanted::NameTaken,
                _ => Unwanted::PreReleases,
            }),
            takes_link: matches!(self.at_soname, AtSoname::Nothing),
        }
    }

    /// Whether its soname leads to one of its versions.
    fn is_linked(&self) -> bool {
        matches!(self.at_soname, AtSoname::Link(_) | AtSoname::File(_))
    }

    fn key(&self) -> (String, String) {
        (self.soname.clone(), self.plugin.clone())
    }

    /// The admitted real files, one for each content.
    pub fn files(&self) -> &[(LibraryName, Arc<Admitted>)] {
        &self.files
    }

    /// The version that is wanted, if any: what the soname leads to, or the highest that is no pre-release.
    fn wanted(&self) -> Option<&Arc<Admitted>> {
        match &self.at_soname {
            AtSoname::Link(admitted) | AtSoname::File(admitted) => Some(admitted),
            AtSoname::Refused | AtSoname::Other(_) => None,
            AtSoname::Nothing => self
                .files
                .iter()
                .filter(|(_, admitted)| admitted.record().version.pre.is_empty())
                // Of two files with one version the one with the fuller name is meant.
                .max_by_key(|(name, admitted)| (&admitted.record().version, name.parts.len()))
                .map(|(_, admitted)| admitted),
        }
    }

    /// The name of the file with the highest version, of pre-releases or of others.
    pub fn highest(&self, of_pre_releases: bool) -> Option<&LibraryName> {
        let mut files: Vec<_> = self.files.iter().collect();
        files.retain(|(_, admitted)| admitted.record().version.pre.is_empty() != of_pre_releases);
        let highest = files
            .into_iter()
            .max_by_key(|(name, admitted)| (&admitted.record().version, name.parts.len()));
        highest.map(|(name, _)| name)
    }

    /// The name of a file in the directory with this content.
    pub fn file_name(&self, digest: Digest) -> Option<String> {
        self.files
            .iter()
            .find(|(_, file)| file.digest() == digest)
            .map(|(name, _)| name.to_string())
    }
}

impl Survey {
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
        Survey {
            directory: directory.to_owned(),
            findings: Vec::new(),
            groups: Vec::new(),
            unversioned: Vec::new(),
            misnamed: Vec::new(),
            in_doubt: BTreeSet::new(),
            undecided: BTreeSet::new(),
            unsettled: 0,
        }
    }
}

/// Reads and judges a plugin directory. Runs nothing of it.
///
/// # Errors
/// When the directory can't be read.
pub fn survey(config: &Config, staging: &Staging) -> io::Result<Survey> {
    survey_again(config, staging, &mut Memory::default(), None)
}

/// The same for a directory that was surveyed before: what is as it was is not judged again, and what is not whole yet,
/// if `settling` is asked, is left for later.
///
/// # Errors
/// When the directory can't be read.
pub fn survey_again(
    config: &Config,
    staging: &Staging,
    memory: &mut Memory,
    settling: Option<&mut Settling>,
) -> io::Result<Survey> {
    let directory = Directory::read(&config.plugins.dir, &config.source)?;
    let mut judge = Judge::new(config, staging, Some(&directory), memory, settling);
    let mut findings = Vec::with_capacity(directory.entries.len());
    let mut groups = BTreeMap::new();
    let mut in_doubt = BTreeSet::new();
    let mut undecided = BTreeSet::new();
    for entry in &directory.entries {
        let Some(verdict) = judge.entry(entry) else {
            in_doubt.insert(entry.name.to_string());
            undecided.insert(entry.name.to_string());
            continue;
        };
        match &verdict {
            Ok(admitted) => place(&mut groups, entry, admitted),
            Err(error) => {
                in_doubt.insert(entry.name.to_string());
                if let NotAdmitted::Unavailable(_) = error {
                    undecided.insert(entry.name.to_string());
                }
            }
        }
        findings.push(Finding {
            path: entry.path.clone(),
            link: entry.target(),
            verdict,
        });
    }
    let unsettled = judge.finish();
    for finding in &mut findings {
        name_better_target(finding, &groups);
    }
    let at_sonames: Vec<(String, String)> = groups
        .values()
        .filter(|group| group.is_linked())
        .map(Group::key)
        .collect();
    for group in groups.values_mut() {
        let other = at_sonames
            .iter()
            .find(|(soname, plugin)| *soname == group.soname && *plugin != group.plugin);
        if in_doubt.contains(&group.soname) {
            group.at_soname = AtSoname::Refused;
        } else if let Some((_, other)) = other {
            group.at_soname = AtSoname::Other(other.clone());
        }
    }
    Ok(Survey {
        directory: directory.path,
        findings,
        groups: groups.into_values().collect(),
        unversioned: directory.unversioned,
        misnamed: directory.misnamed,
        in_doubt,
        undecided,
        unsettled,
    })
}

/// A soname's link that leads nowhere is to lead to the highest version that there is, where there is one package alone that has
/// it.
fn name_better_target(finding: &mut Finding, groups: &BTreeMap<(String, String), Group>) {
    let Err(NotAdmitted::Refused(found)) = &finding.verdict else {
        return;
    };
    let [refusal] = found.refusals.as_slice() else { return };
    let mut of_soname = groups.values().filter(|group| finding.path.ends_with(&group.soname));
    let (Some(group), None) = (of_soname.next(), of_soname.next()) else {
        return;
    };
    if let Some(file) = group
        .highest(false)
        .filter(|_| matches!(refusal.code, Code::LinkDangling | Code::LinkLoop))
    {
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
    let mut memory = Memory::default();
    let mut judge = Judge::new(config, staging, None, &mut memory, None);
    let file_name = file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    match LibraryName::parse(&file_name) {
        Some(name) => judge.judge(&name, file, Vec::new()),
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

fn place(groups: &mut BTreeMap<(String, String), Group>, entry: &Entry, admitted: &Arc<Admitted>) {
    let record = admitted.record();
    let soname = names::soname(record);
    let key = (soname.clone(), record.name.clone());
    let group = groups.entry(key).or_insert_with(|| Group {
        soname,
        plugin: record.name.clone(),
        line: record.line(),
        at_soname: AtSoname::Nothing,
        files: Vec::new(),
    });
    let at_soname = entry.name.to_string() == group.soname;
    match (at_soname, entry.is_link) {
        (true, true) => group.at_soname = AtSoname::Link(Arc::clone(admitted)),
        (true, false) => group.at_soname = AtSoname::File(Arc::clone(admitted)),
        (false, _) => {}
    }
    if at_soname && entry.is_link {
        return; // the link is no name of its own
    }
    // Several names of one content are one version, best known by the fullest of them.
    let known = group
        .files
        .iter_mut()
        .find(|(_, file)| file.digest() == admitted.digest());
    match known {
        Some((name, _)) if name.parts.len() >= entry.name.parts.len() => {}
        Some((name, _)) => *name = entry.name.clone(),
        None => group.files.push((entry.name.clone(), Arc::clone(admitted))),
    }
}
