//! How many connections may be open: at most `server.max_connections`. The acceptor takes a slot before it accepts, and the
//! connection holds the slot until its descriptor is free.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The count of open connections.
#[derive(Debug)]
pub(super) struct Slots {
    limit: usize,
    taken: Mutex<Taken>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Taken {
    slots: usize,
    /// No more are given out.
    closed: bool,
}

/// One open connection. Dropping it makes room for another.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
}

impl Slots {
    pub(super) fn new(limit: usize) -> Arc<Slots> {
        Arc::new(Slots {
            limit,
            taken: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// How many connections are open.
    pub(super) fn taken(&self) -> usize {
        self.lock().slots
    }

    /// How many may be.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Waits for room; none once there is to be no more.
    pub(super) fn take(self: &Arc<Slots>) -> Option<Slot> {
        let full = |taken: &mut Taken| taken.slots >= self.limit && !taken.closed;
        let mut taken = self
            .changed
            .wait_while(self.lock(), full)
            .unwrap_or_else(PoisonError::into_inner);
        if taken.closed {
            return None;
        }
        taken.slots += 1;
        Some(Slot {
            slots: Arc::clone(self),
        })
    }

    /// Gives out no more, and ends the wait for one.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits until it is closed, for so long at most.
    pub(super) fn pause(&self, most: Duration) {
        let open = |taken: &mut Taken| !taken.closed;
        drop(self.changed.wait_timeout_while(self.lock(), most, open));
    }

    /// Waits until no connection is open any more; how many are when it is `deadline`.
    pub(super) fn drained(&self, deadline: Instant) -> usize {
        let left = deadline.saturating_duration_since(Instant::now());
        let open = |taken: &mut Taken| taken.slots > 0;
        let outcome = self.changed.wait_timeout_while(self.lock(), left, open);
        outcome.unwrap_or_else(PoisonError::into_inner).0.slots
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.lock().slots -= 1;
        self.slots.changed.notify_all();
    }
}
