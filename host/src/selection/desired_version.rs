//! Decides which version of each soname should serve. Pure.
//!
//! At the start: what the soname's link leads to, or the file there; without either, the highest version that is no pre-release.
//! While the host runs: the same, except that a file that was not there before takes over where its version is higher than what
//! serves, that a link that is gone was taken away, and that a damaged one changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::candidate::{Candidate, NoVersion};
use super::soname_state::{Absence, LinkState, Served, SonameState, Sonames};
use super::tried::Tried;
use crate::admission::admit::Admitted;
use crate::admission::stage::Digest;
use crate::config::{Config, Replace};
use crate::directory::groups::{AtSoname, Group};
use crate::directory::survey::Survey;

/// What a start should serve of each soname, less what has been tried in vain.
pub fn at_start(survey: &Survey, tried: &Tried) -> Vec<Candidate> {
    let of_group = |group: &Group| {
        let desired = at_start_of(group).and_then(|admitted| match tried.setback(admitted.digest()) {
            Some(_) => Err(NoVersion::Failed),
            None => Ok(admitted),
        });
        Candidate {
            plugin: group.plugin.clone(),
            soname: group.soname.clone(),
            line: group.line,
            is_linked: group.is_linked(),
            desired,
            takes_link: matches!(group.at_soname, AtSoname::Nothing),
        }
    };
    survey.groups.iter().map(of_group).collect()
}

/// What a start should serve of a soname: what it leads to, or the highest version that is no pre-release.
fn at_start_of(group: &Group) -> Result<Arc<Admitted>, NoVersion> {
    match &group.at_soname {
        AtSoname::Link(admitted) | AtSoname::File(admitted) => Ok(Arc::clone(admitted)),
        AtSoname::Refused => Err(NoVersion::Refused),
        AtSoname::Other(_) => Err(NoVersion::NameTaken),
        AtSoname::Nothing => {
            let highest = group.highest(|_, admitted| is_release(admitted));
            let highest = highest.map(|(_, admitted)| Arc::clone(admitted));
            highest.ok_or(NoVersion::PreReleases)
        }
    }
}

/// A pre-release serves only where a link leads to it.
fn is_release(admitted: &Admitted) -> bool {
    admitted.record().version.pre.is_empty()
}

/// What should serve while the host runs.
#[derive(Debug, Default)]
pub struct Desired {
    /// One for each soname and package that is there or serves, sorted by them.
    pub candidates: Vec<Candidate>,
    /// What is not taken over silently.
    pub other_contents: Vec<OtherContent>,
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

/// What should serve of each soname, by what lies in the directory, what serves, and what was tried.
pub fn while_running(survey: &Survey, sonames: &Sonames, tried: &Tried, config: &Config) -> Desired {
    let groups = survey.groups.iter();
    let offered = groups.map(|group| (group.soname.as_str(), group.plugin.as_str()));
    let serving = sonames.all_served().map(|(soname, served)| (soname, served.plugin()));
    let all: BTreeSet<(&str, &str)> = offered.chain(serving).collect();
    let mut desired = Desired::default();
    for (soname, plugin) in all {
        let decision = Decision {
            soname,
            group: survey.group(plugin, soname),
            served: sonames.served(soname).filter(|served| served.plugin() == plugin),
            survey,
            sonames,
            tried,
            config,
        };
        let (candidate, other) = decision.candidate();
        desired.candidates.extend(candidate);
        desired.other_contents.extend(other);
    }
    desired
}

/// All that decides about one soname of one package.
struct Decision<'a> {
    soname: &'a str,
    group: Option<&'a Group>,
    served: Option<&'a Served>,
    survey: &'a Survey,
    sonames: &'a Sonames,
    tried: &'a Tried,
    config: &'a Config,
}

/// What should serve if nothing new had come.
struct Base {
    version: Result<Arc<Admitted>, NoVersion>,
    /// Whether the soname has a link or a file.
    is_linked: bool,
}

impl Base {
    fn linked(version: Result<Arc<Admitted>, NoVersion>) -> Base {
        Base {
            version,
            is_linked: true,
        }
    }

    fn unlinked(version: Result<Arc<Admitted>, NoVersion>) -> Base {
        Base {
            version,
            is_linked: false,
        }
    }
}

