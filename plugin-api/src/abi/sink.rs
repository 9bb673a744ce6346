//! Where the acks of one batch go.

#![allow(unsafe_code)] // the boundary; listed in ARCHITECTURE.md
#![allow(dead_code)] // getters that abi_stable's derive makes of private fields, for its own way to pass structs

use super::lent::growing;
use super::{Bytes, Lent, Text};

growing! {
    /// The host's side of the acks of one batch, lent to the plugin for one call.
    ///
    /// Each function gives the room that is left then: so many acks without a body fit at least. An ack with a body takes more
    /// of it, and may take more than is left. When the room is gone, acks are still taken, but the host would rather have them
    /// later.
    ///
    pub struct AckSink: AckSinkRef, AckSinkFirst {
        /// The host's own.
        state: *mut (),
        /// For how many acks without a body there is room when the call begins.
        room: usize,
        /// Acks as many of the next Submits of the batch as there are results, without bodies.
        push_results: unsafe extern "C" fn(state: *mut (), results: Bytes<'_>) -> usize,
        /// Acks the next Submit of the batch.
        push: unsafe extern "C" fn(state: *mut (), result: u8, body: Bytes<'_>) -> usize,
        /// Fails the next Submit of the batch; the reason goes to the host's log.
        #[sabi(last_prefix_field)]
        fail: unsafe extern "C" fn(state: *mut (), reason: Text<'_>) -> usize,
    }
}

impl AckSink {
    /// `room`: for how many acks without a body there is room; each function gives what is left of it.
    ///
    /// # Safety
    /// Each function may be called with `state`, one at a time, for as long as the sink is lent.
    pub unsafe fn new(
        state: *mut (),
        room: usize,
        push_results: unsafe extern "C" fn(*mut (), Bytes<'_>) -> usize,
        push: unsafe extern "C" fn(*mut (), u8, Bytes<'_>) -> usize,
        fail: unsafe extern "C" fn(*mut (), Text<'_>) -> usize,
    ) -> AckSink {
        AckSink {
            state,
            room,
            push_results,
            push,
            fail,
        }
    }
}

/// The plugin's hold of a sink: whoever has it is the only one who calls it.
pub(crate) struct Sink<'s> {
    lent: Lent<'s, AckSink>,
}

impl<'s> Sink<'s> {
    /// # Safety
    /// It is the only one of this sink.
    pub(crate) unsafe fn new(lent: Lent<'s, AckSink>) -> Sink<'s> {
        Sink { lent }
    }

    /// For how many acks without a body there was room when the call began.
    pub(crate) fn room(&self) -> usize {
        self.lent.room
    }

    /// Acks as many of the next Submits of the batch as there are results, without bodies. Gives the room that is left, as
    /// all of these do.
    #[inline]
    pub(crate) fn push_results(&mut self, results: &[u8]) -> usize {
        // SAFETY: whoever made the sink promised that this may be called with `state` while it is lent. Nobody else has it (see
        // `new`), and `&mut self` makes it one call at a time.
        unsafe { (self.lent.push_results)(self.lent.state, Bytes::from_slice(results)) }
    }

    /// Acks the next Submit of the batch.
    #[inline]
    pub(crate) fn push(&mut self, result: u8, body: &[u8]) -> usize {
        // SAFETY: as for `push_results`.
        unsafe { (self.lent.push)(self.lent.state, result, Bytes::from_slice(body)) }
    }

    /// Fails the next Submit of the batch; the reason goes to the host's log.
    pub(crate) fn fail(&mut self, reason: &str) -> usize {
        // SAFETY: as for `push_results`.
        unsafe { (self.lent.fail)(self.lent.state, reason.into()) }
    }
}
