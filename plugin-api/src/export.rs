//! Makes a plugin of a handler: the functions that the host calls, each guarded, and the statics that it looks for.

#![allow(unsafe_code)] // the boundary; listed in ARCHITECTURE.md

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Once;

use serde::de::DeserializeOwned;

use crate::abi::{
    self, Batch, CheckArgs, Header, InitArgs, Instance, Lent, Log, LogEvent, Module, Opened, Outcome, Sink,
};
use crate::guard::{guard, in_call, install_hook};
use crate::{Acks, Context, Error, Handler, Submits, events};

/// Makes the crate a plugin: exports the handler and embeds the record that the build script wrote.
///
/// Once in the crate's root, with the type that implements [`Handler`], and once in a library: a linker that finds `duplicate
/// symbol: HOST_PLUGIN_ENTRY` has met the plugin of a dependency as well. Code that two plugins share belongs into a crate of
/// its own.
#[macro_export]
macro_rules! export_plugin {
    ($handler:ty) => {
        // Its name is what the compiler says of a second call.
        const _EXPORT_PLUGIN_STANDS_ONCE_IN_A_CRATE: () = {
            #[cfg(panic = "abort")]
            ::core::compile_error!(
                "a plugin must be built with panic = \"unwind\": a panic in a handler would end the host. \
                 Remove `panic = \"abort\"` from the profile in Cargo.toml (and `-C panic=abort` from RUSTFLAGS)"
            );

            const RECORD: &[u8] = ::core::include_bytes!(::core::env!(
                "PLUGIN_RECORD",
                "this crate has no record. Add a build.rs with `fn main() { plugin_build::emit() }`, and plugin-build \
                 under [build-dependencies] in Cargo.toml"
            ));

            #[used]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__plugin_mf"))]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".note.plugin"))]
            static NOTE: $crate::Note<{ RECORD.len() }> = $crate::Note::new(RECORD);

            $crate::embed_dependencies!();

            #[unsafe(no_mangle)]
            static HOST_PLUGIN_ENTRY: $crate::abi::Header = $crate::entry::<$handler>();
        };
    };
}

/// Embeds the list of linked packages that the build script wrote, where audit tools look for it: cargo-auditable's
/// section. A macro of its own, because the host has such a list too.
#[doc(hidden)]
#[macro_export]
macro_rules! embed_dependencies {
    () => {
        const _: () = {
            const BYTES: &[u8] = ::core::include_bytes!(::core::env!("PLUGIN_DEPENDENCIES"));

            #[used]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,.dep-v0"))]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".dep-v0"))]
            static DEPENDENCIES: [u8; BYTES.len()] = *::core::include_bytes!(::core::env!("PLUGIN_DEPENDENCIES"));
        };
    };
}

/// A record's note in memory, aligned as ELF notes are.
#[doc(hidden)]
#[repr(C, align(4))]
pub struct Note<const N: usize>([u8; N]);

impl<const N: usize> Note<N> {
    /// `bytes` must have length `N`.
    pub const fn new(bytes: &[u8]) -> Note<N> {
        let mut note = [0; N];
        note.copy_from_slice(bytes);
        Note(note)
    }
}

/// What a plugin exports under [`ENTRY_SYMBOL`](crate::abi::ENTRY_SYMBOL).
#[doc(hidden)]
pub const fn entry<H: Handler>() -> Header {
    abi::header(open::<H>)
}

extern "C" fn open<H: Handler>() -> Opened {
    abi::opened(module::<H>())
}

fn module<H: Handler>() -> Module {
    Module {
        check_config: check_config::<H>,
        init: init::<H>,
        handle_batch: handle_batch::<H>,
        largest_body: H::LARGEST_BODY,
        shutdown: shutdown::<H>,
        release: release::<H>,
        paused: paused::<H>,
        resumed: resumed::<H>,
        export_state: None,
        import_state: None,
        connected: None,
        disconnected: None,
        level_changed: None,
    }
}

extern "C" fn check_config<H: Handler>(args: Lent<'_, CheckArgs<'_>>) -> Outcome<()> {
    prepare_hook();
    in_call(|| answer(guard(|| parse_config::<H::Config>(args.config.as_str()).map(drop))))
}

extern "C" fn init<H: Handler>(args: Lent<'_, InitArgs<'_>>) -> Outcome<Instance> {
    prepare_hook();
    prepare_log(args.services.log);
    let data_dir = OsStr::from_bytes(args.data_dir.as_slice());
    let context = Context::new(args.name.as_str(), args.version.as_str(), data_dir);
    in_call(|| {
        answer(guard(|| {
            let config = parse_config::<H::Config>(args.config.as_str())?;
            let handler = H::init(config, &context)?;
            Ok(Instance::from_box(Box::new(handler)))
        }))
    })
}

