//! Decides what the system watches for changes: the plugin directory and the configuration's file, each by itself, and again
//! when another one stands at its path. One that can't be watched is polled, and the other stays watched; watching is tried
//! again at each poll, since limits are raised while a host runs. Never looks at what has changed.
//!
//! Of the configuration only the file is watched, not its folder: a log in that folder would cause an event for each line.
//! The file's removal and a rename over it are reported by the old file; where a link leads elsewhere, the poll finds out.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify::{ErrorKind, EventHandler, RecommendedWatcher, RecursiveMode, Watcher};

use crate::files::identity::FileIdentity;

/// What is watched.
#[derive(Default)]
pub(super) struct Watches {
    watcher: Option<RecommendedWatcher>,
    targets: Vec<Target>,
}

struct Target {
    path: PathBuf,
    /// What stood there when it was last tried.
    identity: Option<FileIdentity>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not tried, or nothing was there.
    Unwatched,
    Watched,
    /// Tried then, in vain.
    Failed(Instant),
}

impl Watches {
    /// Watches these paths and no others. Returns those that are watched anew: no event reported what had changed before.
    pub(super) fn keep(&mut self, paths: &[&Path], poll: Duration, tell: impl EventHandler) -> Vec<PathBuf> {
        if !self
            .targets
            .iter()
            .map(|target| target.path.as_path())
            .eq(paths.iter().copied())
        {
            self.watcher = None;
            self.targets = paths.iter().map(|path| Target::new(path)).collect();
        }
        let now = Instant::now();
        let mut due: Vec<&mut Target> = self.targets.iter_mut().collect();
        due.retain_mut(|target| {
            let there = FileIdentity::of(&target.path);
            let is_due = target.state.is_due(target.identity == there, now, poll);
            target.identity = there;
            is_due
        });
        if due.is_empty() {
            return Vec::new();
        }
        let watcher = match self.watcher.take() {
            Some(watcher) => Ok(watcher),
            None => new_watcher(tell),
        };
        match watcher {
            Ok(watcher) => {
                let watcher = self.watcher.insert(watcher);
                due.retain_mut(|target| target.watch(watcher, now, poll));
                due.into_iter().map(|target| target.path.clone()).collect()
            }
            Err(error) => {
                due.into_iter().for_each(|target| target.failed(&error, now, poll));
                Vec::new()
            }
        }
    }

    /// What was watched at these paths is no longer there. A file made anew often has the old one's inode number.
    pub(super) fn expect_others(&mut self, paths: &[PathBuf]) {
        for target in self.targets.iter_mut().filter(|target| paths.contains(&target.path)) {
            target.identity = None;
        }
    }

    /// Whether the system reports changes of this path.
    pub(super) fn has(&self, path: &Path) -> bool {
        let mut targets = self.targets.iter();
        targets.any(|target| target.path == path && target.state == State::Watched)
    }
}

fn new_watcher(tell: impl EventHandler) -> notify::Result<RecommendedWatcher> {
    // notify goes on when it can't start its thread, and panics when it is used: so the host starts one beforehand.
    let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(|| {})?;
    let _ = thread.join();
    notify::recommended_watcher(tell)
}

impl State {
    fn is_due(self, is_same: bool, now: Instant, poll: Duration) -> bool {
        match self {
            State::Unwatched => true,
            State::Watched => !is_same,
            State::Failed(tried) => now >= tried + poll,
        }
    }
}

impl Target {
    fn new(path: &Path) -> Target {
        Target {
            path: path.to_owned(),
            identity: None,
            state: State::Unwatched,
        }
    }

    /// Tells whether it is watched now.
    fn watch(&mut self, watcher: &mut RecommendedWatcher, now: Instant, poll: Duration) -> bool {
        if self.state == State::Watched {
            // That was of another one. Often it has gone by itself, with what was watched.
            let _ = watcher.unwatch(&self.path);
        }
        let watched = match self.identity {
            Some(_) => watcher.watch(&self.path, RecursiveMode::NonRecursive),
            None => Err(notify::Error::path_not_found()),
        };
        match watched {
            Ok(()) => {
                if matches!(self.state, State::Failed(_)) {
                    tracing::info!(path = %self.path.display(), "watched again");
                }
                self.state = State::Watched;
            }
            // The survey or the configuration reports that, and looks for it again.
            Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => self.state = State::Unwatched,
            Err(error) => self.failed(&error, now, poll),
        }
        self.state == State::Watched
    }

    fn failed(&mut self, error: &notify::Error, now: Instant, poll: Duration) {
        if !matches!(self.state, State::Failed(_)) {
            tracing::warn!(
                path = %self.path.display(),
                %error,
                cure = cure(error),
                poll = %humantime::format_duration(poll),
                "can't be watched: its changes are found by polling, and it is tried again at each poll"
            );
        }
        self.state = State::Failed(now);
    }
}

/// What to do about an error, for the log.
fn cure(error: &notify::Error) -> &'static str {
    let code = match &error.kind {
        ErrorKind::MaxFilesWatch => Some(libc::ENOSPC),
        ErrorKind::Io(error) => io::Error::raw_os_error(error),
        _ => None,
    };
    match code {
        Some(libc::ENOSPC) => "raise the sysctl fs.inotify.max_user_watches",
        Some(libc::EMFILE) => "raise the sysctl fs.inotify.max_user_instances, or the limit on open files",
        Some(libc::EACCES) => "let the host's user read it",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_tried_at_each_poll_and_what_is_watched_when_it_is_another_one() {
        let (start, poll) = (Instant::now(), Duration::from_secs(10));
        assert!(State::Unwatched.is_due(true, start, poll));
        assert!(!State::Watched.is_due(true, start + poll, poll));
        assert!(State::Watched.is_due(false, start, poll));
        assert!(!State::Failed(start).is_due(false, start + poll / 2, poll));
        assert!(State::Failed(start).is_due(true, start + poll, poll));
    }

    #[test]
    fn a_limit_is_named_by_its_sysctl() {
        let of = |code| notify::Error::io(io::Error::from_raw_os_error(code));
        assert!(cure(&notify::Error::new(ErrorKind::MaxFilesWatch)).contains("max_user_watches"));
        assert!(cure(&of(libc::EMFILE)).contains("max_user_instances"));
        assert_eq!(cure(&of(libc::EIO)), "");
    }
}
