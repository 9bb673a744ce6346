//! The word that it is time to stop, as a value that everyone holds, and the watchdog over the end. What stopping in order means
//! for a connection or a plugin is theirs to know; who gives the word is `control::signals`' decision.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::error;

use super::exit;

/// What the end may take beyond `server.drain_timeout` before it is cut short: something that it waits for does not come.
const OVERTIME: Duration = Duration::from_secs(1);

/// Says stop, once: by [`Stopper::stop`], or by being dropped, so that an owner who fails does not leave the rest
/// running for ever.
#[derive(Debug)]
pub struct Stopper {
    word: Arc<Word>,
}

impl Stopper {
    /// Tells all who hold the [`Stop`].
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.word.say();
    }
}

/// Whether it is time to stop. Cheap to clone; every clone learns of it.
#[derive(Clone, Debug)]
pub struct Stop {
    word: Arc<Word>,
}

#[derive(Default)]
struct Word {
    was_said: AtomicBool,
    /// Whether there is something that stops in order.
    is_running: AtomicBool,
    listeners: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
    changed: Condvar,
}

impl Word {
    fn say(&self) {
        let listeners = {
            let mut listeners = self.lock();
            self.was_said.store(true, Ordering::Release);
            std::mem::take(&mut *listeners)
        };
        self.changed.notify_all();
        listeners.into_iter().for_each(|listener| listener());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Box<dyn FnOnce() + Send>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Word")
            .field("was_said", &self.was_said)
            .finish_non_exhaustive()
    }
}

impl Stop {
    /// One who says it and one who hears it.
    pub fn channel() -> (Stopper, Stop) {
        let word = Arc::new(Word::default());
        let stop = Stop {
            word: Arc::clone(&word),
        };
        (Stopper { word }, stop)
    }

    /// For what ends by other means.
    pub fn never() -> Stop {
        Stop { word: Arc::default() }
    }

    /// From here on there is something that stops in order. What is done before may wait for somebody, as a configuration that
    /// is a pipe does, and has nothing to lose.
    pub fn in_order(&self) {
        self.word.is_running.store(true, Ordering::Release);
    }

    /// Ends the process when the end takes longer than it may: `drain_timeout`, and a second.
    ///
    /// # Errors
    /// When there is no thread to wait for it.
    pub fn watch_over_the_end(&self, drain_timeout: Duration) -> io::Result<()> {
        let stop = self.clone();
        exit::critical("watchdog", move || {
            stop.wait();
            std::thread::sleep(drain_timeout + OVERTIME);
            error!("the end takes too long, cut short");
            exit::at_once(exit::INTERNAL);
        })
        .map(drop)
    }

    /// Whether there is something that stops in order.
    pub fn is_in_order(&self) -> bool {
        self.word.is_running.load(Ordering::Acquire)
    }

    /// Whether it is time. One atomic load: may be asked as often as one likes.
    pub fn is_set(&self) -> bool {
        self.word.was_said.load(Ordering::Acquire)
    }

    /// Returns when it is time.
    pub fn wait(&self) {
        let unsaid = |_: &mut Vec<_>| !self.is_set();
        drop(self.word.changed.wait_while(self.word.lock(), unsaid));
    }

    /// Returns when it is time, or `deadline`; whether it is time.
    pub fn wait_until(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let unsaid = |_: &mut Vec<_>| !self.is_set();
        drop(self.word.changed.wait_timeout_while(self.word.lock(), left, unsaid));
        self.is_set()
    }

    /// Calls `listener` when it is time, at once if it is already. The thread that orders the stop calls it, so it must not wait.
    pub fn on_stop(&self, listener: impl FnOnce() + Send + 'static) {
        {
            let mut listeners = self.word.lock();
            if !self.is_set() {
                listeners.push(Box::new(listener));
                return;
            }
        }
        listener();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_clone_learns_of_it() {
        let (stopper, stop) = Stop::channel();
        let other = stop.clone();
        let (tell, told) = std::sync::mpsc::channel();
        let tell_again = tell.clone();
        stop.on_stop(move || tell.send("before").unwrap_or_default());
        assert!(!stop.is_set() && !other.is_set());
        assert!(!stop.wait_until(Instant::now() + Duration::from_millis(1)));
        stopper.stop();
        assert!(stop.is_set() && other.is_set());
        stop.wait();
        assert!(other.wait_until(Instant::now()));
        stop.on_stop(move || tell_again.send("after").unwrap_or_default());
        assert_eq!(told.iter().collect::<Vec<_>>(), ["before", "after"]);
    }
}
