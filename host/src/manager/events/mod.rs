//! Why the manager reconciles again: something changed in the plugin directory, a signal asks for it, or a handler has ended.
//! All of these are hints: a pass finds what has changed, and a slow poll finds what no hint told.
//!
//! What was heard waits in a bounded place until the manager has time for it: of each path only the last, and beyond so many
//! paths only that they were too many. Whoever writes fast beside a plugin, while another one takes its time to start, costs
//! no memory.

mod debounce;

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use notify::Event;

use self::debounce::Pending;
pub use self::debounce::{Heard, Places};
use super::watcher::Watches;
use crate::files::stability::Settling;

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

/// What is between those who give hints and the manager. No channel: to wait for one registers a destructor with the
/// thread, for which the system takes the dynamic linker's lock, and a library that is being opened may hold that.
#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
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

#[cfg(test)]
mod tests {
    use super::*;

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
