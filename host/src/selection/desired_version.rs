//! Which version of each soname should serve now: what its link says, what serves already, and what is new. Pure.
//!
//! At start the links as they stand are all there is to know. Later there is more: a link that is gone was taken away, a
//! damaged one is no wish, and a file that was not there before is meant to take over.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use super::command_claims::{Candidate, Unwanted};
use crate::admission::admit::Admitted;
use crate::admission::stage::Digest;
use crate::config::{Config, Replace};
use crate::directory::survey::{AtSoname, Group, Survey};
use crate::runtime::instances::Key;

/// Which file: inode number and birth.
pub type Identity = (u64, Option<SystemTime>);

/// What serves at a soname.
#[derive(Clone, Debug)]
pub struct Served {
    /// Its version.
    pub admitted: Arc<Admitted>,
    /// Its handler's.
    pub key: Key,
    /// The commands that it serves.
    pub commands: Vec<u8>,
    /// The name of its file when it was last seen.
    pub file: Option<String>,
    /// Whether the soname had a link or a file when it was last looked at.
    pub is_linked: bool,
    /// Which file it was, when the soname's link was last there.
    pub identity: Option<Identity>,
}

/// What the manager knows when it looks at the directory.
#[derive(Debug, Default)]
pub struct Known {
    /// What serves, by soname.
    pub served: BTreeMap<String, Served>,
    /// What was judged before under which name: it is not new.
    pub judged: HashSet<(String, Digest)>,
    /// What could not be loaded or initialised under this configuration.
    pub failed: HashSet<Digest>,
    /// Newcomers that are turned away this time.
    pub held_back: HashSet<Digest>,
    /// Links that are gone for so short a time that they may come back.
    pub may_come_back: BTreeSet<String>,
    /// Sonames whose link is gone and whose file is a new one, although its content is known: both were removed, and the
    /// file was brought again.
    pub brought_again: BTreeSet<String>,
    /// Sonames whose link the operator has taken away: they don't serve until there is a link or something new.
    pub removed: BTreeSet<String>,
}

/// Other content under the name of the file that serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherContent {
    /// The soname.
    pub soname: String,
    /// The file's name.
    pub file: String,
    /// What serves.
    pub running: Digest,
    /// What lies there.
    pub found: Digest,
}

/// The wish for each soname, and what is not taken over silently.
pub fn wishes(survey: &Survey, known: &Known, config: &Config) -> (Vec<Candidate>, Vec<OtherContent>) {
    let groups = survey.groups.iter();
    let offered = groups.map(|group| (group.soname.as_str(), group.plugin.as_str()));
    let serving = known.served.iter();
    let serving = serving.map(|(soname, served)| (soname.as_str(), served.plugin()));
    let all: BTreeSet<(&str, &str)> = offered.chain(serving).collect();
    let mut others = Vec::new();
    let wishes = all.into_iter().filter_map(|(soname, plugin)| {
        let wish = Wish {
            soname,
            group: survey.group(plugin, soname),
            served: known.served.get(soname).filter(|served| served.plugin() == plugin),
            survey,
            known,
            config,
        };
        wish.candidate(&mut others)
    });
    (wishes.collect(), others)
}

struct Wish<'a> {
    soname: &'a str,
    group: Option<&'a Group>,
    served: Option<&'a Served>,
    survey: &'a Survey,
    known: &'a Known,
    config: &'a Config,
}

impl Served {
    /// Its plugin's name.
    pub fn plugin(&self) -> &str {
        &self.admitted.record().name
    }
}

