//! The only types that cross between a host and a plugin: one module of `extern "C"` functions, and what they are given.
//!
//! Everything here is `repr(C)` and known to abi_stable, whose layout check compares both sides' copies of these types
//! after the library is opened. The module grows at its end only: a field, once released, keeps its place and meaning.
//! Panics never cross: each function of the plugin guards the author's code, and the host's functions do not panic.
//!
//! Ownership: slices and strings are borrowed for the length of the call, except an `RString` that is returned: it is
//! the caller's, and carries the way to free it.

#![allow(unsafe_code)] // the boundary; listed in ARCHITECTURE.md

use std::marker::PhantomData;

use abi_stable::library::RootModule;
use abi_stable::package_version_strings;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RResult, RSlice, RStr, RString};
use abi_stable::{StableAbi, declare_root_module_statics};

/// The name of the static that a plugin exports: its [`LibHeader`], which leads to the [`Module`].
pub const ENTRY_SYMBOL: &str = "HOST_PLUGIN_ENTRY";

pub use abi_stable::library::LibHeader;

/// What a plugin offers to its host.
///
/// To add a function:
/// - put it last, behind all that was released, and leave `last_prefix_field` where it is: fields up to it are in every
///   plugin of this major version, those behind it in newer ones;
/// - raise the crate's minor version, for the host decides by it which side may have more. One minor version has one
///   list of fields;
/// - say what a host does with a plugin that lacks it: `#[sabi(missing_field(with = function))]` gives what the function
///   returns in its place; without an attribute `ModuleRef` gives an `Option`. Never `panic`: an older plugin is a good one;
/// - pass what is new in types that are new: all other types here are compared whole, and can't grow;
/// - fill it in `construct` in export.rs.
///
/// Everything else, such as another type or meaning of a field, needs the next major version.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ModuleRef, prefix_fields = ModulePrefix)))]
pub struct Module {
    /// Whether the handler would take this configuration (JSON). Makes nothing.
    pub check_config: extern "C" fn(config: RStr<'_>) -> RResult<(), RString>,
    /// Makes a handler.
    pub init: extern "C" fn(&InitArgs<'_>) -> RResult<Instance, RString>,
    /// Answers a batch: one ack for each Submit goes into the sink before it returns, in their order. When the sink has no
    /// more room, the rest of the Submits may be left: the host offers them again. The first one is always answered.
    ///
    /// # Safety
    /// The instance came from this module's `init` and was not released.
    pub handle_batch: unsafe extern "C" fn(Instance, RSlice<'_, RawSubmit<'_>>, AckSink<'_>),
    /// See [`Handler::LARGEST_BODY`](crate::Handler::LARGEST_BODY): a call has no more Submits than there is room for acks of
    /// this kind, but at least one.
    pub largest_body: usize,
    /// Tells the handler that the host is done with it.
    ///
    /// # Safety
    /// As for `handle_batch`.
    pub shutdown: unsafe extern "C" fn(Instance) -> RResult<(), RString>,
    /// Drops the handler.
    ///
    /// # Safety
    /// As for `handle_batch`; and nothing calls or is inside this instance any more.
    #[sabi(last_prefix_field)]
    pub release: unsafe extern "C" fn(Instance) -> RResult<(), RString>,
}

impl RootModule for ModuleRef {
    declare_root_module_statics! {ModuleRef}
    const BASE_NAME: &'static str = "host_plugin";
    const NAME: &'static str = "host_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
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

/// What `init` is given.
#[repr(C)]
#[derive(StableAbi)]
pub struct InitArgs<'a> {
    /// The plugin's name, from its record.
    pub name: RStr<'a>,
    /// The plugin's version, from its record.
    pub version: RStr<'a>,
    /// A folder for the plugin's own files: the bytes of a path.
    pub data_dir: RSlice<'a, u8>,
    /// The plugin's configuration as a JSON object.
    pub config: RStr<'a>,
    /// Where the plugin's log goes.
    pub log: HostLog,
}

/// One Submit as it crosses.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawSubmit<'a> {
    /// See [`Submit::payload`](crate::Submit::payload).
    pub payload: RSlice<'a, u8>,
    /// See [`Submit::id`](crate::Submit::id).
    pub id: [u8; 8],
    /// See [`Submit::command`](crate::Submit::command).
    pub command: u8,
}

/// Where the acks of one batch go: the host's, lent to the plugin for one call.
///
/// Each function gives the room that is left then: so many acks without a body fit at least. An ack with a body takes more of
/// it, and may take more than is left. When the room is gone, acks are still taken, but the host would rather have them later.
#[repr(C)]
#[derive(StableAbi)]
pub struct AckSink<'s> {
    state: *mut (),
    room: usize,
    push_results: unsafe extern "C" fn(state: *mut (), results: RSlice<'_, u8>) -> usize,
    push: unsafe extern "C" fn(state: *mut (), result: u8, body: RSlice<'_, u8>) -> usize,
    fail: unsafe extern "C" fn(state: *mut (), reason: RStr<'_>) -> usize,
    lent: PhantomData<&'s mut ()>,
}

impl<'s> AckSink<'s> {
    /// `room`: for how many acks without a body there is room; each function gives what is left of it.
    ///
    /// # Safety
    /// Each function may be called with `state`, one at a time, for as long as `'s` lasts.
    pub unsafe fn new(
        state: *mut (),
        room: usize,
        push_results: unsafe extern "C" fn(*mut (), RSlice<'_, u8>) -> usize,
        push: unsafe extern "C" fn(*mut (), u8, RSlice<'_, u8>) -> usize,
        fail: unsafe extern "C" fn(*mut (), RStr<'_>) -> usize,
    ) -> AckSink<'s> {
        AckSink {
            state,
            room,
            push_results,
            push,
            fail,
            lent: PhantomData,
        }
    }

    /// For how many acks without a body there was room when the call began.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Acks as many of the next Submits of the batch as there are results, without bodies. Gives the room that is left, as
    /// all of these do.
    #[inline]
    pub fn push_results(&mut self, results: RSlice<'_, u8>) -> usize {
        // SAFETY: as for `push`.
        unsafe { (self.push_results)(self.state, results) }
    }

    /// Acks the next Submit of the batch.
    #[inline]
    pub fn push(&mut self, result: u8, body: RSlice<'_, u8>) -> usize {
        // SAFETY: whoever made the sink promised that `push` may be called with `state` while the sink lives, and
        // `&mut self` makes it one call at a time.
        unsafe { (self.push)(self.state, result, body) }
    }

    /// Fails the next Submit of the batch; the reason goes to the host's log.
    pub fn fail(&mut self, reason: RStr<'_>) -> usize {
        // SAFETY: as for `push`.
        unsafe { (self.fail)(self.state, reason) }
    }
}

/// The host's log, lent to a library for good: a library is never unmapped, and neither is what it was given.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct HostLog {
    state: *const (),
    max_level: u8,
    log: unsafe extern "C" fn(state: *const (), event: &LogEvent<'_>),
}

// SAFETY: whoever makes one promises (see `HostLog::new`) that any thread may call it.
unsafe impl Send for HostLog {}
// SAFETY: as above.
unsafe impl Sync for HostLog {}

impl HostLog {
    /// `max_level`: the most verbose level that the host will write for this plugin: 0 none, 1 error to 5 trace.
    ///
    /// # Safety
    /// `log` may be called with `state` from any thread, as long as the process lasts.
    pub unsafe fn new(state: *const (), max_level: u8, log: unsafe extern "C" fn(*const (), &LogEvent<'_>)) -> HostLog {
        HostLog { state, max_level, log }
    }

    /// The most verbose level that is worth sending.
    pub fn max_level(&self) -> u8 {
        self.max_level
    }

    /// Writes one event to the host's log.
    pub fn log(&self, event: &LogEvent<'_>) {
        // SAFETY: `HostLog::new` was promised just this.
        unsafe { (self.log)(self.state, event) }
    }
}

/// One event for the host's log.
///
/// Its layout stays as it is when it grows: what more there is to say of an event is one more entry of `about`, under a name
/// that older hosts pass over; another type of value is another kind of [`LogValue`].
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct LogEvent<'a> {
    /// 1 error, 2 warn, 3 info, 4 debug, 5 trace.
    pub level: u8,
    /// What happened, without the fields.
    pub message: RStr<'a>,
    /// What the author's code says of it, under names of its own choice.
    pub fields: RSlice<'a, LogField<'a>>,
    /// What this crate says of it, under the names that are listed as `ABOUT_...`; each is there at most once.
    pub about: RSlice<'a, LogField<'a>>,
}

/// A text: the module that an event comes from, or what stands in its place (the target, in `tracing` and `log`).
pub const ABOUT_MODULE: &str = "module";

impl<'a> LogEvent<'a> {
    /// A message by itself.
    pub fn new(level: u8, message: &'a str) -> LogEvent<'a> {
        LogEvent {
            level,
            message: message.into(),
            fields: RSlice::EMPTY,
            about: RSlice::EMPTY,
        }
    }
}

/// One field of an event.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Hash)]
pub struct LogField<'a> {
    /// Its name.
    pub name: RStr<'a>,
    /// Its value.
    pub value: LogValue<'a>,
}

/// A value as it crosses: see [`Scalar`], which it is made of and gives back.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Hash)]
pub struct LogValue<'a> {
    /// Which type it is. One that the reader does not know is read as [`Scalar::Shown`], so a newer one fills in `text` too.
    kind: u8,
    /// A number's bits, as wide as they are.
    bits: u64,
    text: RStr<'a>,
}

/// What a field's value may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// A text.
    Text(&'a str),
    /// The text that a value of another type shows itself by.
    Shown(&'a str),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Signed(i64),
    /// A whole number from 0.
    Unsigned(u64),
    /// A number, or what is none: `NaN`, infinities.
    Float(f64),
}

const TEXT: u8 = 0;
const SHOWN: u8 = 1;
const BOOL: u8 = 2;
const SIGNED: u8 = 3;
const UNSIGNED: u8 = 4;
const FLOAT: u8 = 5;

impl<'a> From<Scalar<'a>> for LogValue<'a> {
    fn from(scalar: Scalar<'a>) -> LogValue<'a> {
        let (kind, bits, text) = match scalar {
            Scalar::Text(text) => (TEXT, 0, text),
            Scalar::Shown(text) => (SHOWN, 0, text),
            Scalar::Bool(value) => (BOOL, value.into(), ""),
            Scalar::Signed(number) => (SIGNED, number.cast_unsigned(), ""),
            Scalar::Unsigned(number) => (UNSIGNED, number, ""),
            Scalar::Float(number) => (FLOAT, number.to_bits(), ""),
        };
        LogValue {
            kind,
            bits,
            text: text.into(),
        }
    }
}

impl<'a> From<LogValue<'a>> for Scalar<'a> {
    fn from(value: LogValue<'a>) -> Scalar<'a> {
        match value.kind {
            TEXT => Scalar::Text(value.text.as_str()),
            BOOL => Scalar::Bool(value.bits != 0),
            SIGNED => Scalar::Signed(value.bits.cast_signed()),
            UNSIGNED => Scalar::Unsigned(value.bits),
            FLOAT => Scalar::Float(f64::from_bits(value.bits)),
            _ => Scalar::Shown(value.text.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cross_as_they_are_and_unknown_kinds_as_their_text() {
        for scalar in [
            Scalar::Text("text"),
            Scalar::Shown("Some(7)"),
            Scalar::Bool(true),
            Scalar::Bool(false),
            Scalar::Signed(i64::MIN),
            Scalar::Unsigned(u64::MAX),
            Scalar::Float(-0.5),
            Scalar::Float(f64::INFINITY),
        ] {
            assert_eq!(Scalar::from(LogValue::from(scalar)), scalar);
        }
        let newer = LogValue {
            kind: 200,
            bits: 1,
            text: "2026-01-01".into(),
        };
        assert_eq!(Scalar::from(newer), Scalar::Shown("2026-01-01"));
    }
}