/// # Safety
/// See [`Module::handle_batch`].
unsafe extern "C" fn handle_batch<H: Handler>(instance: Instance, batch: Lent<'_, Batch<'_>>) {
    // SAFETY: the caller passes an instance that this module's `init::<H>` made and that is not released.
    let handler = unsafe { handler::<H>(&instance) };
    // SAFETY: the batch is for this call, in which its sink is taken once.
    let sink = unsafe { Sink::new(batch) };
    in_call(|| {
        let submits = Submits::new(batch);
        let mut acks = Acks::new(sink, submits.len(), H::LARGEST_BODY);
        let outcome = guard(|| handler.handle_batch(submits, &mut acks));
        let surplus = match outcome {
            Ok(()) => acks.close("the batch handler returned without an ack for this Submit"),
            Err(panic) => acks.close(&panic),
        };
        if surplus > 0 {
            report(&format!(
                "the batch handler gave {surplus} acks more than it was given Submits"
            ));
        }
    })
}

/// # Safety
/// See [`Module::shutdown`].
unsafe extern "C" fn shutdown<H: Handler>(instance: Instance) -> Outcome<()> {
    // SAFETY: as in `handle_batch`.
    let handler = unsafe { handler::<H>(&instance) };
    in_call(|| answer(guard(|| handler.shutdown()).map(Ok)))
}

/// # Safety
/// See [`Module::paused`].
unsafe extern "C" fn paused<H: Handler>(instance: Instance) -> Outcome<()> {
    // SAFETY: as in `handle_batch`.
    let handler = unsafe { handler::<H>(&instance) };
    in_call(|| answer(guard(|| handler.paused()).map(Ok)))
}

/// # Safety
/// See [`Module::resumed`].
unsafe extern "C" fn resumed<H: Handler>(instance: Instance) -> Outcome<()> {
    // SAFETY: as in `handle_batch`.
    let handler = unsafe { handler::<H>(&instance) };
    in_call(|| answer(guard(|| handler.resumed()).map(Ok)))
}

/// # Safety
/// See [`Module::release`].
unsafe extern "C" fn release<H: Handler>(instance: Instance) -> Outcome<()> {
    // SAFETY: the address came from `Box::<H>::into_raw` in `init::<H>`, and the caller promises that nothing uses it
    // any more and that this is the only release.
    let handler = unsafe { Box::from_raw(instance.address().cast_mut().cast::<H>()) };
    in_call(|| answer(guard(|| drop(handler)).map(Ok)))
}

/// # Safety
/// The instance came from `init::<H>` of this library and outlives the borrow.
unsafe fn handler<H: Handler>(instance: &Instance) -> &H {
    // SAFETY: `init::<H>` put a valid `H` there, which only `release` takes away.
    unsafe { &*instance.address().cast::<H>() }
}

fn answer<T>(outcome: Result<Result<T, Error>, String>) -> Outcome<T> {
    match outcome {
        Ok(Ok(value)) => Outcome::ROk(value),
        Ok(Err(error)) => Outcome::RErr(error.to_string().into()),
        Err(panic) => Outcome::RErr(panic.into()),
    }
}

/// Reads a configuration; errors name the key.
fn parse_config<C: DeserializeOwned>(json: &str) -> Result<C, Error> {
    let error = match from_json::<C>(json) {
        Ok(config) => return Ok(config),
        Err(error) => error,
    };
    // A type such as `()` is no table, but stands for an empty one.
    match from_json::<C>("null") {
        Ok(config) if json == "{}" => Ok(config),
        Ok(_) if from_json::<C>("{}").is_err() => {
            let keys: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json)?;
            let keys: Vec<String> = keys.keys().map(|key| format!("`{key}`")).collect();
            Err(Error::new(format!(
                "unknown key {}: this plugin takes no configuration",
                keys.join(", ")
            )))
        }
        _ => Err(Error::new(error)),
    }
}

fn from_json<C: DeserializeOwned>(json: &str) -> Result<C, String> {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json)).map_err(|error| {
        // The position is one in our JSON, which the operator never saw.
        let inner = error.inner().to_string();
        let text = inner.rsplit_once(" at line ").map_or(inner.as_str(), |(text, _)| text);
        match error.path().to_string().as_str() {
            "." => text.to_owned(),
            path => format!("{path}: {text}"),
        }
    })
}

// Both once for this library, however many handlers it makes.

fn prepare_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| install_hook(report));
}

fn prepare_log(log: Lent<'static, Log>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        events::install(log);
        let _ = LOG.set(log);
    });
}

static LOG: std::sync::OnceLock<Lent<'static, Log>> = std::sync::OnceLock::new();

fn report(text: &str) {
    if let Some(log) = LOG.get() {
        log.log(&LogEvent::new(events::ERROR, text));
    }
}

#[cfg(test)]
mod tests;
