//! Signals, by which a running host is told to stop or to reread its configuration: SIGTERM and SIGINT stop it in order, the second
//! of them at once; SIGHUP rereads.

use std::io;

use nix::sys::signal::{SigSet, Signal};
use tracing::{info, warn};

use crate::process::async_runtime::AsyncRuntime;
use crate::process::exit;
use crate::process::stop::Stop;

/// A signal that ends the process unhandled makes a shell say 128 and its number; so do we.
const KILLED: u8 = 128;
/// The host's signals, held back from all its threads; one of them asks for them (sigwait(3)). So none is lost while the
/// host starts, and no plugin can take them: a handler that it sets for one of them is never called, in none of our threads.
///
/// SIGPIPE and SIGXFSZ are held back as well, and asked for by nobody: they are errors of a write, no deaths, whatever a
/// plugin does with their handlers.
#[derive(Debug)]
pub struct Signals {
    asked_for: SigSet,
}

impl Signals {
    /// Holds them back from this thread, and from all that it starts afterwards: so it is called before any is.
    ///
    /// # Errors
    /// Never on systems known to us; see pthread_sigmask(3).
    pub fn hold_back() -> io::Result<Signals> {
        let asked_for: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
        let mut all = asked_for;
        all.add(Signal::SIGPIPE);
        all.add(Signal::SIGXFSZ);
        all.thread_block()?;
        Ok(Signals { asked_for })
    }

    /// Gives a [`Stop`] that is set at the first SIGTERM or SIGINT; the second ends the process at once with 128 + its number, and
    /// so does the first before [`Stop::in_order`].
    ///
    /// `on_hangup` is called at each SIGHUP: it is what daemons are told to reread their configuration by. It may use this runtime.
    ///
    /// # Errors
    /// When the thread that asks for signals can't be started.
    pub fn listen(self, runtime: &AsyncRuntime, on_hangup: impl Fn() + Send + 'static) -> io::Result<Stop> {
        let (stopper, stop) = Stop::channel();
        let state = stop.clone();
        let runtime = runtime.clone();
        // A thread of its own: whatever else is blocked, a second signal must work.
        exit::critical("signals", move || {
            runtime.prime(); // whatever a plugin holds for good: the next signal must find this thread waiting
            let mut stopper = Some(stopper);
            loop {
                let signal = match self.asked_for.wait() {
                    Ok(signal @ (Signal::SIGTERM | Signal::SIGINT)) => signal,
                    Ok(_) => {
                        on_hangup();
                        continue;
                    }
                    Err(_) => continue, // interrupted
                };
                match stopper.take() {
                    Some(stopper) if state.is_in_order() => {
                        stopper.stop();
                        info!(signal = signal.as_str(), "stopping"); // after it is so: who reads this may rely on it
                    }
                    Some(_) => exit::at_once(KILLED + signal as u8),
                    None => {
                        warn!(signal = signal.as_str(), "second signal, ending at once");
                        exit::at_once(KILLED + signal as u8);
                    }
                }
            }
        })?;
        Ok(stop)
    }
}
