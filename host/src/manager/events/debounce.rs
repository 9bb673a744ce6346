//! Holds the events since the last pass, in bounded memory. Decides which events matter, by their path, and which event of a
//! path counts: the last one. Never looks at a file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind};

use crate::admission::names::LibraryName;
use crate::config::Watched;
use crate::directory::misnamed::Misnamed;
use crate::files::stability::{Change, STABLE_FOR, StabilityTracker};

/// More paths than this are forgotten, and everything is surveyed.
const MOST_PATHS: usize = 4096;

/// The paths whose changes matter. An event of another path, a log for example, is dropped when it comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The plugin directory, in its canonical form.
    pub directory: PathBuf,
    /// The configuration's file, if it can change.
    pub configuration: Option<PathBuf>,
}

#[derive(Debug, Default)]
pub(super) struct Pending {
    /// They ask for a pass.
    pub(super) is_due: bool,
    /// The last change of each path, unless it says nothing about whether the file is complete.
    changes: HashMap<PathBuf, Change>,
    /// Events were lost.
    forget: bool,
    /// The configuration is being written: it is checked at this time, whatever its writer does.
    pub(super) configuration_due: Option<Instant>,
    places: Places,
    /// Places that were removed or moved away: what stands there next is another one, even under the same inode number.
    replaced: Vec<PathBuf>,
}

impl Pending {
    /// From here on events of these places are recorded; returns those that were replaced since the last time.
    pub(super) fn begin(&mut self, places: &Places) -> Vec<PathBuf> {
        self.places.clone_from(places);
        std::mem::take(&mut self.replaced)
    }

    pub(super) fn record(&mut self, event: notify::Result<Event>) {
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
                // No closing makes it complete; but a file that is written on and on is not checked at each write.
                match change {
                    Change::Written => {
                        self.configuration_due = self.configuration_due.or_else(|| Some(Instant::now() + STABLE_FOR))
                    }
                    _ => self.is_due = true,
                }
            } else if self.places.is_of_a_plugin(&path) {
                // While it is written there is nothing to judge.
                self.is_due |= change != Change::Written;
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
        self.is_due = true;
    }

    /// Hands all changes on. Tells whether they ask for a pass.
    pub(super) fn take(&mut self, stability: &mut StabilityTracker) -> bool {
        self.is_due |= self.configuration_due.is_some_and(|at| at <= Instant::now());
        if std::mem::take(&mut self.forget) {
            stability.forget_events();
        }
        for (path, change) in self.changes.drain() {
            stability.record(&path, change);
        }
        self.configuration_due = self.configuration_due.filter(|_| !self.is_due);
        std::mem::take(&mut self.is_due)
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

    /// Whether an event at this path can change what the directory offers: at a plugin's name or nearly one, or at a hidden one
    /// by which some systems exchange whole folders (`..data`).
    fn is_of_a_plugin(&self, path: &Path) -> bool {
        if path == self.directory {
            return true;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.parent() == Some(&self.directory)
            && (name.starts_with("..") || LibraryName::parse(&name).is_some() || Misnamed::parse(&name).is_some())
    }
}

/// What an event says of its paths; nothing when a process opens or reads them, as the host does.
fn change(kind: EventKind) -> Option<Change> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Change::Complete),
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => Some(Change::Written),
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Some(Change::Complete),
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
    fn events_of_other_paths_are_dropped() {
        let mut pending = pending();
        for path in ["/p/host.log", "/c/host.log", "/p/sub/libx.so.1", "/c/libx.so.1"] {
            pending.record(event(CLOSED, path));
        }
        pending.record(event(EventKind::Access(AccessKind::Read), "/p/libx.so.1"));
        assert!(!pending.is_due && pending.changes.is_empty(), "{pending:?}");
        for path in ["/p", "/p/..data", "/p/libx.so.1", "/c/plugins.toml"] {
            pending.record(event(CLOSED, path));
            assert!(std::mem::take(&mut pending.is_due), "{path}");
        }
    }

    #[test]
    fn of_a_path_the_last_is_kept_and_writing_is_no_reason() {
        let mut pending = pending();
        let path = Path::new("/p/libx.so.1");
        for kind in [CLOSED, WRITTEN] {
            pending.is_due = false;
            pending.record(event(kind, "/p/libx.so.1"));
        }
        assert!(!pending.is_due);
        pending.record(event(EventKind::Any, "/p/libx.so.1"));
        assert_eq!(pending.changes.get(path), Some(&Change::Written));
        pending.record(event(CLOSED, "/p/libx.so.1"));
        assert_eq!(pending.changes.get(path), Some(&Change::Complete));
        assert!(pending.take(&mut StabilityTracker::default()) && pending.changes.is_empty());
    }

    #[test]
    fn a_configuration_that_is_written_on_and_on_is_checked_now_and_then() {
        let mut pending = pending();
        pending.record(event(WRITTEN, "/c/plugins.toml"));
        let first = pending.configuration_due;
        pending.record(event(WRITTEN, "/c/plugins.toml"));
        assert!(first.is_some() && first == pending.configuration_due && !pending.is_due);
    }

    #[test]
    fn too_many_paths_and_lost_events_are_a_reason_to_look_at_everything() {
        let mut pending = pending();
        for number in 0..=MOST_PATHS {
            pending.record(event(WRITTEN, &format!("/p/libx.so.{number}")));
        }
        assert!(pending.forget && pending.is_due && pending.changes.is_empty());
        let mut pending = self::pending();
        pending.record(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        assert!(pending.forget && pending.is_due);
    }

    #[test]
    fn a_place_that_was_removed_is_watched_again() {
        let mut pending = pending();
        let removed = EventKind::Remove(notify::event::RemoveKind::File);
        for path in ["/c/plugins.toml", "/c/plugins.toml", "/p/libx.so.1"] {
            pending.record(event(removed, path));
        }
        let places = pending.places.clone();
        assert_eq!(pending.begin(&places), [Path::new("/c/plugins.toml")]);
        assert!(pending.begin(&places).is_empty());
    }
}
