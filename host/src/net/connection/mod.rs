//! One connection: bytes in, acks out, until the peer ends, breaks the protocol, is silent for too long, or the host stops.
//!
//! It owns memory only for the beginning of a frame (`input_buffer`) and for acks that the peer has yet to take (`output`); all
//! other buffers belong to the thread that gives the connection its turns (`scratch`). `lifecycle` decides what a turn does, and
//! in which order; `batches` how bytes become acks; `timeouts` how long a connection may wait; `linger` when it may be closed;
//! `protocol_errors` what a malformed frame comes to; `info` is what plugins may know of it. When a connection has a turn is the
//! event loop's decision, what its bytes go over `transport`'s.

mod batches;
mod current_call;
mod error_counters;
mod info;
mod input_buffer;
mod lifecycle;
mod linger;
mod output;
mod phase;
mod protocol_errors;
mod scratch;
mod shared;
mod timeouts;

pub use current_call::{Call, CurrentCall};
pub use error_counters::Counters;
pub use lifecycle::{AfterTurn, Connection};
pub use scratch::Scratch;
pub use shared::Shared;
pub use timeouts::{TICK, Timeouts, Waiting};
