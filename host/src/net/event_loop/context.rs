//! What an event loop has in common with others: [`Context`] with the other loops of its server, [`Load`] with the threads
//! that look at the loop without its lock. Decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use crate::net::connection::{Shared, Waiting};

/// What all event loops of a server have in common.
pub(in crate::net) struct Context {
    pub(in crate::net) shared: Arc<Shared>,
    /// Whether the host stops. A flag of the loops' own: asking a token of the control plane takes a lock.
    pub(in crate::net) is_stopping: AtomicBool,
    /// Whether there may be new connections.
    pub(in crate::net) accepting: AtomicBool,
    /// The current tick, which the relief clock counts.
    pub(in crate::net) tick: AtomicU32,
}

impl Context {
    /// Whether the host stops.
    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// The current tick.
    pub(super) fn now(&self) -> u32 {
        self.tick.load(Ordering::Relaxed)
    }
}

/// What other threads see of one event loop: the acceptor looks for the loop with the fewest connections, the relief clock for
/// loops with a timeout that may have come.
pub(super) struct Load {
    connections: AtomicUsize,
    /// The first tick at which a connection may have waited too long. Written by the loop's driver alone.
    first_due: AtomicU32,
}

impl Load {
    pub(super) fn new() -> Load {
        Load {
            connections: AtomicUsize::new(0),
            first_due: AtomicU32::new(u32::MAX),
        }
    }

    /// How many connections the loop has, those on their way to it included.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn add_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove_connection(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn first_due(&self) -> u32 {
        self.first_due.load(Ordering::Relaxed)
    }

    pub(super) fn set_first_due(&self, tick: u32) {
        self.first_due.store(tick, Ordering::Relaxed);
    }

    /// The tick at which a wait is over that begins now. By the loop's driver alone.
    pub(super) fn due(&self, waiting: Waiting, context: &Context) -> u32 {
        let due = context.shared.timeouts().due(waiting, context.now());
        if due < self.first_due() {
            self.set_first_due(due);
        }
        due
    }
}
