//! When the process ends: at SIGTERM or SIGINT, in order; at the second of them, at once. What "in order" means for a
//! connection or a plugin is theirs to know: here is only the word that it is time, as a value that tasks hold.

use std::io;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

/// A signal that ends the process unhandled makes a shell say 128 and its number; so do we.
const KILLED: i32 = 128;

/// Says stop, once: by [`Stopper::stop`], or by being dropped, so that an owner who fails does not leave the rest
/// running for ever.
#[derive(Debug)]
pub struct Stopper {
    sender: watch::Sender<()>,
}

impl Stopper {
    /// Tells all who hold the [`Stop`].
    pub fn stop(self) {
        drop(self.sender);
    }
}

/// Whether it is time to stop. Cheap to clone; every clone learns of it.
#[derive(Clone, Debug)]
pub struct Stop {
    // Nothing is ever sent: the sender going away is the message, and it can't be missed or taken back.
    receiver: watch::Receiver<()>,
}

impl Stop {
    /// One who says it and one who hears it.
    pub fn channel() -> (Stopper, Stop) {
        let (sender, receiver) = watch::channel(());
        (Stopper { sender }, Stop { receiver })
    }

    /// Stops at the first SIGTERM or SIGINT, and makes the second end the process at once with 128 + its number.
    ///
    /// `on_hangup` is called at each SIGHUP: it is what daemons are told to reread their configuration by.
    ///
    /// # Errors
    /// When the handlers can't be set up, or the thread that waits for them can't be started.
    pub fn on_signals(on_hangup: impl Fn() + Send + 'static) -> io::Result<Stop> {
        // A thread with a runtime of its own: handlers of plugins may block every worker of the host's, and just then a
        // second signal must work.
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let mut signals = {
            let _context = runtime.enter();
            Signals::listen()?
        };
        let (stopper, stop) = Stop::channel();
        let wait = move || {
            runtime.block_on(async {
                let (_, name) = signals.next(&on_hangup).await;
                stopper.stop();
                info!(signal = name, "stopping"); // after it is so: who reads this may rely on it
                let (number, name) = signals.next(&on_hangup).await;
                warn!(signal = name, "second signal, ending at once");
                std::process::exit(KILLED + number);
            })
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
        Ok(stop)
    }

    /// Whether it is time. One atomic load: may be asked as often as one likes.
    pub fn is_set(&self) -> bool {
        self.receiver.has_changed().is_err()
    }

    /// Returns when it is time.
    pub async fn wait(&self) {
        let mut receiver = self.receiver.clone();
        while receiver.changed().await.is_ok() {}
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The number and name of the next signal that ends the host.
    async fn next(&mut self, on_hangup: impl Fn()) -> (i32, &'static str) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return (SignalKind::terminate().as_raw_value(), "SIGTERM"),
                _ = self.interrupt.recv() => return (SignalKind::interrupt().as_raw_value(), "SIGINT"),
                _ = self.hangup.recv() => on_hangup(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_learns_of_it() {
        let (stopper, stop) = Stop::channel();
        let other = stop.clone();
        assert!(!stop.is_set() && !other.is_set());
        stopper.stop();
        assert!(stop.is_set() && other.is_set());
        stop.wait().await;
        other.wait().await;
    }
}
