//! Groups the admitted files of a plugin directory by soname and package, each group with what stands at its soname. Pure.
//! Does not decide which version of a group serves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use plugin_record::{Line, Record};

use super::verdicts::Verdict;
use crate::admission::admit::Admitted;
use crate::admission::names::{self, LibraryName};
use crate::admission::stage::Digest;

/// One entry and what was found about it.
#[derive(Debug)]
pub struct Finding {
    /// The entry's path.
    pub path: PathBuf,
    /// Its file name, taken apart.
    pub name: LibraryName,
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

/// Groups the admitted files among the findings, sorted by soname and package. `in_doubt` are the names at which something
/// stands that is not admitted.
pub fn group(findings: &[Finding], in_doubt: &BTreeSet<String>) -> Vec<Group> {
    let mut groups = BTreeMap::new();
    for finding in findings {
        if let Ok(admitted) = &finding.verdict {
            let record = admitted.record();
            let key = (names::soname(record), record.name.clone());
            let group = groups.entry(key).or_insert_with(|| Group::new(record));
            group.add(finding, admitted);
        }
    }
    let linked: Vec<(String, String)> = groups
        .iter()
        .filter(|(_, group)| group.is_linked())
        .map(|(key, _)| key.clone())
        .collect();
    for group in groups.values_mut() {
        let is_other = |(soname, plugin): &&(String, String)| *soname == group.soname && *plugin != group.plugin;
        if in_doubt.contains(&group.soname) {
            group.at_soname = AtSoname::Refused;
        } else if let Some((_, other)) = linked.iter().find(is_other) {
            group.at_soname = AtSoname::Other(other.clone());
        }
    }
    groups.into_values().collect()
}

impl Group {
    fn new(record: &Record) -> Group {
        Group {
            soname: names::soname(record),
            plugin: record.name.clone(),
            line: record.line(),
            at_soname: AtSoname::Nothing,
            files: Vec::new(),
        }
    }

    fn add(&mut self, finding: &Finding, admitted: &Arc<Admitted>) {
        let at_soname = finding.name.to_string() == self.soname;
        match (at_soname, finding.link.is_some()) {
            (true, true) => {
                self.at_soname = AtSoname::Link(Arc::clone(admitted));
                return; // the link is no name of its own
            }
            (true, false) => self.at_soname = AtSoname::File(Arc::clone(admitted)),
            (false, _) => {}
        }
        // Several names of one content are one version, best known by the fullest of them.
        let known = self
            .files
            .iter_mut()
            .find(|(_, file)| file.digest() == admitted.digest());
        match known {
            Some((name, _)) if name.parts.len() >= finding.name.parts.len() => {}
            Some((name, _)) => *name = finding.name.clone(),
            None => self.files.push((finding.name.clone(), Arc::clone(admitted))),
        }
    }

    /// Whether its soname leads to one of its versions.
    pub fn is_linked(&self) -> bool {
        matches!(self.at_soname, AtSoname::Link(_) | AtSoname::File(_))
    }

    /// The admitted real files, one for each content.
    pub fn files(&self) -> &[(LibraryName, Arc<Admitted>)] {
        &self.files
    }

    /// The file with the highest version among those that `is_meant`; of two with one version the one with the fuller name.
    pub fn highest(&self, is_meant: impl Fn(&LibraryName, &Admitted) -> bool) -> Option<&(LibraryName, Arc<Admitted>)> {
        let meant = self.files.iter().filter(|(name, admitted)| is_meant(name, admitted));
        meant.max_by_key(|(name, admitted)| (&admitted.record().version, name.parts.len()))
    }

    /// The name of a file in the directory with this content.
    pub fn file_name(&self, digest: Digest) -> Option<String> {
        let mut files = self.files.iter();
        let file = files.find(|(_, file)| file.digest() == digest);
        file.map(|(name, _)| name.to_string())
    }
}