impl Wish<'_> {
    fn candidate(&self, others: &mut Vec<OtherContent>) -> Option<Candidate> {
        let any = self.served.map(|served| &served.admitted).or_else(|| {
            self.group
                .and_then(|group| group.files().first())
                .map(|(_, admitted)| admitted)
        })?;
        let record = any.record();
        let (base, is_linked) = self.base(others);
        let base = self.unless_failed(base);
        let newcomer = self.newcomer(base.as_ref().ok());
        // As at start, one that serves without a link gets one.
        let takes_link = newcomer.is_some() || (!is_linked && (self.served.is_none() || self.is_brought_again()));
        Some(Candidate {
            plugin: record.name.clone(),
            soname: self.soname.to_owned(),
            line: record.line(),
            is_linked,
            wanted: newcomer.map_or(base, Ok),
            takes_link,
        })
    }

    /// What should serve if nothing new had come, and whether the soname has a link or a file.
    fn base(&self, others: &mut Vec<OtherContent>) -> (Result<Arc<Admitted>, Unwanted>, bool) {
        let served = self.served.map(|served| Arc::clone(&served.admitted));
        let serves = || served.clone().ok_or(Unwanted::Refused);
        match self.group.map(|group| &group.at_soname) {
            Some(AtSoname::Link(admitted) | AtSoname::File(admitted)) => {
                (Ok(self.unless_replaced(admitted, others)), true)
            }
            // What the link was moved to does not come up: as for any other link, what serves goes on.
            Some(AtSoname::Other(other)) if self.has_link_failed(other) => (serves(), false),
            Some(AtSoname::Other(_)) => (Err(Unwanted::NameTaken), false),
            // Whoever had the soname's link has the soname, also while the link is moved, or damaged.
            _ if self.is_linked_to_other() => (Err(Unwanted::NameTaken), false),
            // Damage is no wish: what serves goes on.
            Some(AtSoname::Refused) => (serves(), true),
            Some(AtSoname::Nothing) | None if self.survey.in_doubt.contains(self.soname) => (serves(), true),
            Some(AtSoname::Nothing) | None => match self.served {
                Some(_) if self.is_brought_again() => (self.as_at_start(), false),
                Some(served) if served.is_linked => match self.known.may_come_back.contains(self.soname) {
                    true => (serves(), true),
                    false => (Err(Unwanted::Removed), false),
                },
                // It never had one, for the directory can't be written.
                Some(served) if self.has_file_of(served) => (serves(), false),
                Some(_) => (Err(Unwanted::Removed), false),
                None if self.known.removed.contains(self.soname) => (Err(Unwanted::Removed), false),
                None => (self.as_at_start(), false),
            },
        }
    }

    /// Whether the package of that name, to which the soname's link leads, has nothing to serve with.
    fn has_link_failed(&self, other: &str) -> bool {
        let group = self.survey.group(other, self.soname);
        match group.map(|group| &group.at_soname) {
            Some(AtSoname::Link(admitted)) => self.served.is_some() && self.has_failed(admitted),
            _ => false,
        }
    }

    /// Whether a package of the same soname serves there, and had the link when it was last looked.
    fn is_linked_to_other(&self) -> bool {
        let served = self.known.served.get(self.soname);
        let has_own = self
            .group
            .is_some_and(|group| matches!(group.at_soname, AtSoname::Link(_) | AtSoname::File(_)));
        self.served.is_none() && !has_own && served.is_some_and(|served| served.is_linked)
    }

    fn is_brought_again(&self) -> bool {
        self.known.brought_again.contains(self.soname)
    }

    fn as_at_start(&self) -> Result<Arc<Admitted>, Unwanted> {
        self.group
            .map_or(Err(Unwanted::Removed), |group| group.candidate().wanted)
    }

    fn has_file_of(&self, served: &Served) -> bool {
        let digest = served.key.digest;
        self.group.is_some_and(|group| group.file_name(digest).is_some())
            || served
                .file
                .as_ref()
                .is_some_and(|file| self.survey.in_doubt.contains(file))
    }

    /// Other content under the real name that serves is not taken over silently: most often it is a version number that
    /// somebody forgot to raise.
    fn unless_replaced(&self, admitted: &Arc<Admitted>, others: &mut Vec<OtherContent>) -> Arc<Admitted> {
        let Some(served) = self.served else {
            return Arc::clone(admitted);
        };
        let file = self.group.and_then(|group| group.file_name(admitted.digest()));
        let is_other = admitted.digest() != served.key.digest
            && admitted.record().version == served.admitted.record().version
            && file.is_some()
            && file == served.file;
        if !is_other || self.config.plugins.replace == Replace::Allow {
            return Arc::clone(admitted);
        }
        others.push(OtherContent {
            soname: self.soname.to_owned(),
            file: file.unwrap_or_default(),
            running: served.key.digest,
            found: admitted.digest(),
        });
        Arc::clone(&served.admitted)
    }

    /// What failed is not tried again as it is: what serves goes on.
    fn unless_failed(&self, base: Result<Arc<Admitted>, Unwanted>) -> Result<Arc<Admitted>, Unwanted> {
        let base = base?;
        match (self.has_failed(&base), self.served) {
            (false, _) => Ok(base),
            (true, Some(served)) => Ok(Arc::clone(&served.admitted)),
            (true, None) => Err(Unwanted::Failed),
        }
    }

    fn has_failed(&self, admitted: &Admitted) -> bool {
        // One that is held back waits for its old handler to end.
        self.known.failed.contains(&admitted.digest()) || self.known.held_back.contains(&admitted.digest())
    }

    /// The highest version that was not there before, if it is higher than what there is.
    fn newcomer(&self, base: Option<&Arc<Admitted>>) -> Option<Arc<Admitted>> {
        let group = self.group?;
        if matches!(group.at_soname, AtSoname::File(_) | AtSoname::Other(_)) || self.is_linked_to_other() {
            return None; // a file is never replaced by a link, and another package not by its namesake
        }
        let is_new = |name: &String, admitted: &Admitted| {
            !self.known.judged.contains(&(name.clone(), admitted.digest()))
                && !self.known.held_back.contains(&admitted.digest())
        };
        let files = group.files().iter().filter(|(name, admitted)| {
            let version = &admitted.record().version;
            version.pre.is_empty()
                && base.is_none_or(|base| *version > base.record().version)
                && is_new(&name.to_string(), admitted)
                && !self.has_failed(admitted)
        });
        let highest = files.max_by_key(|(name, admitted)| (&admitted.record().version, name.parts.len()));
        highest.map(|(_, admitted)| Arc::clone(admitted))
    }
}
