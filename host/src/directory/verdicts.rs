//! Holds the verdicts on the files of a directory, and decides when a file is judged: once as it is, however many links lead
//! to it and however often the directory is surveyed, and not before it is complete. Does not decide what serves.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use plugin_record::{Code, Refusal};

use super::scan::{Directory, Entry, install};
use crate::admission::admit::{Admitted, Refused, admit};
use crate::admission::checks::Host;
use crate::admission::glibc::Glibc;
use crate::admission::host_record::host_record;
use crate::admission::inspect::inspect;
use crate::admission::name_checks::check_link;
use crate::admission::names::{LibraryName, Platform};
use crate::admission::stage::{Digest, NotCopied, Staging};
use crate::config::Config;
use crate::files::stability::{StabilityTracker, Stamp};
use crate::unavailable::Unavailable;

/// The outcome of admission for one entry.
pub type Verdict = Result<Arc<Admitted>, NotAdmitted>;

/// Why an entry is not admitted.
#[derive(Clone, Debug)]
pub enum NotAdmitted {
    /// For reasons of its own.
    Refused(Arc<Refused>),
    /// It could not be judged: the machine lacks something. Not remembered, and tried again.
    Unavailable(Unavailable),
}

impl From<Refused> for NotAdmitted {
    fn from(refused: Refused) -> NotAdmitted {
        NotAdmitted::Refused(Arc::new(refused))
    }
}

impl From<Unavailable> for NotAdmitted {
    fn from(unavailable: Unavailable) -> NotAdmitted {
        NotAdmitted::Unavailable(unavailable)
    }
}

/// The verdicts on files that were judged before, so that a file is not judged again while it is as it was.
#[derive(Debug, Default)]
pub struct VerdictCache {
    files: HashMap<PathBuf, Judged>,
    /// One value for each content, however many files have it.
    contents: HashMap<Digest, Weak<Admitted>>,
    /// Complete files without a verdict: the machine could not judge them in the last survey.
    unjudged: HashMap<PathBuf, Stamp>,
}

#[derive(Debug)]
struct Judged {
    stamp: Option<Stamp>,
    /// What was wrong with the way to it.
    way: Vec<Refusal>,
    verdict: Verdict,
    timings: AdmissionTimings,
    /// Whether this survey has met it.
    seen: bool,
}

/// How long the steps to a verdict took.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdmissionTimings {
    /// From the first look to the one that found it complete.
    pub settle: Duration,
    /// To copy and judge it.
    pub admit: Duration,
}

impl VerdictCache {
    /// Has every file judged again: the policy has changed. Until then what was found before holds.
    pub fn invalidate(&mut self) {
        self.files.values_mut().for_each(|judged| judged.stamp = None);
    }

    /// Has everything judged as if it had never been seen, for the private copies are gone. The files were complete before,
    /// and stay so as long as they look the same.
    pub fn forget(&mut self) {
        let files = self.files.drain();
        let complete = files.filter_map(|(path, judged)| Some((path, judged.stamp?)));
        *self = VerdictCache {
            unjudged: complete.collect(),
            ..VerdictCache::default()
        };
    }

    /// How long it took to admit this content.
    pub fn timings(&self, digest: Digest) -> AdmissionTimings {
        let mut judged = self.files.values();
        let of_content = |judged: &&Judged| {
            judged
                .verdict
                .as_ref()
                .is_ok_and(|admitted| admitted.digest() == digest)
        };
        judged.find(of_content).map(|judged| judged.timings).unwrap_or_default()
    }
}

