//! A plugin's side: its functions, and the handler that they are called for.

#![allow(unsafe_code)] // the boundary; listed in ARCHITECTURE.md

use abi_stable::StableAbi;

use super::lent::growing;
use super::{Batch, Bytes, CheckArgs, InitArgs, Lent, Outcome, OwnedBytes, RawConnection, Text};

/// See [`Module::handle_batch`].
pub type HandleBatch = unsafe extern "C" fn(Instance, Lent<'_, Batch<'_>>);

growing! {
    /// What a plugin offers to its host.
    ///
    /// # Safety
    /// The unsafe functions want an instance that came from this module's `init` and was not released.
    pub struct Module: ModuleRef, ModuleFirst {
        /// Whether the handler would take this configuration. Makes nothing.
        pub check_config: extern "C" fn(Lent<'_, CheckArgs<'_>>) -> Outcome<()>,
        /// Makes a handler.
        pub init: extern "C" fn(Lent<'_, InitArgs<'_>>) -> Outcome<Instance>,
        /// Answers a batch: one ack for each Submit goes into the sink before it returns, in their order. When the sink has no
        /// more room, the rest of the Submits may be left: the host offers them again. The first one is always answered.
        pub handle_batch: unsafe extern "C" fn(Instance, Lent<'_, Batch<'_>>),
        /// See [`Handler::LARGEST_BODY`](crate::Handler::LARGEST_BODY): a call has no more Submits than there is room for acks
        /// of this kind, but at least one.
        pub largest_body: usize,
        /// Tells the handler that the host is done with it.
        pub shutdown: unsafe extern "C" fn(Instance) -> Outcome<()>,
        /// Drops the handler. Nothing calls or is inside this instance any more.
        pub release: unsafe extern "C" fn(Instance) -> Outcome<()>,
        /// Tells the handler that it gets no more Submits until it is told that it is resumed.
        pub paused: unsafe extern "C" fn(Instance) -> Outcome<()>,
        /// Tells the handler that it may get Submits again.
        pub resumed: unsafe extern "C" fn(Instance) -> Outcome<()>,
        /// Gives what a successor may go on with, of a handler that is paused. None where the handler has no such state.
        pub export_state: Option<unsafe extern "C" fn(Instance) -> Outcome<OwnedBytes>>,
        /// Takes over what a predecessor has exported, before the first batch.
        pub import_state: Option<unsafe extern "C" fn(Instance, Lent<'_, State<'_>>) -> Outcome<()>>,
        /// Tells the handler of a connection before its first batch. None where the handler does not want to know.
        pub connected: Option<unsafe extern "C" fn(Instance, Lent<'_, RawConnection<'_>>) -> Outcome<()>>,
        /// Tells the handler that there are no more batches of a connection, once the last one has returned.
        pub disconnected: Option<unsafe extern "C" fn(Instance, Lent<'_, RawConnection<'_>>) -> Outcome<()>>,
        /// Tells the library that [`Log::max_level`](super::Log::max_level) is another one now. None where it can't follow.
        #[sabi(last_prefix_field)]
        pub level_changed: Option<extern "C" fn(max_level: usize)>,
    }
}

growing! {
    /// What a handler has exported.
    pub struct State<'a>: StateRef, StateFirst {
        /// The version of the plugin whose handler that was.
        pub version: Text<'a>,
        /// The state, which only the plugin understands.
        #[sabi(last_prefix_field)]
        pub bytes: Bytes<'a>,
    }
}

/// A handler, as the host holds it: an address that only the plugin understands.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Instance {
    address: *const (),
}

// SAFETY: the address is that of a `Handler`, which is Send and Sync by its definition.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Instance {
    /// Hands a handler over to the host.
    pub fn from_box<H: crate::Handler>(handler: Box<H>) -> Instance {
        Instance {
            address: Box::into_raw(handler).cast_const().cast(),
        }
    }

    /// The address that [`Instance::from_box`] was given.
    pub fn address(self) -> *const () {
        self.address
    }
}
