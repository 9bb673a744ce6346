//! Decides when a file is complete: not while a process still writes it. The system reports when a writer has closed a file
//! or has moved a finished one here. Where the system reports nothing (a hard link, a network file system), a file is
//! complete once it has looked the same for a while. Never reads a file's content, and knows nothing of plugins.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a file must look the same, and how long a link must be gone, to count.
pub const STABLE_FOR: Duration = Duration::from_millis(200);
/// An empty file is most often one whose writer has not begun.
const EMPTY_STABLE_FOR: Duration = Duration::from_secs(2);

/// By what of stat(2) a file is known to be as it was. A changed mode or owner changes the last of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What an event says of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its content changes; its writer has not closed it yet.
    Written,
    /// Its writer has closed it, or it was moved here: it is complete.
    Complete,
    /// It is gone.
    Gone,
    /// Something else.
    Other,
}

/// What is known of files that are not known to be complete.
#[derive(Debug, Default)]
pub struct StabilityTracker {
    observed: HashMap<PathBuf, Observation>,
    writing: HashSet<PathBuf>,
    complete: HashSet<PathBuf>,
    next_check: Option<Instant>,
}

#[derive(Debug)]
struct Observation {
    stamp: Stamp,
    since: Instant,
    first: Instant,
}

impl StabilityTracker {
    /// Records a change.
    pub fn record(&mut self, path: &Path, change: Change) {
        match change {
            Change::Written => {
                self.complete.remove(path);
                self.writing.insert(path.to_owned());
            }
            Change::Complete => {
                self.writing.remove(path);
                self.complete.insert(path.to_owned());
            }
            Change::Gone => {
                self.writing.remove(path);
                self.complete.remove(path);
                self.observed.remove(path);
            }
            Change::Other => {}
        }
    }

    /// Events were lost: those recorded before say nothing any more.
    pub fn forget_events(&mut self) {
        self.writing.clear();
        self.complete.clear();
    }

    /// Whether a file that looks like this is complete, and then how long that took to find out. If not, [`next_check`] says when
    /// to ask again.
    ///
    /// [`next_check`]: StabilityTracker::next_check
    pub fn is_complete(&mut self, path: &Path, stamp: Stamp, now: Instant) -> Option<Duration> {
        let first = Observation {
            stamp,
            since: now,
            first: now,
        };
        let observation = self.observed.entry(path.to_owned()).or_insert(first);
        if observation.stamp != stamp {
            observation.stamp = stamp;
            observation.since = now;
        }
        let (since, took) = (observation.since, now - observation.first);
        let enough = if stamp.size == 0 { EMPTY_STABLE_FOR } else { STABLE_FOR };
        if self.writing.contains(path) {
            return None; // an event will report its closing
        }
        if self.complete.contains(path) || now - since >= enough {
            self.complete.remove(path);
            self.observed.remove(path);
            return Some(took);
        }
        self.check_by(since + enough);
        None
    }

    /// Has [`next_check`](StabilityTracker::next_check) say no later time than this.
    pub fn check_by(&mut self, at: Instant) {
        self.next_check = Some(self.next_check.map_or(at, |known| known.min(at)));
    }

    /// When to ask again, if anything is in the balance; asked once for each round.
    pub fn next_check(&mut self) -> Option<Instant> {
        self.next_check.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(size: u64, modified: i64) -> Stamp {
        Stamp {
            device: 1,
            inode: 1,
            size,
            modified: (modified, 0),
            changed: (modified, 0),
        }
    }

    #[test]
    fn a_file_is_complete_when_its_writer_closes_it_or_it_is_stable() {
        let path = Path::new("/x");
        let start = Instant::now();
        let mut stability = StabilityTracker::default();
        // No event: it must look the same, from its last change on.
        assert_eq!(stability.is_complete(path, stamp(1, 1), start), None);
        assert_eq!(stability.next_check(), Some(start + STABLE_FOR));
        let later = start + STABLE_FOR / 2;
        assert_eq!(stability.is_complete(path, stamp(2, 2), later), None);
        assert_eq!(stability.is_complete(path, stamp(2, 2), later + STABLE_FOR / 2), None);
        let stable = stability.is_complete(path, stamp(2, 2), later + STABLE_FOR);
        assert_eq!(stable, Some(STABLE_FOR / 2 + STABLE_FOR));

        // While it is written, looking the same says nothing.
        stability.record(path, Change::Written);
        let much_later = start + STABLE_FOR * 100;
        assert_eq!(stability.is_complete(path, stamp(3, 3), later), None);
        assert_eq!(stability.is_complete(path, stamp(3, 3), much_later), None);
        assert_eq!(stability.is_complete(path, stamp(4, 4), much_later), None);
        stability.record(path, Change::Complete);
        assert!(stability.is_complete(path, stamp(4, 4), much_later).is_some());

        // Its writer has not begun.
        assert_eq!(stability.is_complete(path, stamp(0, 5), start), None);
        assert_eq!(stability.is_complete(path, stamp(0, 5), start + STABLE_FOR), None);
        assert!(
            stability
                .is_complete(path, stamp(0, 5), start + EMPTY_STABLE_FOR)
                .is_some()
        );
    }
}
