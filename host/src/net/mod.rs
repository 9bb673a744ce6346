//! From a peer's bytes to a target and back: a listener and a thread that accepts (`listener`, `acceptor`), event loops that share
//! the connections (`event_loop`), worker threads that drive the loops (`loop_threads`, `loop_handover`, `relief_clock`), and what
//! a connection does in its turn (`connection`), over TCP or a Unix socket (`transport`). Decides who is let in, who has a turn
//! when, how long peers may be silent, and what a malformed frame does. Knows plugins only as `dispatch`'s targets; never touches
//! files but a Unix socket's own, nor plugins.toml.

mod acceptor;
pub mod connection;
mod connection_limit;
mod event_loop;
mod listen_error;
mod listener;
mod loop_handover;
mod loop_threads;
mod peer;
mod relief_clock;
pub mod socket_file;
mod sync;
mod transport;
mod unacknowledged;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mio::Waker;
use tracing::{info, warn};

use crate::config;
use crate::logging::FieldValue;
use crate::process::exit::critical;
use acceptor::Acceptor;
use connection::Shared;
use connection_limit::Slots;
use event_loop::{Context, EventLoop};
pub use listen_error::ListenError;
pub use listener::{Bound, Listener};
use loop_threads::LoopThreads;

/// How long the end waits for connections before the log says for whom; after that it says so less and less often.
const FIRST_REMINDER: Duration = Duration::from_secs(1);

/// A server that runs.
pub struct Server {
    slots: Arc<Slots>,
    context: Arc<Context>,
    threads: Arc<LoopThreads>,
    acceptor: Arc<Waker>,
}

/// Serves what comes to `listener`, on threads of its own, until [`Server::stop`]. At most `settings.max_connections` are open at
/// once.
///
/// # Errors
/// When the system has no polls or threads for it.
pub fn start(listener: Listener, settings: &config::Server, shared: Arc<Shared>) -> io::Result<Server> {
    let context = Arc::new(Context {
        shared,
        is_stopping: AtomicBool::new(false),
        accepting: AtomicBool::new(true),
        tick: AtomicU32::new(0),
    });
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let count = settings.threads.unwrap_or_else(processors);
    let loops = (0..count).map(|_| EventLoop::new(Arc::clone(&context)).map(Arc::new));
    let threads = LoopThreads::start(loops.collect::<io::Result<_>>()?, Arc::clone(&context))?;
    let slots = Slots::new(settings.max_connections);
    let (acceptor, waker) = Acceptor::new(listener, Arc::clone(&context), Arc::clone(&threads), Arc::clone(&slots))?;
    critical("accept", move || acceptor.run())?;
    Ok(Server {
        slots,
        context,
        threads,
        acceptor: waker,
    })
}

impl Server {
    /// Lets nobody in any more, and has connections answer what is here and end. Waits for nothing.
    pub fn stop(&self) {
        self.context.is_stopping.store(true, Ordering::Release);
        self.slots.close();
        let _ = self.acceptor.wake(); // fails when the system is out of memory; the next peer wakes it then
        self.threads.loops().iter().for_each(|each| each.wake());
    }

    /// Once the host stops: waits until all connections have ended, until `deadline` at most, and gives how many are left.
    /// Those are inside a call to a plugin, or have acks that the peer does not take; they go on until the process ends.
    /// `calls` gives the plugins that are inside a call: the log hears of them now and then, and at the end.
    pub fn drain(&self, deadline: Instant, calls: impl Fn() -> Vec<String>) -> usize {
        let mut pause = FIRST_REMINDER;
        loop {
            let until = deadline.min(Instant::now() + pause);
            match self.slots.drained(until) {
                0 => {
                    info!("all connections closed");
                    return 0;
                }
                left if until < deadline => {
                    let calls = FieldValue::words(&calls());
                    warn!(left, calls = calls.field(), "stopping, still waiting for connections");
                    pause *= 2;
                }
                left => {
                    let calls = FieldValue::words(&calls());
                    warn!(left, calls = calls.field(), "connections left open");
                    return left;
                }
            }
        }
    }
}
