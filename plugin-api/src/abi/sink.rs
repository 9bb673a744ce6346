//! Where the acks of a batch go.

#![allow(unsafe_code)] // the boundary; listed in ARCHITECTURE.md

use std::marker::PhantomData;

use super::lent::growing;
use super::{Batch, Bytes, Lent, Text};

growing! {
    /// What the host does with acks: one table for all batches.
    ///
    /// Each function gives the room that is left then: so many acks without a body fit at least. An ack with a body takes more
    /// of it, and may take more than is left. When the room is gone, acks are still taken, but the host would rather have them
    /// later.
    pub struct AckSink: AckSinkRef, AckSinkFirst {
        /// Acks as many of the next Submits of the batch as there are results, without bodies.
        pub push_results: unsafe extern "C" fn(state: *mut (), results: Bytes<'_>) -> usize,
        /// Acks the next Submit of the batch.
        pub push: unsafe extern "C" fn(state: *mut (), result: u8, body: Bytes<'_>) -> usize,
        /// Fails the next Submit of the batch; the reason goes to the host's log.
        #[sabi(last_prefix_field)]
        pub fail: unsafe extern "C" fn(state: *mut (), reason: Text<'_>) -> usize,
    }
}

/// The plugin's hold of the sink of a batch: whoever has it is the only one who calls it.
pub(crate) struct Sink<'s> {
    // Taken out of the batch: that is one step less on the way of each ack.
    functions: &'static AckSinkFirst,
    state: *mut (),
    room: usize,
    lent: PhantomData<&'s mut ()>,
}

impl<'s> Sink<'s> {
    /// # Safety
    /// It is the only one of this batch.
    #[inline]
    pub(crate) unsafe fn new(batch: Lent<'s, Batch<'s>>) -> Sink<'s> {
        Sink {
            functions: batch.sink.first(),
            state: batch.state,
            room: batch.room,
            lent: PhantomData,
        }
    }

    /// For how many acks without a body there was room when the call began.
    pub(crate) fn room(&self) -> usize {
        self.room
    }

    /// Acks as many of the next Submits of the batch as there are results, without bodies. Gives the room that is left, as
    /// all of these do.
    #[inline]
    pub(crate) fn push_results(&mut self, results: &[u8]) -> usize {
        // SAFETY: whoever made the batch promised that this may be called with its state while it is lent. Nobody else calls
        // it (see `new`), and `&mut self` makes it one call at a time.
        unsafe { (self.functions.push_results)(self.state, Bytes::from_slice(results)) }
    }

    /// Acks the next Submit of the batch.
    #[inline]
    pub(crate) fn push(&mut self, result: u8, body: &[u8]) -> usize {
        // SAFETY: as for `push_results`.
        unsafe { (self.functions.push)(self.state, result, Bytes::from_slice(body)) }
    }

    /// Fails the next Submit of the batch; the reason goes to the host's log.
    pub(crate) fn fail(&mut self, reason: &str) -> usize {
        // SAFETY: as for `push_results`.
        unsafe { (self.functions.fail)(self.state, reason.into()) }
    }
}