/// The evaluation of the files of one survey.
pub(super) struct Evaluation<'a> {
    config: &'a Config,
    staging: &'a Staging,
    /// The plugin directory that the files lie in; none for a file from elsewhere, which is judged by itself.
    directory: Option<&'a Directory>,
    cache: &'a mut VerdictCache,
    stability: Option<&'a mut StabilityTracker>,
    unsettled: BTreeSet<PathBuf>,
    unjudged: HashMap<PathBuf, Stamp>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(
        config: &'a Config,
        staging: &'a Staging,
        directory: Option<&'a Directory>,
        cache: &'a mut VerdictCache,
        stability: Option<&'a mut StabilityTracker>,
    ) -> Evaluation<'a> {
        cache.files.values_mut().for_each(|judged| judged.seen = false);
        Evaluation {
            config,
            staging,
            directory,
            cache,
            stability,
            unsettled: BTreeSet::new(),
            unjudged: HashMap::new(),
        }
    }

    /// Forgets files that are gone; returns how many files are not complete yet.
    pub(super) fn finish(self) -> usize {
        self.cache.files.retain(|_, judged| judged.seen);
        self.cache.contents.retain(|_, admitted| admitted.strong_count() > 0);
        self.cache.unjudged = self.unjudged;
        self.unsettled.len()
    }

    /// The verdict on an entry; `None` for a file that is not complete and was never judged.
    pub(super) fn entry(&mut self, entry: &Entry) -> Option<Verdict> {
        let file = match &entry.file {
            Ok(file) => file,
            Err(refusal) => return Some(refused(vec![refusal.clone()])),
        };
        let file_name = file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let Some(name) = LibraryName::parse(&file_name).filter(LibraryName::is_versioned) else {
            return Some(refused(vec![Refusal::new(
                Code::LinkTarget,
                "link target",
                format!("a file named {}", Platform::HOST.file_name("<name>", Some("<version>"))),
                file_name,
                install(file, &self.config.source),
            )]));
        };
        let verdict = self.file(&name, file)?;
        if !entry.is_link {
            return Some(verdict);
        }
        let (record, digest, mut refusals, differences) = match &verdict {
            Ok(admitted) => (
                Some(admitted.record()),
                Some(admitted.digest()),
                Vec::new(),
                admitted.differences(),
            ),
            Err(NotAdmitted::Refused(refused)) => (
                refused.record.as_ref(),
                refused.digest,
                refused.refusals.clone(),
                refused.differences.as_slice(),
            ),
            Err(NotAdmitted::Unavailable(_)) => return Some(verdict),
        };
        // A wrong link to a refused file has one reason more than the file.
        let Some(wrong) = record.and_then(|record| check_link(&entry.path, &entry.name, record).err()) else {
            return Some(verdict);
        };
        refusals.push(wrong);
        let refused = Refused {
            record: record.cloned(),
            digest,
            refusals,
            differences: differences.to_vec(),
        };
        Some(Err(refused.into()))
    }

    /// The verdict on a file of the directory: the one that is known, or a new one if it has changed and is complete.
    fn file(&mut self, name: &LibraryName, file: &Path) -> Option<Verdict> {
        let way = self
            .directory
            .map(|directory| directory.refusals_on_the_way_to(file))
            .unwrap_or_default();
        let look = || fs::metadata(file).ok().map(|metadata| Stamp::from(&metadata));
        let stamp = look();
        if let Some(judged) = self.cache.files.get_mut(file) {
            let was_seen = std::mem::replace(&mut judged.seen, true);
            // Each file is judged once in a survey, however many links lead to it.
            if was_seen || (judged.stamp == stamp && stamp.is_some() && judged.way == way) {
                return Some(judged.verdict.clone());
            }
        }
        if stamp.is_none() && self.directory.is_some() && !file.exists() {
            return None; // it went since the directory was read
        }
        let now = Instant::now();
        let is_complete = stamp.is_some() && self.cache.unjudged.get(file).copied() == stamp;
        let settle = match (&mut self.stability, stamp) {
            _ if is_complete => Some(Duration::ZERO),
            (Some(stability), Some(stamp)) => stability.is_complete(file, stamp, now),
            _ => Some(Duration::ZERO),
        };
        let verdict = settle.map(|_| self.judge(name, file, way.clone()));
        // A writer began meanwhile: what was judged may be partly the old content and partly the new one.
        let is_unchanged = self.stability.is_none() || look() == stamp;
        let (Some(verdict), Some(settle), true) = (verdict, settle, is_unchanged) else {
            if let (Some(stability), false) = (&mut self.stability, is_unchanged) {
                stability.check_by(now);
            }
            self.unsettled.insert(file.to_owned());
            // What it was before holds until it is known what it has become.
            return self.cache.files.get(file).map(|judged| judged.verdict.clone());
        };
        if let Err(NotAdmitted::Unavailable(_)) = verdict {
            self.unjudged.extend(stamp.map(|stamp| (file.to_owned(), stamp)));
            return Some(verdict); // and nothing is known of it but what was known before
        }
        let judged = Judged {
            stamp,
            way,
            verdict: verdict.clone(),
            timings: AdmissionTimings {
                settle,
                admit: now.elapsed(),
            },
            seen: true,
        };
        self.cache.files.insert(file.to_owned(), judged);
        Some(verdict)
    }

    /// Copies and judges a file; `found` is what is wrong already with the way to it.
    pub(super) fn judge(&mut self, name: &LibraryName, file: &Path, mut found: Vec<Refusal>) -> Verdict {
        let copied = match self.staging.copy(file, self.directory.map(|_| &self.config.source)) {
            Ok(copied) => copied,
            Err(NotCopied::Unavailable(unavailable)) => return Err(unavailable.into()),
            Err(NotCopied::Refused(refusals)) => {
                found.extend(refusals);
                return refused(found);
            }
        };
        found.extend(copied.refusals);
        let inspection = inspect(&copied.bytes);
        drop(copied.bytes);
        let host = Host {
            record: host_record(),
            glibc: Glibc::running(),
            policy: &self.config.policy,
        };
        let mut admitted = admit(file, name, found, copied.staged, inspection, host)?;
        let digest = admitted.digest();
        if let Some(known) = self.cache.contents.get(&digest).and_then(Weak::upgrade) {
            return Ok(known); // and the second copy goes
        }
        let named = admitted.name_copy(self.staging);
        named.map_err(|error| Unavailable::staging(&self.staging.directory(), &error))?;
        let admitted = Arc::new(admitted);
        self.cache.contents.insert(digest, Arc::downgrade(&admitted));
        Ok(admitted)
    }
}

/// A file that is refused before it was copied.
pub(super) fn refused(refusals: Vec<Refusal>) -> Verdict {
    let refused = Refused {
        record: None,
        digest: None,
        refusals,
        differences: Vec::new(),
    };
    Err(refused.into())
}
