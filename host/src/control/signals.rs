//! Signals, by which a running host is told to stop or to reread its configuration: SIGTERM and SIGINT stop it in order, the second
//! of them at once; SIGHUP rereads.

use std::io;
use std::sync::{Arc, OnceLock};

use nix::sys::signal::{SigSet, Signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::process::async_runtime::AsyncRuntime;
use crate::process::exit;

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

    /// Asks for signals from now on. `on_hangup` is called at each SIGHUP: it is what daemons are told to reread their
    /// configuration by. The first SIGTERM or SIGINT stops the host as [`Orders::stop_in_order`] says, the second ends the process
    /// at once with 128 + its number.
    ///
    /// # Errors
    /// When the thread that asks for signals can't be started.
    pub fn listen(self, runtime: &AsyncRuntime, on_hangup: impl Fn() + Send + 'static) -> io::Result<Orders> {
        let orders = Orders { stop: Arc::default() };
        let (stop, runtime) = (Arc::clone(&orders.stop), runtime.clone());
        // A thread of its own that takes the signals itself, no task: whatever else is stuck, the control thread included, a
        // second signal must work. And tokio would set handlers, which a plugin can replace.
        exit::critical("signals", move || {
            runtime.prime(); // to cancel wakes tasks
            let mut is_stopping = false;
            loop {
                let signal = match self.asked_for.wait() {
                    Ok(signal @ (Signal::SIGTERM | Signal::SIGINT)) => signal,
                    Ok(_) => {
                        on_hangup();
                        continue;
                    }
                    Err(_) => continue, // interrupted
                };
                match stop.get() {
                    Some(stop) if !is_stopping => {
                        is_stopping = true;
                        stop.cancel();
                        info!(signal = signal.as_str(), "stopping"); // after it is so: who reads this may rely on it
                        continue;
                    }
                    Some(_) => warn!(signal = signal.as_str(), "second signal, ending at once"),
                    None => {}
                }
                exit::at_once(KILLED + signal as u8);
            }
        })?;
        Ok(orders)
    }
}

/// What the first signal to stop does.
#[derive(Debug)]
pub struct Orders {
    stop: Arc<OnceLock<CancellationToken>>,
}

impl Orders {
    /// From here on there is something that stops in order: the first signal to stop cancels `stop`. Before, it ends the process
    /// at once as the second one does: what is done by then may wait for somebody, as a configuration that is a pipe does, and
    /// has nothing to lose.
    pub fn stop_in_order(&self, stop: CancellationToken) {
        let _ = self.stop.set(stop);
    }
}
