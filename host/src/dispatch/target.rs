//! What can answer a command. One kind today: an instance of a library in this process, called on the event loop's thread. Other
//! kinds (a suspended plugin, a pool of threads, a worker process, workers elsewhere) join as further variants: the packet path
//! matches on the kind, and knows nothing of plugins but what stands here.

use std::num::NonZero;
use std::sync::Arc;

use plugin_api::abi::{Lent, RawConnection, RawSubmit};
use semver::Version;
use wire::AckWriter;

use crate::runtime::instance_numbers;
use crate::runtime::plugin::{self, Plugin};

/// What answers a command.
#[derive(Clone)]
pub enum Target {
    /// An instance of a library, which answers within the call.
    Library(Arc<Plugin>),
}

/// A call in flight. It holds its target's instance and no route table.
pub enum InFlight {
    /// Into a library.
    Library(plugin::InFlight),
}

impl Target {
    /// Whether both are the same instance, so that neighbouring Submits for them can share a call.
    #[inline]
    pub fn is_same(&self, other: &Target) -> bool {
        match (self, other) {
            (Target::Library(one), Target::Library(other)) => Arc::ptr_eq(one, other),
        }
    }

    /// How many bytes an ack has at most where the target can't stop when there is no more room.
    #[inline]
    pub fn longest_ack(&self) -> NonZero<usize> {
        match self {
            Target::Library(plugin) => plugin.longest_ack(),
        }
    }

    /// Begins a call: until it is dropped the target's instance has not drained.
    #[inline]
    pub fn begin_call(&self) -> InFlight {
        match self {
            Target::Library(plugin) => InFlight::Library(plugin.begin_call()),
        }
    }
}

impl InFlight {
    /// A number for the log, see [`name`].
    #[inline]
    pub fn number(&self) -> u64 {
        match self {
            InFlight::Library(call) => call.number(),
        }
    }

    /// Answers the Submits of a batch, all of one connection, in order, with one ack each: all, or those with which the room for
    /// acks is gone. Gives how many that were; at least one, if there was room.
    #[inline]
    pub fn answer(
        &self,
        connection: Lent<'_, RawConnection<'_>>,
        submits: &[RawSubmit<'_>],
        acks: &mut AckWriter<'_>,
    ) -> usize {
        match self {
            InFlight::Library(call) => call.answer(connection, submits, acks),
        }
    }
}

/// The name and version of the plugin that a call's number stands for, also when the plugin is gone.
pub fn name(number: u64) -> Option<(String, Version)> {
    instance_numbers::name(number)
}
