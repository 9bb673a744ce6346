//! Which call a worker thread is in, for the threads that see that it takes long. Written once for each call, by its own thread.

use std::sync::atomic::{AtomicU64, Ordering};

/// A call into a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The number of what was called, see [`target::name`](crate::dispatch::target::name).
    pub plugin: u64,
    /// The command of its first Submit.
    pub command: u8,
}

/// Where a thread writes down what it calls.
#[derive(Debug, Default)]
pub struct CurrentCall {
    /// 0: nothing since the turn began; else the plugin's number, and the command in the lowest byte.
    call: AtomicU64,
}

impl CurrentCall {
    /// The call that the thread is in, or was in last in this turn.
    pub fn call(&self) -> Option<Call> {
        match self.call.load(Ordering::Relaxed) {
            0 => None,
            call => Some(Call {
                plugin: call >> 8,
                command: (call & 0xFF) as u8,
            }),
        }
    }

    #[inline]
    pub(super) fn enter(&self, plugin: u64, command: u8) {
        self.call.store(plugin << 8 | u64::from(command), Ordering::Relaxed);
    }

    pub(super) fn begin_turn(&self) {
        self.call.store(0, Ordering::Relaxed);
    }
}
