//! Holds what is known of each soname from one pass to the next: what serves there, and what has become of its link. Decides
//! when a missing link counts as removed, with a debounce: `ln -sfn` removes a link before it makes the new one. Pure: the
//! caller passes what was seen, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::candidate::Candidate;
use super::instance_key::InstanceKey;
use crate::admission::admit::Admitted;
use crate::files::identity::FileIdentity;
use crate::files::stability::STABLE_FOR;

/// What serves at a soname.
#[derive(Clone, Debug)]
pub struct Served {
    /// Its version.
    pub admitted: Arc<Admitted>,
    /// Its instance's.
    pub key: InstanceKey,
    /// The commands that it serves.
    pub commands: Vec<u8>,
    /// The name of its file when it was last seen.
    pub file: Option<String>,
    /// Whether the soname had a link or a file when it was last seen. One that never had any serves where the directory
    /// can't be written.
    pub is_linked: bool,
    /// Which file it was, when the soname's link was last there.
    pub identity: Option<FileIdentity>,
}

impl Served {
    /// Its plugin's name.
    pub fn plugin(&self) -> &str {
        &self.admitted.record().name
    }
}

/// The state of one soname.
#[derive(Clone, Debug)]
pub enum SonameState {
    /// A version serves.
    Serving {
        /// That version.
        served: Served,
        /// What has become of the soname's link.
        link: LinkState,
    },
    /// The operator has taken its link away: nothing serves until there is a link or something new.
    Removed,
}

/// What has become of the link or file at a soname that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Something stands there, or was about to.
    Present,
    /// Nothing does.
    Missing {
        /// When that was seen first.
        since: Instant,
        /// What it comes to.
        absence: Absence,
    },
}

/// What it means that there is no link any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// It is missing for so short a time that it may come back.
    MayComeBack,
    /// The file that served is being written; an event will report its end.
    AwaitsFile,
    /// The file is another one, although its content is known: both were removed, and the file was brought again.
    BroughtAgain,
    /// It is gone: the operator has taken it away, unless there never was one.
    Gone,
}

/// What a pass sees at a soname that serves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sighting {
    /// Whether anything stands at the soname, whatever it is.
    pub is_present: bool,
    /// Whether something stands at the name of the file that served, and is not complete.
    pub is_file_incomplete: bool,
    /// Which file has that name now.
    pub file: Option<FileIdentity>,
}

impl LinkState {
    /// What has become of the link of a version that serves, by what is seen now.
    pub fn after(self, served: &Served, seen: Sighting, now: Instant) -> LinkState {
        if seen.is_present {
            return LinkState::Present;
        }
        let since = match self {
            LinkState::Present => now,
            LinkState::Missing { since, .. } => since,
        };
        let is_other_file = seen.file.is_some() && seen.file != served.identity;
        let absence = match served.is_linked {
            true if seen.is_file_incomplete => Absence::AwaitsFile,
            false if seen.is_file_incomplete => Absence::Gone,
            _ if is_other_file => Absence::BroughtAgain,
            true if now < since + STABLE_FOR => Absence::MayComeBack,
            _ => Absence::Gone,
        };
        LinkState::Missing { since, absence }
    }

    fn absence(self) -> Option<Absence> {
        match self {
            LinkState::Present => None,
            LinkState::Missing { absence, .. } => Some(absence),
        }
    }

    /// When it is gone, if time alone decides.
    fn due(self) -> Option<Instant> {
        match self {
            LinkState::Missing {
                since,
                absence: Absence::MayComeBack,
            } => Some(since + STABLE_FOR),
            _ => None,
        }
    }
}

/// The states of all sonames that serve, or were taken away.
#[derive(Debug, Default)]
pub struct Sonames(BTreeMap<String, SonameState>);

impl Sonames {
    /// The state of a soname; none if nothing served there.
    pub fn state(&self, soname: &str) -> Option<&SonameState> {
        self.0.get(soname)
    }

    /// What serves at a soname.
    pub fn served(&self, soname: &str) -> Option<&Served> {
        match self.0.get(soname) {
            Some(SonameState::Serving { served, .. }) => Some(served),
            _ => None,
        }
    }

    /// What serves, by soname.
    pub fn all_served(&self) -> impl Iterator<Item = (&str, &Served)> {
        self.0.iter().filter_map(|(soname, state)| match state {
            SonameState::Serving { served, .. } => Some((soname.as_str(), served)),
            SonameState::Removed => None,
        })
    }

    /// What has become of a soname's link; `Present` if nothing is known of it.
    pub fn link(&self, soname: &str) -> LinkState {
        match self.0.get(soname) {
            Some(SonameState::Serving { link, .. }) => *link,
            _ => LinkState::Present,
        }
    }

