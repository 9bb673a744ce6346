//! What all connections of a server have in common: limits, timeouts, counters, and the route table. Decides nothing.

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use plugin_api::abi::RawAddress;
use wire::AckNumbering;

use super::batches::AckLimits;
use super::error_counters::Counters;
use super::timeouts::Timeouts;
use crate::config::{Listen, Server};
use crate::dispatch::routes::Routes;

/// How often a connection is looked at whose peer has yet to take its last acks and to close.
const LINGER_LOOK: Duration = Duration::from_millis(400);

/// What all connections of a server have in common.
pub struct Shared {
    /// Where they came to, as plugins see it.
    pub(super) listener: RawAddress<'static>,
    pub(super) routes: Arc<Routes>,
    pub(super) numbering: AckNumbering,
    pub(super) limits: AckLimits,
    pub(super) timeouts: Timeouts,
    pub(super) counters: Counters,
}

impl Shared {
    /// From the configuration, the address that is listened on, and the table that the manager keeps current.
    pub fn new(server: &Server, numbering: AckNumbering, listener: &Listen, routes: Arc<Routes>) -> Shared {
        let listener = match listener {
            Listen::Tcp(address) => RawAddress::from(*address),
            // For good, as plugins may keep nothing of it but all connections lend it: there is one for each server.
            Listen::Unix(path) => RawAddress::unix(path.as_os_str().as_bytes().to_vec().leak()),
        };
        Shared {
            listener,
            routes,
            numbering,
            limits: AckLimits::new(server.max_frame, server.max_unsent),
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
