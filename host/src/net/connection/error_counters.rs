//! Counts what went wrong, by reason. Touched once per event that ends a connection or keeps one out, never per packet.

use std::sync::atomic::{AtomicU64, Ordering};

use wire::Malformed;

/// Counts since the start; each only grows.
#[derive(Debug, Default)]
pub struct Counters {
    malformed: [AtomicU64; Malformed::ALL.len()],
    half_frames: AtomicU64,
    write_timeouts: AtomicU64,
    limit_reached: AtomicU64,
    accept_failures: AtomicU64,
}

impl Counters {
    /// Connections that were closed for this reason.
    pub fn malformed(&self, reason: Malformed) -> u64 {
        self.malformed[reason as usize].load(Ordering::Relaxed)
    }

    /// Connections that ended inside a frame, by the peer, `server.frame_timeout` or `server.idle_timeout`.
    pub fn half_frames(&self) -> u64 {
        self.half_frames.load(Ordering::Relaxed)
    }

    /// Connections that were closed because the peer took no acks for `server.write_timeout`.
    pub fn write_timeouts(&self) -> u64 {
        self.write_timeouts.load(Ordering::Relaxed)
    }

    /// Times that `server.max_connections` was reached, after having been well below it.
    pub fn limit_reached(&self) -> u64 {
        self.limit_reached.load(Ordering::Relaxed)
    }

    /// Times that accepting failed for want of something, mostly of file descriptors.
    pub fn accept_failures(&self) -> u64 {
        self.accept_failures.load(Ordering::Relaxed)
    }

    pub(super) fn count_malformed(&self, reason: Malformed) {
        add(&self.malformed[reason as usize]);
    }

    pub(super) fn count_half_frame(&self) {
        add(&self.half_frames);
    }

    pub(super) fn count_write_timeout(&self) {
        add(&self.write_timeouts);
    }

    pub(crate) fn count_limit_reached(&self) {
        add(&self.limit_reached);
    }

    pub(crate) fn count_accept_failure(&self) {
        add(&self.accept_failures);
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
