//! Decides when the manager wakes, and gives it what has happened as `Event`s: something changed in the plugin directory,
//! somebody asks for something, or an instance has ended. Decides nothing about what has changed: a pass finds that out, and a
//! slow poll finds what no event reported.
//!
//! Changes of files wait in a bounded place until the manager has time for them: of each path only the last one, and beyond a
//! number of paths only that there were too many. A process that writes fast beside a plugin, while another plugin takes its
//! time to start, costs no memory.

mod debounce;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::sleep_until;

use self::debounce::Pending;
pub use self::debounce::Places;
use super::watcher::Watches;
use crate::files::stability::StabilityTracker;
use crate::process::async_runtime::AsyncRuntime;
use crate::runtime::retired::Retired;

/// How many requests wait at most. Each leads to a whole pass, so those beyond it ask for nothing new.
const MOST_REQUESTS: usize = 128;

/// All that can happen to the manager.
#[derive(Debug)]
pub(super) enum Event {
    /// Something changed in the plugin directory or at the configuration's file.
    Changed,
    /// An instance has ended, and another one may take its place.
    InstanceEnded(Option<Retired>),
    /// Somebody asks for something.
    Request(Request),
    /// It is the time that was waited for.
    Due,
}

/// What can be asked of the manager. Each has an answer; who does not want it drops the receiving end.
#[derive(Debug)]
pub enum Request {
    /// Reread the configuration, and look at everything; the answer is that it is done. What came of it is in the status.
    Reload(oneshot::Sender<()>),
}

/// The manager has ended, and no request has any effect.
#[derive(Debug, thiserror::Error)]
#[error("the manager has ended")]
pub struct ManagerEnded;

/// The sending end, for the other threads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sender {
    requests: mpsc::Sender<Request>,
    /// Without a bound, for each instance ends once.
    ended: mpsc::UnboundedSender<Option<Retired>>,
}

impl Sender {
    /// Asks for something; never waits for the manager. Where too much waits already, the answer is that nobody answers.
    ///
    /// # Errors
    /// When the manager has ended.
    pub fn request(&self, request: Request) -> Result<(), ManagerEnded> {
        match self.requests.try_send(request) {
            Err(mpsc::error::TrySendError::Closed(_)) => Err(ManagerEnded),
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok(()),
        }
    }

    /// An instance has ended. Gives back what is to be told of it where the manager has ended, too.
    pub(super) fn instance_ended(&self, retired: Option<Retired>) -> Option<Retired> {
        self.ended.send(retired).err().and_then(|unsent| unsent.0)
    }
}

/// Where events come from.
pub struct Events {
    requests: mpsc::Receiver<Request>,
    ended: mpsc::UnboundedReceiver<Option<Retired>>,
    sender: Sender,
    changes: Arc<Changes>,
    watches: Watches,
}

/// What is between the watcher's thread and the manager.
#[derive(Debug, Default)]
struct Changes {
    pending: Mutex<Pending>,
    changed: Notify,
}

impl Default for Events {
    fn default() -> Events {
        let (request, requests) = mpsc::channel(MOST_REQUESTS);
        let (end, ended) = mpsc::unbounded_channel();
        Events {
            requests,
            ended,
            sender: Sender {
                requests: request,
                ended: end,
            },
            changes: Arc::default(),
            watches: Watches::default(),
        }
    }
}

impl Events {
    /// The sending end, for the other threads.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Watches these places (none: nothing), again where another directory or file stands there by now; returns whether it
    /// did, for no event reported what had changed before. What can't be watched is tried again every `poll`.
    pub(super) fn watch(&mut self, places: Option<Places>, poll: Duration, stability: &mut StabilityTracker) -> bool {
        let places = places.unwrap_or_default();
        let directory = Some(places.directory.as_path()).filter(|path| !path.as_os_str().is_empty());
        let paths: Vec<&Path> = directory.into_iter().chain(places.configuration.as_deref()).collect();
        let replaced = self.changes.lock().begin(&places);
        self.watches.expect_others(&replaced);
        let changes = Arc::clone(&self.changes);
        let fresh = self.watches.keep(&paths, poll, move |event| changes.record(event));
        if fresh.contains(&places.directory) || !self.watches.has(&places.directory) {
            // The event of a file's closing may be lost: it must not be waited for.
            stability.forget_events();
        }
        !fresh.is_empty()
    }

