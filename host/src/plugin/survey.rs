//! What the plugin directory offers: every entry judged, and the admitted files grouped by soname with what their link
//! says. Decides which version of a soname is wanted; who gets which command is decided in `claims`.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugin_record::{Line, Policy};

use super::admit::{Admitted, Host, Refused, admit, check_link};
use super::directory::{Directory, Entry};
use super::glibc::Glibc;
use super::host_record::host_record;
use super::inspect::inspect;
use super::name::{self, LibraryName, Platform};
use super::stage::{self, Digest, Staging};
use super::{Code, Refusal};

/// A plugin directory with everything in it judged.
#[derive(Debug)]
pub struct Survey {
    /// The directory's canonical path.
    pub directory: PathBuf,
    /// One for each entry, sorted by path.
    pub findings: Vec<Finding>,
    /// One for each soname that an admitted file has, sorted by it.
    pub groups: Vec<Group>,
    /// Files as cargo names them, which are not served.
    pub unversioned: Vec<PathBuf>,
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

/// The outcome of admission for one entry.
pub type Verdict = Result<Arc<Admitted>, Arc<Refused>>;

/// The versions behind one soname.
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
    /// Something that was refused. It is what the operator wanted, so nothing else serves in its place.
    Refused,
}

impl Group {
    /// The version that is wanted, if any: what the soname leads to, or the highest that is no pre-release.
    pub fn wanted(&self) -> Option<&Arc<Admitted>> {
        match &self.at_soname {
            AtSoname::Link(admitted) | AtSoname::File(admitted) => Some(admitted),
            AtSoname::Refused => None,
            AtSoname::Nothing => self
                .files
                .iter()
                .filter(|(_, admitted)| admitted.record().version.pre.is_empty())
                // Of two files with one version the one with the fuller name is meant.
                .max_by_key(|(name, admitted)| (&admitted.record().version, name.parts.len()))
                .map(|(_, admitted)| admitted),
        }
    }

    /// The name of a file in the directory with this content.
    pub fn file_name(&self, digest: Digest) -> Option<String> {
        self.files
            .iter()
            .find(|(_, file)| file.digest() == digest)
            .map(|(name, _)| name.to_string())
    }

    /// Whether the soname has a link or a file that serves.
    pub fn is_linked(&self) -> bool {
        matches!(self.at_soname, AtSoname::Link(_) | AtSoname::File(_))
    }
}

impl Survey {
    /// The survey of a directory that does not exist.
    pub fn nothing(directory: &Path) -> Survey {
        Survey {
            directory: directory.to_owned(),
            findings: Vec::new(),
            groups: Vec::new(),
            unversioned: Vec::new(),
        }
    }
}

/// Reads and judges a plugin directory. Runs nothing of it.
///
/// # Errors
/// When the directory can't be read.
pub fn survey(directory: &Path, staging: &Staging, policy: &Policy) -> io::Result<Survey> {
    let directory = Directory::read(directory)?;
    let mut judge = Judge::new(staging, policy, Some(&directory));
    let mut findings = Vec::with_capacity(directory.entries.len());
    let mut groups = BTreeMap::new();
    let mut refused_names = Vec::new();
    for entry in &directory.entries {
        let verdict = judge.entry(entry);
        match &verdict {
            Ok(admitted) => place(&mut groups, entry, admitted),
            Err(_) => refused_names.push(entry.name.to_string()),
        }
        findings.push(Finding {
            path: entry.path.clone(),
            link: entry.target(),
            verdict,
        });
    }
    for group in groups
        .values_mut()
        .filter(|group| refused_names.contains(&group.soname))
    {
        group.at_soname = AtSoname::Refused;
    }
    Ok(Survey {
        directory: directory.path,
        findings,
        groups: groups.into_values().collect(),
        unversioned: directory.unversioned,
    })
}

