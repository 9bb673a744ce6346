//! Why the manager looks at the plugin directory again: something changed there, a signal asks for it, or a handler has
//! ended. All of these are hints: what has changed is found by looking, and a slow poll finds what no hint told.
//!
//! What was heard waits in a bounded place until the manager has time for it: of each path only the last, and beyond so many
//! paths only that they were too many. Whoever writes fast beside a plugin, while another one takes its time to start, costs
//! no memory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind};

use super::name::LibraryName;
use super::settle::{Change, SETTLE, Settling};
use super::watch::Watches;
use crate::config::Watched;

/// More paths than this are forgotten, and everything is looked at.
const MOST_PATHS: usize = 4096;

/// One hint of those who are no file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The operator asks for it.
    Reload,
    /// A handler has ended, and another one may take its place.
    Ended,
}

/// Nobody waits for hints any more.
#[derive(Debug, thiserror::Error)]
#[error("nobody waits for hints any more")]
pub struct NobodyWaits;

/// For others who give hints. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sender {
    shared: Weak<Shared>,
}

impl Sender {
    /// Gives a hint; never waits for the manager.
    ///
    /// # Errors
    /// When nobody waits for hints any more.
    pub fn send(&self, hint: Hint) -> Result<(), NobodyWaits> {
        let shared = self.shared.upgrade().ok_or(NobodyWaits)?;
        let mut pending = shared.lock();
        pending.heard.is_reason = true;
        pending.heard.reload |= hint == Hint::Reload;
        shared.changed.notify_all();
        Ok(())
    }
}

/// Where hints come from.
#[derive(Default)]
pub struct Hints {
    shared: Arc<Shared>,
    watches: Watches,
}

/// What was heard in one go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Anything at all.
    pub is_reason: bool,
    /// Somebody asks for the configuration to be reread.
    pub reload: bool,
}

/// What changes are wanted of. An event of anything else, a log for example, is dropped where it is heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The plugin directory, in its canonical form.
    pub directory: PathBuf,
    /// The configuration's file, if it can change.
    pub configuration: Option<PathBuf>,
}

/// What is between those who give hints and the manager. No channel: to wait for one registers a destructor with the
/// thread, for which the system takes the dynamic linker's lock, and a library that is being opened may hold that.
#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    heard: Heard,
    /// What was last heard of each path, unless it says nothing about whether the file is whole.
    changes: HashMap<PathBuf, Change>,
    /// Events were lost.
    forget: bool,
    /// The configuration is being written: it is looked at then, whatever its writer does.
    look_at: Option<Instant>,
    places: Places,
    /// Places that were removed or moved away: what stands there next is another one, even under the same inode number.
    replaced: Vec<PathBuf>,
}

impl Hints {
    /// For others who give hints.
    pub fn sender(&self) -> Sender {
        Sender {
            shared: Arc::downgrade(&self.shared),
        }
    }

    /// Watches these places (none: nothing), again where another directory or file stands there by now; tells whether it
    /// did, for what has changed before was not heard. What can't be watched is tried again every `poll`.
    pub fn watch(&mut self, places: Option<Places>, poll: Duration, settling: &mut Settling) -> bool {
        let places = places.unwrap_or_default();
        let directory = Some(places.directory.as_path()).filter(|path| !path.as_os_str().is_empty());
        let paths: Vec<&Path> = directory.into_iter().chain(places.configuration.as_deref()).collect();
        let replaced = self.shared.lock().begin(&places);
        self.watches.expect_others(&replaced);
        let shared = Arc::clone(&self.shared);
        let fresh = self.watches.keep(&paths, poll, move |event| shared.hear(event));
        if fresh.contains(&places.directory) || !self.watches.has(&places.directory) {
            // A closing that nobody heard would be waited for in vain.
            settling.forget();
        }
        !fresh.is_empty()
    }

