//! What the author of a plugin writes against. A whole plugin:
//!
//! ```
//! use plugin_api::{Ack, Context, Error, Handler, Submit};
//!
//! #[derive(serde::Deserialize, Default)]
//! #[serde(default, deny_unknown_fields)]
//! struct Config {
//!     reply: bool,
//! }
//!
//! struct SubmitEcho {
//!     reply: bool,
//! }
//!
//! impl Handler for SubmitEcho {
//!     type Config = Config;
//!
//!     fn init(config: Config, _context: &Context) -> Result<Self, Error> {
//!         Ok(SubmitEcho { reply: config.reply })
//!     }
//!
//!     fn handle<'a>(&'a self, submit: Submit<'a>) -> Ack<'a> {
//!         if self.reply { Ack::ok().body(submit.payload) } else { Ack::ok() }
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! and, in the crate's root, `export_plugin!(SubmitEcho);`. Three more things make it a plugin; leaving one out is a
//! compile error that says what to add:
//!
//! - `crate-type = ["cdylib"]` under `[lib]`;
//! - `[package.metadata.plugin]` with `commands = [0x02]`, the commands that it answers;
//! - a build.rs with `fn main() { plugin_build::emit() }`, and `plugin-build` under `[build-dependencies]`.
//!
//! Handlers are called from many threads at once. A handler that blocks holds a thread: its own connection waits; for the
//! others of its event loop another thread goes on after a tenth of a second at most, as long as no more than 256 calls block
//! at once. A panic in a handler fails its Submit and nothing else.
//!
//! Each Submit knows the connection that it came by, [`Submit::connection`]: its number, which no other connection of the host's
//! process has, the peer's address and the listener's, when it was accepted, and the peer's identity, which is none so far. It is
//! a view, there for as long as the Submit; what is worth keeping is the number. All Submits of a batch are of one connection.
//!
//! A handler is tested like anything else: [`Context::new`], [`Submit::new`] and [`Connection::for_test`] make what it is given,
//! and acks can be compared.
//!
//! ```
//! # use plugin_api::{Ack, Context, Error, Handler, Submit};
//! # struct SubmitEcho { reply: bool }
//! # #[derive(Default)] struct Config { reply: bool }
//! # impl SubmitEcho {
//! #     fn init(config: Config, _: &Context) -> Result<Self, Error> { Ok(SubmitEcho { reply: config.reply }) }
//! #     fn handle<'a>(&'a self, submit: Submit<'a>) -> Ack<'a> {
//! #         if self.reply { Ack::ok().body(submit.payload) } else { Ack::ok() }
//! #     }
//! # }
//! let context = Context::new("submit-echo", "1.1.0", "/tmp/submit-echo");
//! let handler = SubmitEcho::init(Config { reply: true }, &context)?;
//! let ack = handler.handle(Submit::new(0x02, *b"00000001", b"hello"));
//! assert_eq!(ack, Ack::ok().body(&b"hello"[..]));
//! # Ok::<(), Error>(())
//! ```
//!
//! Events of the `tracing` crate, with their fields, and records of the `log` crate reach the host's log under `plugin.NAME`,
//! from `init` on. The host's filter decides which ones, and one that it does not want costs next to nothing. Spans and their
//! fields, and `log`'s key-value pairs, are not carried. A subscriber or logger need not be set, and can't be from `init` on:
//! there is one (so `env_logger::init()` panics, and `try_init()` changes nothing). What a plugin prints is not filtered, and
//! may keep its thread waiting.
//!
//! This crate knows no host, no runtime and no files. [`abi`] holds what crosses into the library; authors need none of
//! it.

mod batch;
mod connection;
mod context;
mod error;
mod events;
mod export;
mod guard;
mod handler;

#[doc(hidden)]
pub mod abi;

#[doc(hidden)]
pub use export::{Note, entry};

pub use batch::{Acks, Iter, Submits};
pub use connection::{Address, Connection};
pub use context::Context;
pub use error::Error;
pub use handler::{Ack, Handler, Submit};
