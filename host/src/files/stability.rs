//! When a file is whole: not while somebody still writes it. The system says when a writer has closed a file or has moved
//! a finished one here; where it says nothing (a hard link, a network file system), a file is whole once it has looked the
//! same for a while.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a file must look the same, and how long a link must be gone, to count.
pub const SETTLE: Duration = Duration::from_millis(200);
/// An empty file is most often one whose writer has not begun.
const SETTLE_EMPTY: Duration = Duration::from_secs(2);

/// What tells whether a file is as it was, stat(2). A changed mode or owner changes the last of these.
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

/// What was heard of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its content changes; its writer has not closed it yet.
    Written,
    /// Its writer has closed it, or it was moved here: it is whole.
    Whole,
    /// It is gone.
    Gone,
    /// Something else.
    Other,
}

/// What is known of files that were not judged as they are now.
#[derive(Debug, Default)]
pub struct Settling {
    looks: HashMap<PathBuf, Look>,
    writing: HashSet<PathBuf>,
    whole: HashSet<PathBuf>,
    again: Option<Instant>,
}

#[derive(Debug)]
struct Look {
    stamp: Stamp,
    since: Instant,
    first: Instant,
}

impl Settling {
    /// Takes note of a change.
    pub fn hear(&mut self, path: &Path, change: Change) {
        match change {
            Change::Written => {
                self.whole.remove(path);
                self.writing.insert(path.to_owned());
            }
            Change::Whole => {
                self.writing.remove(path);
                self.whole.insert(path.to_owned());
            }
            Change::Gone => {
                self.writing.remove(path);
                self.whole.remove(path);
                self.looks.remove(path);
            }
            Change::Other => {}
        }
    }

    /// Changes were lost: whatever was heard before says nothing any more.
    pub fn forget(&mut self) {
        self.writing.clear();
        self.whole.clear();
    }

    /// Whether a file that looks like this is whole, and then how long that took to find out. If not, [`again`] says when
    /// to ask again.
    ///
    /// [`again`]: Settling::again
    pub fn is_whole(&mut self, path: &Path, stamp: Stamp, now: Instant) -> Option<Duration> {
        let first = Look {
            stamp,
            since: now,
            first: now,
        };
        let look = self.looks.entry(path.to_owned()).or_insert(first);
        if look.stamp != stamp {
            look.stamp = stamp;
            look.since = now;
        }
        let (since, took) = (look.since, now - look.first);
        let enough = if stamp.size == 0 { SETTLE_EMPTY } else { SETTLE };
        if self.writing.contains(path) {
            return None; // its closing will be heard
        }
        if self.whole.contains(path) || now - since >= enough {
            self.whole.remove(path);
            self.looks.remove(path);
            return Some(took);
        }
        self.look_again(since + enough);
        None
    }

    /// Has [`again`](Settling::again) say no later time than this.
    pub fn look_again(&mut self, at: Instant) {
        self.again = Some(self.again.map_or(at, |again| again.min(at)));
    }

    /// When to ask again, if anything is in the balance; asked once for each round.
    pub fn again(&mut self) -> Option<Instant> {
        self.again.take()
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
    fn a_file_is_whole_when_its_writer_says_so_or_it_rests() {
        let path = Path::new("/x");
        let start = Instant::now();
        let mut settling = Settling::default();
        // Nothing heard: it must rest, from its last change on.
        assert_eq!(settling.is_whole(path, stamp(1, 1), start), None);
        assert_eq!(settling.again(), Some(start + SETTLE));
        let later = start + SETTLE / 2;
        assert_eq!(settling.is_whole(path, stamp(2, 2), later), None);
        assert_eq!(settling.is_whole(path, stamp(2, 2), later + SETTLE / 2), None);
        let rested = settling.is_whole(path, stamp(2, 2), later + SETTLE);
        assert_eq!(rested, Some(SETTLE / 2 + SETTLE));

        // While it is written, rest says nothing.
        settling.hear(path, Change::Written);
        let much_later = start + SETTLE * 100;
        assert_eq!(settling.is_whole(path, stamp(3, 3), later), None);
        assert_eq!(settling.is_whole(path, stamp(3, 3), much_later), None);
        assert_eq!(settling.is_whole(path, stamp(4, 4), much_later), None);
        settling.hear(path, Change::Whole);
        assert!(settling.is_whole(path, stamp(4, 4), much_later).is_some());

        // Nobody has begun to write it.
        assert_eq!(settling.is_whole(path, stamp(0, 5), start), None);
        assert_eq!(settling.is_whole(path, stamp(0, 5), start + SETTLE), None);
        assert!(settling.is_whole(path, stamp(0, 5), start + SETTLE_EMPTY).is_some());
    }
}