/// Judges one file from elsewhere than the plugin directory: the file alone.
pub fn judge_foreign(file: &Path, staging: &Staging, policy: &Policy) -> Verdict {
    let mut judge = Judge::new(staging, policy, None);
    let file_name = file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    match LibraryName::parse(&file_name) {
        Some(name) => judge.file(&name, file),
        // A name that is wrong and a file that is missing are two reasons, and the second one is what helps.
        None if !file.exists() => Err(refused(stage::read(file).err().into_iter().collect())),
        None => Err(refused(vec![Refusal::new(
            Code::NameForm,
            "file name",
            format!(
                "{} or {}",
                Platform::HOST.file_name("<name>", None),
                Platform::HOST.file_name("<name>", Some("<version>"))
            ),
            file_name,
            "# give the file the name that cargo gives it",
        )])),
    }
}

fn place(groups: &mut BTreeMap<String, Group>, entry: &Entry, admitted: &Arc<Admitted>) {
    let record = admitted.record();
    let soname = name::soname(record);
    let group = groups.entry(soname.clone()).or_insert_with(|| Group {
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

struct Judge<'a> {
    staging: &'a Staging,
    policy: &'a Policy,
    /// The plugin directory that the files lie in; none for a file from elsewhere, which is judged by itself.
    directory: Option<&'a Directory>,
    /// Each file is judged once, however many links lead to it.
    files: HashMap<PathBuf, Verdict>,
    /// One value for each content, however many files have it.
    contents: HashMap<Digest, Arc<Admitted>>,
}

impl<'a> Judge<'a> {
    fn new(staging: &'a Staging, policy: &'a Policy, directory: Option<&'a Directory>) -> Judge<'a> {
        Judge {
            staging,
            policy,
            directory,
            files: HashMap::new(),
            contents: HashMap::new(),
        }
    }

    fn entry(&mut self, entry: &Entry) -> Verdict {
        let file = entry.file.as_ref().map_err(|refusal| refused(vec![refusal.clone()]))?;
        let file_name = file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let name = LibraryName::parse(&file_name)
            .filter(LibraryName::is_versioned)
            .ok_or_else(|| {
                refused(vec![Refusal::new(
                    Code::LinkTarget,
                    "link target",
                    format!("a file named {}", Platform::HOST.file_name("<name>", Some("<version>"))),
                    file_name,
                    "# name the file with its version: `host install` does",
                )])
            })?;
        let verdict = match self.files.get(file) {
            Some(known) => known.clone(),
            None => self.file(&name, file),
        };
        self.files.insert(file.clone(), verdict.clone());
        if !entry.is_link {
            return verdict;
        }
        let (record, digest, mut refusals) = match &verdict {
            Ok(admitted) => (Some(admitted.record()), Some(admitted.digest()), Vec::new()),
            Err(refused) => (refused.record.as_ref(), refused.digest, refused.refusals.clone()),
        };
        // A wrong link to a refused file has one reason more than the file.
        let Some(wrong) = record.and_then(|record| check_link(&entry.path, &entry.name, record).err()) else {
            return verdict;
        };
        refusals.push(wrong);
        Err(Arc::new(Refused {
            record: record.cloned(),
            digest,
            refusals,
        }))
    }

    fn file(&mut self, name: &LibraryName, file: &Path) -> Verdict {
        let mut found = self
            .directory
            .map(|directory| directory.refusals_on_the_way_to(file))
            .unwrap_or_default();
        let copied = self.staging.copy(file, self.directory.is_none()).map_err(|refusals| {
            found.extend(refusals);
            refused(std::mem::take(&mut found))
        })?;
        found.extend(copied.refusals);
        let inspection = inspect(&copied.bytes);
        drop(copied.bytes);
        let host = Host {
            record: host_record(),
            glibc: Glibc::running(),
            policy: self.policy,
        };
        let admitted = admit(file, name, found, copied.staged, inspection, host).map_err(Arc::new)?;
        let digest = admitted.digest();
        if let Some(known) = self.contents.get(&digest) {
            return Ok(Arc::clone(known)); // and the second copy goes
        }
        let mut admitted = admitted;
        admitted
            .name_copy(self.staging)
            .map_err(|error| refused(vec![self.staging.unusable(&error)]))?;
        let admitted = Arc::new(admitted);
        self.contents.insert(digest, Arc::clone(&admitted));
        Ok(admitted)
    }
}

fn refused(refusals: Vec<Refusal>) -> Arc<Refused> {
    Arc::new(Refused {
        record: None,
        digest: None,
        refusals,
    })
}
