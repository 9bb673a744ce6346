//! All that crosses between a host and a plugin: one module of `extern "C"` functions, and what they are given.
//!
//! Everything here is `repr(C)` and known to abi_stable, whose layout check compares both sides' copies of these types
//! after the library is opened (`entry`). Every struct can grow at its end, see [`lent`]: a field, once released, keeps its
//! place, type and meaning. Panics never cross: each function of the plugin guards the author's code, and the host's
//! functions do not panic.
//!
//! Ownership: what is lent is borrowed for the length of the call, unless its lifetime is `'static`: then it is there as long
//! as the process, for a library is never unmapped. A text that is returned is the caller's, and carries the way to free it.
//!
//! To add something:
//! - a field of a struct goes into `later`, behind all that was released. There, and nowhere else, a struct has room;
//! - the crate's minor version is raised, for the host decides by it which side may have more. One minor version has one
//!   list of fields, of all structs together;
//! - whoever reads it says what becomes of a side that lacks it, which is a good one;
//! - what is new in types that are new is one more struct that can grow. Texts, bytes and numbers can't, and need not.
//!
//! Everything else, such as another type or meaning of a field, needs the next major version.
//!
//! No other module of the project names abi_stable; what of it crosses has names of ours here.

mod batch;
mod connection;
mod entry;
mod init;
pub mod lent;
mod log;
mod module;
mod services;
mod sink;

pub use batch::{Batch, RawSubmit};
pub use connection::{RawAddress, RawConnection};
pub use entry::{ENTRY_SYMBOL, Entry, Header, Opened, checked_module, header, opened};
pub use init::{CheckArgs, InitArgs};
pub use lent::{Each, Lent, Many};
pub use log::{ABOUT_MODULE, Log, LogEvent, LogField, Scalar};
pub use module::{HandleBatch, Instance, Module, State};
pub use services::{Completions, Connections, Metrics, Services};
pub use sink::AckSink;
pub(crate) use sink::Sink;

/// A text.
pub type Text<'a> = abi_stable::std_types::RStr<'a>;
/// Bytes.
pub type Bytes<'a> = abi_stable::std_types::RSlice<'a, u8>;
/// A text, handed over.
pub type OwnedText = abi_stable::std_types::RString;
/// Bytes, handed over.
pub type OwnedBytes = abi_stable::std_types::RVec<u8>;
/// A value, or why there is none.
pub type Outcome<T> = abi_stable::std_types::RResult<T, OwnedText>;
