//! Decides when the manager wakes: something changed in the plugin directory, a signal asks for it, or a handler has ended.
//! Decides nothing about what has changed: a pass finds that out, and a slow poll finds what no event reported.
//!
//! Events wait in a bounded place until the manager has time for them: of each path only the last one, and beyond a number of
//! paths only that there were too many. A process that writes fast beside a plugin, while another plugin takes its time to
//! start, costs no memory.

mod debounce;

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use self::debounce::Pending;
pub use self::debounce::{Places, Wakeup};
use super::watcher::Watches;
use crate::files::stability::StabilityTracker;

/// An event that does not come from the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The operator asks for the configuration to be reread (SIGHUP).
    Reload,
    /// An instance has ended, and another one may take its place.
    InstanceEnded,
}

/// The manager has ended, and no event has any effect.
#[derive(Debug, thiserror::Error)]
#[error("the manager has ended")]
pub struct ManagerEnded;

/// The sending end, for the other threads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sender {
    shared: Weak<Shared>,
}

impl Sender {
    /// Sends an event; never waits for the manager.
    ///
    /// # Errors
    /// When the manager has ended.
    pub fn send(&self, event: Event) -> Result<(), ManagerEnded> {
        let shared = self.shared.upgrade().ok_or(ManagerEnded)?;
        let mut pending = shared.lock();
        pending.wakeup.reconcile = true;
        pending.wakeup.reload |= event == Event::Reload;
        shared.changed.notify_all();
        Ok(())
    }
}

/// Where events come from.
#[derive(Default)]
pub struct Events {
    shared: Arc<Shared>,
    watches: Watches,
}

/// What is between those who give events and the manager. No channel: to wait for one registers a destructor with the
/// thread, for which the system takes the dynamic linker's lock, and a library that is being opened may hold that.
#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
}

impl Events {
    /// The sending end, for the other threads.
    pub fn sender(&self) -> Sender {
        Sender {
            shared: Arc::downgrade(&self.shared),
        }
    }

    /// Watches these places (none: nothing), again where another directory or file stands there by now; returns whether it
    /// did, for no event reported what had changed before. What can't be watched is tried again every `poll`.
    pub fn watch(&mut self, places: Option<Places>, poll: Duration, stability: &mut StabilityTracker) -> bool {
        let places = places.unwrap_or_default();
        let directory = Some(places.directory.as_path()).filter(|path| !path.as_os_str().is_empty());
        let paths: Vec<&Path> = directory.into_iter().chain(places.configuration.as_deref()).collect();
        let replaced = self.shared.lock().begin(&places);
        self.watches.expect_others(&replaced);
        let shared = Arc::clone(&self.shared);
        let fresh = self.watches.keep(&paths, poll, move |event| shared.record(event));
        if fresh.contains(&places.directory) || !self.watches.has(&places.directory) {
            // The event of a file's closing may be lost: it must not be waited for.
            stability.forget_events();
        }
        !fresh.is_empty()
    }

    /// Waits for events, no longer than until `deadline` (for ever without one), and takes all that are there.
    pub fn wait(&self, deadline: Option<Instant>, stability: &mut StabilityTracker) -> Wakeup {
        let mut pending = self.shared.lock();
        loop {
            let now = Instant::now();
            pending.wakeup.reconcile |= pending.configuration_due.is_some_and(|at| at <= now);
            if pending.wakeup.reconcile || deadline.is_some_and(|deadline| deadline <= now) {
                return pending.take(stability);
            }
            pending = match deadline.into_iter().chain(pending.configuration_due).min() {
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
        // Nothing panics while it is held; and an event more or less does no harm.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called by the watcher's thread, for each event.
    fn record(&self, event: notify::Result<notify::Event>) {
        let mut pending = self.lock();
        let was = (pending.wakeup, pending.configuration_due);
        pending.record(event);
        if was != (pending.wakeup, pending.configuration_due) {
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_received_and_refused_when_the_manager_has_ended() {
        let events = Events::default();
        let (one, other) = (events.sender(), events.sender());
        let waiter = std::thread::spawn(move || events.wait(None, &mut StabilityTracker::default()));
        one.send(Event::Reload).expect("the manager waits");
        let wakeup = waiter.join().expect("no panic");
        assert!(wakeup.reconcile && wakeup.reload);
        assert!(other.send(Event::InstanceEnded).is_err());
    }
}
