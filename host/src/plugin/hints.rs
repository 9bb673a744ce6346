//! Why the manager looks at the plugin directory again: something changed there, a signal asks for it, or a handler has
//! ended. All of these are hints: what has changed is found by looking, and a slow poll finds what no hint told.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::settle::{Change, Settling};

/// So many hints are taken in one go: a fast writer must not keep the manager from looking.
const MOST_AT_ONCE: usize = 4096;

/// For whoever gives hints.
pub type Sender = std::sync::mpsc::Sender<Hint>;

/// One hint.
#[derive(Debug)]
pub enum Hint {
    /// Of the file system.
    Files(notify::Result<Event>),
    /// The operator asks for it.
    Reload,
    /// A handler has ended, and another one may take its place.
    Ended,
}

/// Where hints come from.
pub struct Hints {
    sender: Sender,
    receiver: Receiver<Hint>,
    watcher: Option<RecommendedWatcher>,
    /// What is watched, as it was then: a folder that was removed and made anew is another one.
    watched: Vec<(PathBuf, Option<(u64, u64)>)>,
}

/// What was heard in one go.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Anything at all.
    pub is_reason: bool,
    /// Somebody asks for the configuration to be reread.
    pub reload: bool,
}

impl Default for Hints {
    fn default() -> Hints {
        let (sender, receiver) = channel();
        Hints {
            sender,
            receiver,
            watcher: None,
            watched: Vec::new(),
        }
    }
}

impl Hints {
    /// For others who give hints.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Watches these folders, again where one of them has become another; tells whether it did, for what has changed
    /// before was not heard. What can't be watched is polled all the same.
    pub fn watch(&mut self, folders: &[&Path]) -> bool {
        let as_they_are = || {
            folders
                .iter()
                .map(|folder| ((*folder).to_owned(), identity(folder)))
                .collect()
        };
        let now: Vec<_> = as_they_are();
        if now == self.watched {
            return false;
        }
        let sender = self.sender.clone();
        let tell = move |event| drop(sender.send(Hint::Files(event)));
        let watcher = notify::recommended_watcher(tell).and_then(|mut watcher| {
            for folder in folders.iter().filter(|folder| folder.is_dir()) {
                watcher.watch(folder, RecursiveMode::NonRecursive)?;
            }
            Ok(watcher)
        });
        self.watched = now;
        self.watcher = watcher
            .inspect_err(
                |error| tracing::warn!(%error, "can't watch the plugin directory: changes are found by polling"),
            )
            .ok();
        true
    }

    /// Waits for hints, no longer than until `deadline` (for ever without one), and takes all that are there. Files that
    /// concern nobody are passed over.
    pub fn wait(&self, deadline: Option<Instant>, settling: &mut Settling, concerns: impl Fn(&Path) -> bool) -> Heard {
        let mut heard = Heard::default();
        loop {
            let first = match deadline {
                Some(deadline) => self
                    .receiver
                    .recv_timeout(deadline.saturating_duration_since(Instant::now())),
                // We hold a sender ourselves: this can't be the end.
                None => self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let Ok(first) = first else { return heard };
            for hint in std::iter::once(first).chain(self.receiver.try_iter().take(MOST_AT_ONCE)) {
                heard.is_reason |= match hint {
                    Hint::Reload => {
                        heard.reload = true;
                        true
                    }
                    Hint::Ended => true,
                    Hint::Files(event) => hear(event, settling, &concerns),
                };
            }
            // Our own reading is an event too, and no reason.
            if heard.is_reason {
                return heard;
            }
        }
    }
}

fn identity(folder: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(folder).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Takes note of an event; tells whether it is a reason to look.
fn hear(event: notify::Result<Event>, settling: &mut Settling, concerns: impl Fn(&Path) -> bool) -> bool {
    let Ok(event) = event else {
        settling.forget();
        return true;
    };
    if event.need_rescan() {
        settling.forget();
        return true;
    }
    let change = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Change::Whole,
        EventKind::Access(_) => return false,
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => Change::Written,
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Change::Whole,
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => Change::Gone,
        _ => Change::Other,
    };
    let concerned: Vec<&PathBuf> = event.paths.iter().filter(|path| concerns(path)).collect();
    for path in &concerned {
        settling.hear(path, change);
    }
    // While it is written there is nothing to see.
    !concerned.is_empty() && change != Change::Written
}