impl Decision<'_> {
    fn candidate(&self) -> (Option<Candidate>, Option<OtherContent>) {
        let files = self.group.and_then(|group| group.files().first());
        let any = self.served.map(|served| &served.admitted);
        let Some(any) = any.or(files.map(|(_, admitted)| admitted)) else {
            return (None, None);
        };
        let record = any.record();
        let (Base { version, is_linked }, other_content) = self.unless_replaced(self.base());
        let base = self.unless_set_back(version);
        let newcomer = self.newcomer(base.as_ref().ok());
        let is_brought_again = self.sonames.is_brought_again(self.soname);
        // As at start, one that serves without a link gets one.
        let takes_link = newcomer.is_some() || (!is_linked && (self.served.is_none() || is_brought_again));
        let candidate = Candidate {
            plugin: record.name.clone(),
            soname: self.soname.to_owned(),
            line: record.line(),
            is_linked,
            desired: newcomer.map_or(base, Ok),
            takes_link,
        };
        (Some(candidate), other_content)
    }

    fn base(&self) -> Base {
        match self.group.map(|group| &group.at_soname) {
            Some(AtSoname::Link(admitted) | AtSoname::File(admitted)) => Base::linked(Ok(Arc::clone(admitted))),
            // What the link was moved to does not come up: as for any other link, what serves goes on.
            Some(AtSoname::Other(other)) if self.has_link_failed(other) => Base::unlinked(self.what_serves()),
            Some(AtSoname::Other(_)) => Base::unlinked(Err(NoVersion::NameTaken)),
            // The package that had the soname's link has the soname, also while the link is moved, or damaged.
            _ if self.is_linked_to_other() => Base::unlinked(Err(NoVersion::NameTaken)),
            // Damage is no decision: what serves goes on.
            Some(AtSoname::Refused) => Base::linked(self.what_serves()),
            Some(AtSoname::Nothing) | None if self.survey.in_doubt.contains(self.soname) => {
                Base::linked(self.what_serves())
            }
            Some(AtSoname::Nothing) | None => self.without_link(),
        }
    }

    /// The same where nothing of this package stands at the soname.
    fn without_link(&self) -> Base {
        match (self.served, self.sonames.state(self.soname)) {
            (Some(served), Some(SonameState::Serving { link, .. })) => self.without_its_link(served, *link),
            (None, Some(SonameState::Removed)) => Base::unlinked(Err(NoVersion::Removed)),
            _ => Base::unlinked(self.as_at_start()),
        }
    }

    fn without_its_link(&self, served: &Served, link: LinkState) -> Base {
        let absence = match link {
            LinkState::Present => Absence::Gone, // what stands there is another package's
            LinkState::Missing { absence, .. } => absence,
        };
        match absence {
            Absence::BroughtAgain => Base::unlinked(self.as_at_start()),
            // It never had one, for the directory can't be written.
            _ if !served.is_linked && self.has_file_of(served) => Base::unlinked(self.what_serves()),
            Absence::MayComeBack | Absence::AwaitsFile if served.is_linked => Base::linked(self.what_serves()),
            _ => Base::unlinked(Err(NoVersion::Removed)),
        }
    }

    fn what_serves(&self) -> Result<Arc<Admitted>, NoVersion> {
        let served = self.served.map(|served| Arc::clone(&served.admitted));
        served.ok_or(NoVersion::Refused)
    }

    fn as_at_start(&self) -> Result<Arc<Admitted>, NoVersion> {
        self.group.map_or(Err(NoVersion::Removed), at_start_of)
    }

    /// Whether the package of that name, to which the soname's link leads, has nothing to serve with.
    fn has_link_failed(&self, other: &str) -> bool {
        let group = self.survey.group(other, self.soname);
        match group.map(|group| &group.at_soname) {
            Some(AtSoname::Link(admitted)) => self.served.is_some() && self.is_set_back(admitted),
            _ => false,
        }
    }

    /// Whether a package of the same soname serves there, and had the link when it was last seen.
    fn is_linked_to_other(&self) -> bool {
        let serving = self.sonames.served(self.soname);
        let has_own = self.group.is_some_and(Group::is_linked);
        self.served.is_none() && !has_own && serving.is_some_and(|served| served.is_linked)
    }

    fn has_file_of(&self, served: &Served) -> bool {
        let is_in_doubt = |file: &String| self.survey.in_doubt.contains(file);
        let has_content = |group: &Group| group.file_name(served.key.digest).is_some();
        self.group.is_some_and(has_content) || served.file.as_ref().is_some_and(is_in_doubt)
    }

    /// Other content under the real name that serves is not taken over silently: most often its author
    /// forgot to raise the version number.
    fn unless_replaced(&self, base: Base) -> (Base, Option<OtherContent>) {
        let (Ok(admitted), Some(served)) = (&base.version, self.served) else {
            return (base, None);
        };
        let file = self.group.and_then(|group| group.file_name(admitted.digest()));
        let is_other = admitted.digest() != served.key.digest
            && admitted.record().version == served.admitted.record().version
            && file == served.file;
        match file {
            Some(file) if is_other && base.is_linked && self.config.plugins.replace == Replace::Refuse => {
                let other = OtherContent {
                    soname: self.soname.to_owned(),
                    file,
                    running: served.key.digest,
                    found: admitted.digest(),
                };
                (Base::linked(self.what_serves()), Some(other))
            }
            _ => (base, None),
        }
    }

    /// What failed is not tried again as it is: what serves goes on.
    fn unless_set_back(&self, base: Result<Arc<Admitted>, NoVersion>) -> Result<Arc<Admitted>, NoVersion> {
        let base = base?;
        match (self.is_set_back(&base), self.served) {
            (false, _) => Ok(base),
            (true, Some(served)) => Ok(Arc::clone(&served.admitted)),
            (true, None) => Err(NoVersion::Failed),
        }
    }

    /// One that is deferred may wait for its old instance to end.
    fn is_set_back(&self, admitted: &Admitted) -> bool {
        self.tried.setback(admitted.digest()).is_some()
    }

    /// The highest version that was not there before, if it is higher than what there is.
    fn newcomer(&self, base: Option<&Arc<Admitted>>) -> Option<Arc<Admitted>> {
        let group = self.group?;
        if matches!(group.at_soname, AtSoname::File(_) | AtSoname::Other(_)) || self.is_linked_to_other() {
            return None; // a file is never replaced by a link, and another package not by its namesake
        }
        let highest = group.highest(|name, admitted| {
            is_release(admitted)
                && base.is_none_or(|base| admitted.record().version > base.record().version)
                && self.tried.is_new(&name.to_string(), admitted.digest())
                && !self.is_set_back(admitted)
        });
        highest.map(|(_, admitted)| Arc::clone(admitted))
    }
}

#[cfg(test)]
mod tests;
