//! Runs a plugin's code on a thread of its own, so that code which never returns holds nobody up: it is waited for until a
//! deadline, or until the host is to stop.
//!
//! The outcome comes through a oneshot channel whose receiver is waited for on an outside thread, directly: sending into it
//! wakes that thread by a Condvar, and needs no thread-local on the thread that ran the code. One would be registered for its
//! destruction, for which glibc takes the dynamic linker's lock, and that is just what a library that hangs in its constructor
//! holds. For the same reason who waits here has called [`AsyncRuntime::prime`] before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use plugin_record::{Code, Refusal};
use tokio::sync::oneshot::{self, Receiver};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::process::async_runtime::AsyncRuntime;
use crate::unavailable::{LoadError, Shortage, Unavailable};

/// Runs `work` and waits for it no longer than `timeout`, and no longer than until it is time to stop. What comes later
/// goes to `late`, on the thread that ran it.
///
/// # Errors
/// A refusal that names `step` when it takes too long; what the machine lacks when there is no thread for it; and what
/// `work` itself gives.
pub(super) fn within<T: Send + 'static>(
    timeout: Duration,
    runtime: &AsyncRuntime,
    step: &'static str,
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
    late: impl FnOnce(Result<T, LoadError>) + Send + 'static,
) -> Result<T, LoadError> {
    let (call, run) = Call::new(work, late);
    let thread = thread::Builder::new().name(step.to_owned()).spawn(run);
    thread.map_err(|error| Unavailable::thread(step, &error))?;
    match runtime.wait(call.end(timeout, runtime.stop())) {
        End::Done(done) => done,
        _ if runtime.is_stopping() => Err(LoadError::Stopping),
        // A thread can't begin while the start-up code of another library holds the dynamic linker.
        End::NotBegun => Err(Unavailable::new(Shortage::Linker, step, "the thread to run it did not begin").into()),
        End::Running => Err(LoadError::Refused(timed_out(step, timeout))),
    }
}

/// A call as it is waited for.
struct Call<T> {
    outcome: Receiver<Result<T, LoadError>>,
    /// Set by whoever comes first: the thread, which then runs the work, or the one who gives it up, and it never runs.
    is_taken: Arc<AtomicBool>,
}

/// How far a call is that is waited for no longer.
enum End<T> {
    Done(Result<T, LoadError>),
    NotBegun,
    Running,
}

impl<T> Call<T> {
    /// The call, and what is to be run for it.
    fn new(
        work: impl FnOnce() -> Result<T, LoadError>,
        late: impl FnOnce(Result<T, LoadError>),
    ) -> (Call<T>, impl FnOnce()) {
        let (tell, outcome) = oneshot::channel();
        let is_taken = Arc::new(AtomicBool::new(false));
        let taken = Arc::clone(&is_taken);
        let run = move || {
            if !taken.swap(true, Ordering::AcqRel)
                && let Err(done) = tell.send(work())
            {
                late(done);
            }
        };
        (Call { outcome, is_taken }, run)
    }

    /// Waits for the outcome, and gives the call up if it does not come.
    async fn end(mut self, timeout: Duration, stop: &CancellationToken) -> End<T> {
        tokio::select! {
            biased;
            Ok(done) = &mut self.outcome => return End::Done(done),
            () = stop.cancelled() => {}
            () = sleep(timeout) => {}
        }
        if !self.is_taken.swap(true, Ordering::AcqRel) {
            return End::NotBegun;
        }
        self.outcome.close(); // what is not there now is late
        self.outcome.try_recv().map_or(End::Running, End::Done)
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
    use std::sync::mpsc::channel;

    use super::*;

    fn runtime() -> AsyncRuntime {
        AsyncRuntime::with_timers_only().expect("a thread")
    }

    #[test]
    fn what_was_given_up_before_it_began_never_runs() {
        let runtime = runtime();
        let (call, run) = Call::<()>::new(|| unreachable!("nobody waits for it"), |_| {});
        let end = runtime.wait(call.end(Duration::ZERO, runtime.stop()));
        assert!(matches!(end, End::NotBegun));
        run();
    }

    #[test]
    fn what_comes_too_late_goes_elsewhere() {
        let runtime = runtime();
        let (go, wait) = channel();
        let (tell, late) = channel();
        let work = move || Ok(wait.recv().unwrap_or(0));
        let outcome = within(Duration::from_millis(1), &runtime, "load", work, move |late| {
            tell.send(late).unwrap_or_default();
        });
        // On a busy machine the thread may not have begun: then nothing comes at all.
        let has_begun = matches!(outcome, Err(LoadError::Refused(_)));
        go.send(7).unwrap_or_default();
        assert_eq!(late.recv().ok(), has_begun.then_some(Ok(7)));
    }

    #[test]
    fn nothing_is_waited_for_when_it_is_time_to_stop() {
        let runtime = runtime();
        runtime.stop().cancel();
        let (_go, wait) = channel::<()>();
        let work = move || Ok(wait.recv().is_ok());
        let outcome = within(Duration::from_secs(3600), &runtime, "load", work, drop);
        assert_eq!(outcome, Err(LoadError::Stopping));
    }
}
