//! What a handler answers in one call.

#![allow(unsafe_code)] // the boundary; listed in ARCHITECTURE.md

use super::lent::growing;
use super::{AckSink, Bytes, Lent, Many, RawConnection};

growing! {
    /// What `handle_batch` is given.
    pub struct Batch<'a>: BatchRef, BatchFirst {
        /// At least one, in the order in which they arrived.
        pub submits: Many<'a, RawSubmit<'a>>,
        /// Where their acks go.
        pub sink: Lent<'a, AckSink>,
        /// Whose they are.
        #[sabi(last_prefix_field)]
        pub connection: Lent<'a, RawConnection<'a>>,
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
