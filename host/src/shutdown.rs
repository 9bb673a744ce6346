//! When the process ends: at SIGTERM or SIGINT, in order; at the second of them, at once. What "in order" means for a
//! connection or a plugin is theirs to know: here is only the word that it is time, as a value that everyone holds.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::{info, warn};

use crate::exit;

/// A signal that ends the process unhandled makes a shell say 128 and its number; so do we.
const KILLED: i32 = 128;

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

    /// Stops at the first SIGTERM or SIGINT, and makes the second end the process at once with 128 + its number.
    ///
    /// `on_hangup` is called at each SIGHUP: it is what daemons are told to reread their configuration by.
    ///
    /// # Errors
    /// When the handlers can't be set up, or the thread that waits for them can't be started.
    pub fn on_signals(on_hangup: impl Fn() + Send + 'static) -> io::Result<Stop> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        let (stopper, stop) = Stop::channel();
        // A thread of its own: whatever else is blocked, a second signal must work.
        let wait = move || {
            let mut stopper = Some(stopper);
            for signal in &mut signals {
                let name = match signal {
                    SIGTERM => "SIGTERM",
                    SIGINT => "SIGINT",
                    _ => {
                        on_hangup();
                        continue;
                    }
                };
                match stopper.take() {
                    Some(stopper) => {
                        stopper.stop();
                        info!(signal = name, "stopping"); // after it is so: who reads this may rely on it
                    }
                    None => {
                        warn!(signal = name, "second signal, ending at once");
                        exit::at_once(u8::try_from(KILLED + signal).unwrap_or(exit::INTERNAL));
                    }
                }
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
        Ok(stop)
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

    /// Calls `listener` when it is time, at once if it is already. It is called by whoever says so, and must not wait.
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
