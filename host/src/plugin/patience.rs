//! Runs a plugin's code on a thread of its own, so that code which never returns holds nobody up.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::{Code, Refusal};

/// What the two threads have in common. No channel: waiting at one registers a destructor for the thread, for which glibc
/// takes the dynamic linker's lock, and that is just what a library that hangs in its constructor holds.
struct Outcome<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
}

enum State<T> {
    Waiting,
    Done(Result<T, Refusal>),
    GivenUp,
}

/// Runs `work` and waits for it no longer than `timeout`. What comes later goes to `late`.
///
/// # Errors
/// A refusal that names `step` when there is no thread for it or it takes too long; and what `work` itself refuses.
pub(super) fn within<T: Send + 'static>(
    timeout: Duration,
    step: &'static str,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    late: impl FnOnce(T) + Send + 'static,
) -> Result<T, Refusal> {
    let outcome = Arc::new(Outcome {
        state: Mutex::new(State::Waiting),
        ready: Condvar::new(),
    });
    let here = Arc::clone(&outcome);
    let run = move || {
        let done = work();
        let mut state = outcome.state.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*state, done) {
            (State::GivenUp, Ok(value)) => {
                drop(state);
                late(value);
            }
            (State::GivenUp, Err(_)) => {}
            (_, done) => {
                *state = State::Done(done);
                outcome.ready.notify_one();
            }
        }
    };
    thread::Builder::new()
        .name(step.to_owned())
        .spawn(run)
        .map_err(|error| no_thread(step, &error))?;
    let state = here.state.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = here
        .ready
        .wait_timeout_while(state, timeout, |state| matches!(state, State::Waiting));
    let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
    match std::mem::replace(&mut *state, State::GivenUp) {
        State::Done(done) => done,
        State::Waiting | State::GivenUp => Err(Refusal::new(
            Code::LoadTimeout,
            step,
            format!("an answer within {timeout:?}"),
            "no answer yet",
            "# make it faster, or raise plugins.init_timeout",
        )),
    }
}

fn no_thread(step: &'static str, error: &io::Error) -> Refusal {
    let cure = "ulimit -u # is the limit on threads";
    Refusal::new(Code::LoadInit, step, "a thread to run it", error.to_string(), cure)
}