    /// The manager ends, and who sends from now on learns of it. Gives what was sent before.
    pub(super) fn close(mut self) -> Vec<Event> {
        self.requests.close();
        self.ended.close();
        self.take()
    }

    /// What was sent by now.
    fn take(&mut self) -> Vec<Event> {
        let ended = std::iter::from_fn(|| self.ended.try_recv().ok()).map(Event::InstanceEnded);
        let mut events: Vec<Event> = ended.collect();
        events.extend(std::iter::from_fn(|| self.requests.try_recv().ok()).map(Event::Request));
        events
    }

    /// Waits for events, no longer than until `deadline` (for ever without one), and takes all that are there. `stability` learns
    /// of all changes until then.
    pub(super) fn next(
        &mut self,
        deadline: Option<Instant>,
        stability: &mut StabilityTracker,
        runtime: &AsyncRuntime,
    ) -> Vec<Event> {
        let first = runtime.wait(async {
            tokio::select! {
                biased;
                Some(retired) = self.ended.recv() => Event::InstanceEnded(retired),
                Some(request) = self.requests.recv() => Event::Request(request),
                () = self.changes.settled() => Event::Changed,
                () = until(deadline) => Event::Due,
            }
        });
        let mut events = vec![first];
        events.extend(self.take());
        if self.changes.lock().take(stability) {
            events.push(Event::Changed);
        }
        events
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

impl Changes {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        // Nothing panics while it is held; and an event more or less does no harm.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called by the watcher's thread, for each event.
    fn record(&self, event: notify::Result<notify::Event>) {
        let mut pending = self.lock();
        let was = (pending.is_due, pending.configuration_due);
        pending.record(event);
        if was != (pending.is_due, pending.configuration_due) {
            drop(pending);
            self.changed.notify_one();
        }
    }

    /// Returns when there are changes to look at: a file is complete, or it is time to look at the configuration.
    async fn settled(&self) {
        loop {
            let changed = self.changed.notified(); // before the look: what comes in between is not missed
            let configuration_due = {
                let pending = self.lock();
                if pending.is_due {
                    return;
                }
                pending.configuration_due
            };
            tokio::select! {
                () = changed => {}
                () = until(configuration_due) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_received_and_refused_when_the_manager_has_ended() {
        let runtime = AsyncRuntime::start().expect("a thread");
        let mut events = Events::default();
        let sender = events.sender();
        let (reply, answer) = oneshot::channel();
        sender.request(Request::Reload(reply)).expect("the manager waits");
        let mut stability = StabilityTracker::default();
        let mut found = events.next(None, &mut stability, &runtime);
        let Some(Event::Request(Request::Reload(reply))) = found.pop() else {
            panic!("{found:?}")
        };
        reply.send(()).expect("it is waited for");
        assert!(runtime.wait(answer).is_ok());
        let found = events.next(Some(Instant::now()), &mut stability, &runtime);
        assert!(matches!(found[..], [Event::Due]), "{found:?}");
        drop(events);
        let (reply, _) = oneshot::channel();
        assert!(sender.request(Request::Reload(reply)).is_err());
    }

    #[test]
    fn what_is_asked_for_too_often_is_dropped_and_no_instance_that_ends_is() {
        let runtime = AsyncRuntime::start().expect("a thread");
        let mut events = Events::default();
        let sender = events.sender();
        for _ in 0..2 * MOST_REQUESTS {
            let (reply, _) = oneshot::channel();
            sender.request(Request::Reload(reply)).expect("the manager is there");
            assert!(sender.instance_ended(None).is_none());
        }
        let found = events.next(None, &mut StabilityTracker::default(), &runtime);
        let is_request = |event: &&Event| matches!(event, Event::Request(_));
        assert_eq!(found.iter().filter(is_request).count(), MOST_REQUESTS);
        assert_eq!(found.len(), 3 * MOST_REQUESTS);
    }
}
