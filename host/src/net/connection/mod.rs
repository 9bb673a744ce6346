//! One connection: bytes in, acks out, until the peer ends, breaks the rules, falls silent, or the host stops.
//!
//! It owns memory only for the beginning of a frame (`input`) and for acks that the peer has yet to take (`output`); the
//! buffers for everything else belong to the thread that gives it its turns (`scratch`). The order of things is `turns`'
//! decision, how bytes become acks `answer`'s, how long silence may last `timeouts`', what plugins are told of it
//! `facts`', what the log says of a peer `trouble`'s. When it has a turn is the event loop's.

mod batches;
mod current_call;
mod error_counters;
mod facts;
mod input;
mod linger;
mod output;
mod peer_errors;
mod scratch;
mod timeouts;
mod turns;
mod unacknowledged;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use plugin_api::abi::RawAddress;
use wire::AckNumbering;

use crate::config::Server;
use crate::dispatch::routes::Routes;
use batches::Limits;
pub use current_call::{Call, UnderWay};
pub use error_counters::Counters;
pub use scratch::Scratch;
pub use timeouts::{TICK, Timeouts, Waiting};
pub use turns::{Connection, Next, Readable};

/// How often a connection is looked at whose peer has yet to take its last acks and to close.
const LINGER_LOOK: Duration = Duration::from_millis(400);

/// What all connections of a server have in common.
pub struct Shared {
    /// Where they came to.
    listener: RawAddress<'static>,
    routes: Arc<Routes>,
    numbering: AckNumbering,
    limits: Limits,
    timeouts: Timeouts,
    counters: Counters,
}

impl Shared {
    /// From the configuration, the address that is listened on, and the table that the manager keeps current.
    pub fn new(server: &Server, numbering: AckNumbering, listener: SocketAddr, routes: Arc<Routes>) -> Shared {
        Shared {
            listener: listener.into(),
            routes,
            numbering,
            limits: Limits::new(server.max_frame, server.max_unsent),
            timeouts: Timeouts::new(
                server.idle_timeout,
                server.frame_timeout,
                server.write_timeout,
                LINGER_LOOK,
            ),
            counters: Counters::default(),
        }
    }

    /// What went wrong since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How long connections wait.
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }
}