    /// Whether a soname's link is gone and its file was brought again.
    pub fn is_brought_again(&self, soname: &str) -> bool {
        self.link(soname).absence() == Some(Absence::BroughtAgain)
    }

    /// Takes note of what a pass sees at each soname that serves.
    pub fn observe(&mut self, see: impl Fn(&str, &Served) -> Sighting, now: Instant) {
        for (soname, state) in &mut self.0 {
            if let SonameState::Serving { served, link } = state {
                *link = link.after(served, see(soname, served), now);
            }
        }
    }

    /// When the first of the links that may come back is gone.
    pub fn due(&self) -> Option<Instant> {
        let links = self.0.keys().map(|soname| self.link(soname));
        links.filter_map(LinkState::due).min()
    }

    /// How many sonames have a missing link of which it is not clear yet what that means.
    pub fn undecided(&self) -> usize {
        let links = self.0.keys().filter_map(|soname| self.link(soname).absence());
        let undecided = links.filter(|absence| matches!(absence, Absence::MayComeBack | Absence::AwaitsFile));
        undecided.count()
    }

    /// The states after a pass: these serve now, each with what became of its link, and of the candidates without a version
    /// those stay removed that were taken away.
    pub fn after(serving: impl IntoIterator<Item = (String, Served, LinkState)>, candidates: &[Candidate]) -> Sonames {
        let removed = candidates.iter().filter(|candidate| candidate.is_removed());
        let mut states: BTreeMap<String, SonameState> = removed
            .map(|candidate| (candidate.soname.clone(), SonameState::Removed))
            .collect();
        let serving = serving.into_iter();
        states.extend(serving.map(|(soname, served, link)| (soname, SonameState::Serving { served, link })));
        Sonames(states)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A version that served by the file 1.
    fn served(is_linked: bool) -> Served {
        let admitted = Admitted::for_test("x", semver::Version::new(1, 0, 0), &[2], b"x");
        Served {
            key: InstanceKey {
                digest: admitted.digest(),
                config: "{}".to_owned(),
            },
            admitted: Arc::new(admitted),
            commands: vec![2],
            file: Some("libx.so.1.0.0".to_owned()),
            is_linked,
            identity: Some(FileIdentity::numbered(1)),
        }
    }

    /// What a missing link comes to, so long after that was seen first.
    fn absence(is_linked: bool, seen: Sighting, after: Duration) -> Absence {
        let since = Instant::now();
        let served = served(is_linked);
        let first = LinkState::Present.after(&served, Sighting::default(), since);
        match first.after(&served, seen, since + after) {
            LinkState::Missing { since: kept, absence } if kept == since => absence,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_missing_link_is_debounced() {
        let missing = Sighting {
            file: Some(FileIdentity::numbered(1)),
            ..Sighting::default()
        };
        assert_eq!(absence(true, missing, Duration::ZERO), Absence::MayComeBack);
        assert_eq!(
            absence(true, missing, STABLE_FOR - Duration::from_millis(1)),
            Absence::MayComeBack
        );
        assert_eq!(absence(true, missing, STABLE_FOR), Absence::Gone);
        assert_eq!(
            absence(true, Sighting::default(), STABLE_FOR),
            Absence::Gone,
            "with its file"
        );
        assert_eq!(
            absence(false, missing, Duration::ZERO),
            Absence::Gone,
            "there never was one"
        );
    }

    #[test]
    fn another_file_is_brought_again_and_one_that_is_written_is_waited_for() {
        let other = Sighting {
            file: Some(FileIdentity::numbered(2)),
            ..Sighting::default()
        };
        for after in [Duration::ZERO, STABLE_FOR * 2] {
            assert_eq!(absence(true, other, after), Absence::BroughtAgain);
            assert_eq!(absence(false, other, after), Absence::BroughtAgain);
            let incomplete = Sighting {
                is_file_incomplete: true,
                ..other
            };
            assert_eq!(absence(true, incomplete, after), Absence::AwaitsFile);
        }
    }

    #[test]
    fn a_link_that_came_back_is_missing_anew() {
        let (served, start) = (served(true), Instant::now());
        let present = Sighting {
            is_present: true,
            ..Sighting::default()
        };
        let missing = LinkState::Present.after(&served, Sighting::default(), start);
        assert_eq!(missing.due(), Some(start + STABLE_FOR));
        let back = missing.after(&served, present, start + STABLE_FOR / 2);
        assert_eq!((back, back.due()), (LinkState::Present, None));
        let again = back.after(&served, Sighting::default(), start + STABLE_FOR);
        assert_eq!(again.absence(), Some(Absence::MayComeBack));
    }
}
