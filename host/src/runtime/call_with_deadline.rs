//! Runs a plugin's code on a thread of its own, so that code which never returns holds nobody up: it is waited for until a
//! deadline, or until the host is to stop.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use plugin_record::{Code, Refusal};

use crate::process::stop::Stop;
use crate::unavailable::{LoadError, Shortage, Unavailable};

/// How often it is looked whether the host is to stop.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// What the two threads have in common. No channel: waiting at one registers a destructor for the thread, for which glibc
/// takes the dynamic linker's lock, and that is just what a library that hangs in its constructor holds.
struct Outcome<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
}

enum State<T> {
    /// No thread runs it yet.
    New,
    Running,
    Done(Result<T, LoadError>),
    GivenUp,
}

impl<T> Outcome<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is still wanted: what was given up before it began never runs.
    fn begin(&self) -> bool {
        let mut state = self.lock();
        let is_new = matches!(*state, State::New);
        if is_new {
            *state = State::Running;
        }
        is_new
    }

    /// Gives the outcome to the one who waits; back if nobody does any more.
    fn tell(&self, done: Result<T, LoadError>) -> Option<Result<T, LoadError>> {
        let mut state = self.lock();
        if let State::GivenUp = *state {
            return Some(done);
        }
        *state = State::Done(done);
        self.ready.notify_one();
        None
    }

    /// Waits for the outcome; gives how far it is by then.
    fn wait(&self, timeout: Duration, stop: &Stop) -> State<T> {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        while matches!(*state, State::New | State::Running) && !stop.is_set() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.ready.wait_timeout(state, left.min(CHECK_INTERVAL));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::replace(&mut *state, State::GivenUp)
    }
}

/// Runs `work` and waits for it no longer than `timeout`, and no longer than until it is time to `stop`. What comes later
/// goes to `late`, on the thread that ran it.
///
/// # Errors
/// A refusal that names `step` when it takes too long; what the machine lacks when there is no thread for it; and what
/// `work` itself gives.
pub(super) fn within<T: Send + 'static>(
    timeout: Duration,
    stop: &Stop,
    step: &'static str,
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
    late: impl FnOnce(Result<T, LoadError>) + Send + 'static,
) -> Result<T, LoadError> {
    let outcome = Arc::new(Outcome {
        state: Mutex::new(State::New),
        ready: Condvar::new(),
    });
    let here = Arc::clone(&outcome);
    let run = move || {
        if outcome.begin()
            && let Some(done) = outcome.tell(work())
        {
            late(done);
        }
    };
    let thread = thread::Builder::new().name(step.to_owned()).spawn(run);
    thread.map_err(|error| Unavailable::thread(step, &error))?;
    match here.wait(timeout, stop) {
        State::Done(done) => done,
        _ if stop.is_set() => Err(LoadError::Stopping),
        // A thread can't begin while the start-up code of another library holds the dynamic linker.
        State::New => Err(Unavailable::new(Shortage::Linker, step, "the thread to run it did not begin").into()),
        State::Running | State::GivenUp => Err(LoadError::Refused(timed_out(step, timeout))),
    }
}

/// Code of a plugin that did not return in time.
pub(super) fn timed_out(step: &str, timeout: Duration) -> Refusal {
    let cure = "# make it faster, or raise plugins.init_timeout";
    let expected = format!("an answer within {timeout:?}");
    Refusal::new(Code::LoadTimeout, step, expected, "no answer yet", cure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_up_before_it_began_never_runs() {
        let outcome = Outcome::<()> {
            state: Mutex::new(State::New),
            ready: Condvar::new(),
        };
        let given_up = outcome.wait(Duration::ZERO, &Stop::never());
        assert!(matches!(given_up, State::New));
        assert!(!outcome.begin(), "nobody waits for it");
    }

    #[test]
    fn what_comes_too_late_goes_elsewhere() {
        let outcome = Outcome {
            state: Mutex::new(State::New),
            ready: Condvar::new(),
        };
        assert!(outcome.begin());
        assert!(matches!(outcome.wait(Duration::ZERO, &Stop::never()), State::Running));
        assert_eq!(outcome.tell(Ok(7)), Some(Ok(7)));
    }
}
