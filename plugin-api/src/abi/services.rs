//! What the host does for a library. A service is a table of functions; one that a host does not have is an empty table.

#![allow(unsafe_code)] // the boundary; listed in ARCHITECTURE.md

use super::lent::growing;
use super::{Lent, Log};

growing! {
    /// All services, lent to a library for good.
    pub struct Services: ServicesRef, ServicesFirst {
        /// Where the library's log goes.
        pub log: Lent<'static, Log>,
        /// Figures of the plugin's own.
        pub metrics: Lent<'static, Metrics>,
        /// Acks that are given after the call for their Submit has returned.
        pub completions: Lent<'static, Completions>,
        /// What may be done to connections.
        #[sabi(last_prefix_field)]
        pub connections: Lent<'static, Connections>,
    }
}

growing! {
    /// Nothing yet: the place of what counts and measures.
    pub struct Metrics: MetricsRef, MetricsFirst {}
}

growing! {
    /// Nothing yet: the place of what acks Submits later.
    pub struct Completions: CompletionsRef, CompletionsFirst {}
}

growing! {
    /// Nothing yet: the place of what closes a connection.
    pub struct Connections: ConnectionsRef, ConnectionsFirst {}
}
