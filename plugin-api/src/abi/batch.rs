//! What a handler answers in one call.

#![allow(unsafe_code)] // the boundary; listed in ARCHITECTURE.md
#![allow(dead_code)] // getters that abi_stable's derive makes of private fields, for its own way to pass structs

use super::lent::growing;
use super::{AckSink, Bytes, Lent, Many, RawConnection};

growing! {
    /// What `handle_batch` is given.
    pub struct Batch<'a>: BatchRef, BatchFirst {
        /// At least one, in the order in which they arrived.
        pub submits: Many<'a, RawSubmit<'a>>,
        /// Whose they are.
        pub connection: Lent<'a, RawConnection<'a>>,
        /// Where their acks go, by functions that are called with `state`.
        pub sink: Lent<'static, AckSink>,
        /// The host's own.
        pub(super) state: *mut (),
        /// For how many acks without a body there is room.
        #[sabi(last_prefix_field)]
        pub(super) room: usize,
    }
}

impl<'a> Batch<'a> {
    /// `room`: for how many acks without a body there is room; each function of the sink gives what is left of it.
    ///
    /// # Safety
    /// Each function of the sink may be called with `state`, one at a time, for as long as the batch is lent.
    #[inline]
    pub unsafe fn new(
        submits: &'a [RawSubmit<'a>],
        connection: Lent<'a, RawConnection<'a>>,
        sink: &'static AckSink,
        state: *mut (),
        room: usize,
    ) -> Batch<'a> {
        Batch {
            submits: Many::new(submits),
            connection,
            sink: Lent::new(sink),
            state,
            room,
        }
    }
}

growing! {
    /// One Submit as it crosses.
    #[derive(Clone, Copy)]
    pub struct RawSubmit<'a>: RawSubmitRef, RawSubmitFirst {
        /// See [`Submit::payload`](crate::Submit::payload).
        pub payload: Bytes<'a>,
        /// See [`Submit::id`](crate::Submit::id).
        pub id: [u8; 8],
        /// See [`Submit::command`](crate::Submit::command): 0x02 to 0x7F, as wide as a word, since there is no padding.
        #[sabi(last_prefix_field)]
        pub command: u64,
    }
}
