//! Runs a plugin's code on a thread of its own, so that code which never returns holds nobody up.

use std::io;
use std::sync::mpsc::{self, SendError};
use std::thread;
use std::time::Duration;

use super::{Code, Refusal};

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
    let (sender, receiver) = mpsc::sync_channel(0);
    let run = move || {
        // Nobody waits any more when the send fails.
        if let Err(SendError(Ok(value))) = sender.send(work()) {
            late(value);
        }
    };
    thread::Builder::new()
        .name(step.to_owned())
        .spawn(run)
        .map_err(|error| no_thread(step, &error))?;
    receiver.recv_timeout(timeout).unwrap_or_else(|_| {
        Err(Refusal::new(
            Code::LoadTimeout,
            step,
            format!("an answer within {timeout:?}"),
            "no answer yet",
            "# make it faster, or raise plugins.init_timeout",
        ))
    })
}

fn no_thread(step: &'static str, error: &io::Error) -> Refusal {
    let cure = "ulimit -u # is the limit on threads";
    Refusal::new(Code::LoadInit, step, "a thread to run it", error.to_string(), cure)
}
