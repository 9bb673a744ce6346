//! Keeps input and output going while a handler blocks.
//!
//! In tokio one idle worker at a time waits for sockets and timers, and when they have something for it, it runs that
//! itself. If that is a handler that blocks, nobody waits for sockets any more, although other workers are idle: they
//! sleep until someone hands them a task. So someone does, from outside, now and then; a worker that has done its task
//! looks whether the sockets are attended to. That bounds what one blocked handler costs everybody else, at the price of
//! some twenty wake-ups a second, which no packet pays for.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use tokio::runtime::Handle;

/// The longest that sockets go unattended, as long as a worker is idle.
const PERIOD: Duration = Duration::from_millis(50);

/// Ends the handing over when dropped.
#[derive(Debug)]
pub struct Handoff {
    _running: Sender<()>,
}

impl Handoff {
    /// Starts handing over for this runtime.
    ///
    /// # Errors
    /// When there can be no thread for it.
    pub fn start(runtime: Handle) -> io::Result<Handoff> {
        let (running, ended) = mpsc::channel::<()>();
        std::thread::Builder::new().name("handoff".to_owned()).spawn(move || {
            while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                runtime.spawn(async {});
            }
        })?;
        Ok(Handoff { _running: running })
    }
}