    /// Waits for hints, no longer than until `deadline` (for ever without one), and takes all that are there.
    pub fn wait(&self, deadline: Option<Instant>, settling: &mut Settling) -> Heard {
        let mut pending = self.shared.lock();
        loop {
            let now = Instant::now();
            pending.heard.is_reason |= pending.look_at.is_some_and(|at| at <= now);
            if pending.heard.is_reason || deadline.is_some_and(|deadline| deadline <= now) {
                return pending.take(settling);
            }
            pending = match deadline.into_iter().chain(pending.look_at).min() {
                None => self
                    .shared
                    .changed
                    .wait(pending)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let waited = self.shared.changed.wait_timeout(pending, until - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        // Nothing panics while it is held; and a hint more or less does no harm.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called by the watcher's thread, for each event.
    fn hear(&self, event: notify::Result<Event>) {
        let mut pending = self.lock();
        let was = (pending.heard, pending.look_at);
        pending.hear(event);
        if was != (pending.heard, pending.look_at) {
            self.changed.notify_all();
        }
    }
}

impl Pending {
    /// From here on these places are heard of; gives those that were replaced since the last time.
    fn begin(&mut self, places: &Places) -> Vec<PathBuf> {
        self.places.clone_from(places);
        std::mem::take(&mut self.replaced)
    }

    fn hear(&mut self, event: notify::Result<Event>) {
        let event = match event {
            Ok(event) if !event.need_rescan() => event,
            _ => return self.lose(),
        };
        let Some(change) = change(event.kind) else { return };
        for path in event.paths {
            let is_place = self.places.is_configuration(&path) || path == self.places.directory;
            if change == Change::Gone && is_place && !self.replaced.contains(&path) {
                self.replaced.push(path.clone());
            }
            if self.places.is_configuration(&path) {
                // Nobody's closing makes it whole; but one who writes on and on is not looked at each time.
                match change {
                    Change::Written => self.look_at = self.look_at.or_else(|| Some(Instant::now() + SETTLE)),
                    _ => self.heard.is_reason = true,
                }
            } else if self.places.is_of_a_plugin(&path) {
                // While it is written there is nothing to see.
                self.heard.is_reason |= change != Change::Written;
                if change != Change::Other {
                    self.changes.insert(path, change);
                }
            }
        }
        if self.changes.len() > MOST_PATHS {
            self.lose();
        }
    }

    fn lose(&mut self) {
        self.changes.clear();
        self.forget = true;
        self.heard.is_reason = true;
    }

    fn take(&mut self, settling: &mut Settling) -> Heard {
        if std::mem::take(&mut self.forget) {
            settling.forget();
        }
        for (path, change) in self.changes.drain() {
            settling.hear(&path, change);
        }
        self.look_at = self.look_at.filter(|_| !self.heard.is_reason);
        std::mem::take(&mut self.heard)
    }
}

impl Places {
    /// A plugin directory and a configuration's file.
    pub fn new(directory: &Path, watched: &Watched) -> Places {
        Places {
            directory: directory.canonicalize().unwrap_or_else(|_| directory.to_owned()),
            configuration: watched.path().map(Path::to_owned),
        }
    }

    fn is_configuration(&self, path: &Path) -> bool {
        self.configuration.as_deref() == Some(path)
    }

    /// Whether an event at this path can change what the directory offers: at a plugin's name, or at a hidden one by which
    /// some systems exchange whole folders (`..data`).
    fn is_of_a_plugin(&self, path: &Path) -> bool {
        if path == self.directory {
            return true;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.parent() == Some(&self.directory) && (name.starts_with("..") || LibraryName::parse(&name).is_some())
    }
}

/// What an event says of its paths; nothing when somebody opens or reads them, as we do ourselves.
fn change(kind: EventKind) -> Option<Change> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Change::Whole),
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => Some(Change::Written),
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Some(Change::Whole),
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => Some(Change::Gone),
        _ => Some(Change::Other),
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{DataChange, Flag};

    use super::*;

    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));

    fn pending() -> Pending {
        Pending {
            places: Places {
                directory: "/p".into(),
                configuration: Some("/c/plugins.toml".into()),
            },
            ..Pending::default()
        }
    }

    fn event(kind: EventKind, path: &str) -> notify::Result<Event> {
        Ok(Event::new(kind).add_path(path.into()))
    }

    #[test]
    fn what_concerns_nobody_is_dropped() {
        let mut pending = pending();
        for path in ["/p/host.log", "/c/host.log", "/p/sub/libx.so.1", "/c/libx.so.1"] {
            pending.hear(event(CLOSED, path));
        }
        pending.hear(event(EventKind::Access(AccessKind::Read), "/p/libx.so.1"));
        assert!(!pending.heard.is_reason && pending.changes.is_empty(), "{pending:?}");
        for path in ["/p", "/p/..data", "/p/libx.so.1", "/c/plugins.toml"] {
            pending.hear(event(CLOSED, path));
            assert!(std::mem::take(&mut pending.heard).is_reason, "{path}");
        }
    }

    #[test]
    fn of_a_path_the_last_is_kept_and_writing_is_no_reason() {
        let mut pending = pending();
        let path = Path::new("/p/libx.so.1");
        for kind in [CLOSED, WRITTEN] {
            pending.heard = Heard::default();
            pending.hear(event(kind, "/p/libx.so.1"));
        }
        assert!(!pending.heard.is_reason);
        pending.hear(event(EventKind::Any, "/p/libx.so.1"));
        assert_eq!(pending.changes.get(path), Some(&Change::Written));
        pending.hear(event(CLOSED, "/p/libx.so.1"));
        assert_eq!(pending.changes.get(path), Some(&Change::Whole));
        assert!(pending.take(&mut Settling::default()).is_reason && pending.changes.is_empty());
    }

    #[test]
    fn a_configuration_that_is_written_on_and_on_is_looked_at_now_and_then() {
        let mut pending = pending();
        pending.hear(event(WRITTEN, "/c/plugins.toml"));
        let first = pending.look_at;
        pending.hear(event(WRITTEN, "/c/plugins.toml"));
        assert!(first.is_some() && first == pending.look_at && !pending.heard.is_reason);
    }

    #[test]
    fn too_many_paths_and_lost_events_are_a_reason_to_look_at_everything() {
        let mut pending = pending();
        for number in 0..=MOST_PATHS {
            pending.hear(event(WRITTEN, &format!("/p/libx.so.{number}")));
        }
        assert!(pending.forget && pending.heard.is_reason && pending.changes.is_empty());
        let mut pending = self::pending();
        pending.hear(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        assert!(pending.forget && pending.heard.is_reason);
    }

    #[test]
    fn a_place_that_was_removed_is_watched_again() {
        let mut pending = pending();
        let removed = EventKind::Remove(notify::event::RemoveKind::File);
        for path in ["/c/plugins.toml", "/c/plugins.toml", "/p/libx.so.1"] {
            pending.hear(event(removed, path));
        }
        let places = pending.places.clone();
        assert_eq!(pending.begin(&places), [Path::new("/c/plugins.toml")]);
        assert!(pending.begin(&places).is_empty());
    }

    #[test]
    fn others_are_heard_and_told_when_nobody_waits() {
        let hints = Hints::default();
        let (one, other) = (hints.sender(), hints.sender());
        let waiter = std::thread::spawn(move || hints.wait(None, &mut Settling::default()));
        one.send(Hint::Reload).expect("somebody waits");
        let heard = waiter.join().expect("no panic");
        assert!(heard.is_reason && heard.reload);
        assert!(other.send(Hint::Ended).is_err());
    }
}
