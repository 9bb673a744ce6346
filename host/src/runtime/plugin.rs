//! A plugin as the manager, the route table and the log hold it, and a call in flight, which holds the handler itself: so how
//! many calls are in flight is counted for each instance, whoever else holds the plugin.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use plugin_api::abi::{Lent, RawConnection, RawSubmit};
use wire::AckWriter;

use super::instance::Handler;

/// One accepted library with one handler instance. The handler is released when the last reference to the plugin is gone and
/// no call is in flight.
pub struct Plugin {
    /// Cloned for a call in flight and for nothing else.
    handler: Arc<Handler>,
}

/// A call in flight: while it exists the instance has not drained, and is not released.
pub struct InFlight {
    handler: Arc<Handler>,
}

impl Plugin {
    pub(super) fn new(handler: Handler) -> Plugin {
        Plugin {
            handler: Arc::new(handler),
        }
    }

    /// Begins a call, which ends when the [`InFlight`] is dropped.
    #[inline]
    pub fn begin_call(&self) -> InFlight {
        InFlight {
            handler: Arc::clone(&self.handler),
        }
    }

    /// How many calls are in flight. Once no route leads to the plugin the number only falls.
    pub fn in_flight(&self) -> usize {
        let calls = Arc::strong_count(&self.handler) - 1;
        fence(Ordering::Acquire); // what these calls did comes before what is done because they have ended
        calls
    }
}

impl Deref for Plugin {
    type Target = Handler;

    fn deref(&self) -> &Handler {
        &self.handler
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name(), self.version())
    }
}

impl InFlight {
    /// The number of the instance, see [`instance_numbers`](super::instance_numbers).
    #[inline]
    pub fn number(&self) -> u64 {
        self.handler.number()
    }

    /// Answers the Submits of a batch, all of one connection, in order, with one ack each: all, or those with which the room for
    /// acks is gone. Gives how many that were; at least one, if there was room. Crosses into the library once.
    pub fn answer(
        &self,
        connection: Lent<'_, RawConnection<'_>>,
        submits: &[RawSubmit<'_>],
        acks: &mut AckWriter<'_>,
    ) -> usize {
        self.handler.answer(connection, submits, acks)
    }
}
