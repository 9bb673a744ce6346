//! Holds a soname of a package with the version of it that should serve: the result of one decision and the input of the
//! next.

use std::sync::Arc;

use plugin_record::Line;

use crate::admission::admit::Admitted;
use crate::admission::names::{soname, stem};
use crate::admission::stage::Digest;

/// A soname of a package, and the version of it that should serve.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The plugin's name.
    pub plugin: String,
    /// Its soname.
    pub soname: String,
    /// Its compatibility line.
    pub line: Line,
    /// Whether the soname has a link or a file.
    pub is_linked: bool,
    /// The version; or why there is none although the soname is known.
    pub desired: Result<Arc<Admitted>, NoVersion>,
    /// Whether that version is to take the soname's link.
    pub takes_link: bool,
}

/// Why no version of a soname should serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoVersion {
    /// What stands at the soname is refused: its own refusals say why.
    Refused,
    /// What stands at the soname is of a package whose name differs in `-` and `_` alone.
    NameTaken,
    /// There are only pre-releases, which wait for a link.
    PreReleases,
    /// It was tried and failed, which was said then.
    Failed,
    /// The operator has taken the link away.
    Removed,
}

impl Candidate {
    /// A file that is brought into the directory as `host install` does it, with its link.
    pub fn newcomer(admitted: &Arc<Admitted>) -> Candidate {
        let record = admitted.record();
        Candidate {
            plugin: record.name.clone(),
            soname: soname(record),
            line: record.line(),
            is_linked: record.version.pre.is_empty(),
            desired: Ok(Arc::clone(admitted)),
            takes_link: true,
        }
    }

    /// What distinguishes it from others: plugin and soname.
    pub fn key(&self) -> (&str, &str) {
        (&self.plugin, &self.soname)
    }

    /// The content of the version that should serve.
    pub fn digest(&self) -> Option<Digest> {
        self.desired.as_ref().ok().map(|admitted| admitted.digest())
    }

    /// Whether the operator has taken its link away.
    pub fn is_removed(&self) -> bool {
        matches!(self.desired, Err(NoVersion::Removed))
    }

    /// The order in which the lines of one plugin come: those that have a link first, then the lower ones; one whose link was
    /// taken away comes last.
    pub fn line_order(&self) -> impl Ord + use<> {
        (self.is_removed(), !self.is_linked, self.line)
    }

    /// Whether both are of packages whose names differ in `-` and `_` alone: their files would have the same names.
    pub fn has_name_of(&self, other: &Candidate) -> bool {
        self.plugin != other.plugin && stem(&self.plugin) == stem(&other.plugin)
    }

    /// Whether both come to the same.
    pub fn is_same(&self, other: &Candidate) -> bool {
        let desired = |candidate: &Candidate| {
            let desired = candidate.desired.as_ref();
            desired.map(|admitted| admitted.digest()).map_err(|why| *why)
        };
        self.key() == other.key()
            && desired(self) == desired(other)
            && (self.is_linked, self.takes_link) == (other.is_linked, other.takes_link)
    }
}
