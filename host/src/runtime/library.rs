//! Opens an admitted library and has it checked that its types are laid out as ours (`plugin_api::abi`). From here on the
//! library's own code runs: its constructors in `dlopen`, then what we call.
//!
//! A library is never closed: its statics, thread-locals and the layout descriptions that we checked stay referenced, and
//! Rust code can't tell when the last reference is gone. dlopen(3), dlclose(3).

#![allow(unsafe_code)] // the boundary; listed in ARCHITECTURE.md

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};
use plugin_api::abi::{
    CheckArgs, Completions, Connections, ENTRY_SYMBOL, Entry, Lent, Log, LogEvent, Metrics, Module, Services,
    checked_module,
};
use plugin_record::Record;
use plugin_record::{Code, Refusal};

use super::call_with_deadline::within;
use super::linker_errors::{self, Subject};
use super::plugin_log::PluginLog;
use crate::admission::admit::Admitted;
use crate::admission::host_record::host_record;
use crate::admission::static_tls::Room;
use crate::process::async_runtime::AsyncRuntime;
use crate::unavailable::LoadError;

/// A library that is open, for good, and whose layout is the host's.
#[derive(Clone)]
pub struct Library {
    admitted: Arc<Admitted>,
    opened: Opened,
}

/// What opening a library gives, whoever asked for it.
#[derive(Clone, Copy)]
pub(super) struct Opened {
    module: Lent<'static, Module>,
    services: Lent<'static, Services>,
}

/// A host that can't open libraries.
#[derive(Debug, thiserror::Error)]
#[error(
    "this host is linked statically (target feature crt-static) and can't load plugins: expected a host that is linked \
     dynamically; build it without `-C target-feature=+crt-static`, on musl with `-C target-feature=-crt-static` in RUSTFLAGS"
)]
pub struct StaticHost;

/// Says at once what each dlopen would say later. Static C libraries have none (musl), or one that needs the very release
/// that was linked in (glibc).
///
/// # Errors
/// When this host is linked statically.
pub fn check_dynamic() -> Result<(), StaticHost> {
    match cfg!(target_feature = "crt-static") {
        true => Err(StaticHost),
        false => Ok(()),
    }
}

impl Library {
    /// Opens the private copy of a `file`, on a thread of its own. Runs the library's constructors. What they come to after
    /// that time goes to `late`. `room` is what static TLS is left, for what is said if it is too little.
    ///
    /// # Errors
    /// When the dynamic linker refuses it, it has no entry, or other layouts than the host, or does not return within
    /// `timeout`; what the machine lacks; and when it is time to stop.
    pub fn open(
        admitted: Arc<Admitted>,
        file: PathBuf,
        room: Room,
        timeout: Duration,
        runtime: &AsyncRuntime,
        late: impl FnOnce(Result<Library, LoadError>) + Send + 'static,
    ) -> Result<Library, LoadError> {
        let open = move || {
            let opened = Opened::open(Subject {
                copy: &admitted.staged().path,
                file: &file,
                record: admitted.record(),
                static_tls: admitted.static_tls(),
                room,
            })?;
            Ok(Library { admitted, opened })
        };
        within(timeout, runtime, "load", open, late)
    }

    /// Has the plugin check its configuration (JSON), on a thread of its own.
    ///
    /// # Errors
    /// When it does not take the configuration, or does not return within `timeout`; and as for [`Library::open`].
    pub fn check_config(&self, config: String, timeout: Duration, runtime: &AsyncRuntime) -> Result<(), LoadError> {
        let library = self.clone();
        let check = move || library.opened.check_config(&library.record().name, &config);
        within(timeout, runtime, "load", check, drop)
    }

    /// What was admitted.
    pub fn admitted(&self) -> &Arc<Admitted> {
        &self.admitted
    }

    /// What the plugin says of itself.
    pub fn record(&self) -> &Record {
        self.admitted.record()
    }

    pub(super) fn module(&self) -> Lent<'static, Module> {
        self.opened.module
    }

    pub(super) fn services(&self) -> Lent<'static, Services> {
        self.opened.services
    }
}

impl Opened {
    /// Opens a private copy of an admitted file, here and now. For [`Library`], and for the process that tries it out.
    pub(super) fn open(subject: Subject<'_>) -> Result<Opened, LoadError> {
        let record = subject.record;
        let entry = entry(subject)?;
        let module = checked_module(entry, is_older(record)).map_err(|report| layout(record, &report))?;
        let services = services(PluginLog::leak(record));
        Ok(Opened { module, services })
    }

    /// Has the plugin of that name check its configuration.
    pub(super) fn check_config(&self, name: &str, config: &str) -> Result<(), LoadError> {
        let config = CheckArgs { config: config.into() };
        let outcome = (self.module.check_config)(Lent::new(&config)).into_result();
        outcome.map_err(|error| {
            let cure = format!("# mend the key under [plugin.{name}.config] in plugins.toml");
            let expected = "one that the plugin takes";
            Refusal::new(Code::LoadConfig, "configuration", expected, error.as_str(), cure).into()
        })
    }
}

/// Opens the private copy of a library that is open in the host, for the place that it takes: nothing of it is called but its
/// start-up code.
pub(super) fn hold(copy: &Path) -> Result<(), String> {
    dlopen(copy).map(drop)
}

/// The error is in the dynamic linker's words.
fn dlopen(copy: &Path) -> Result<&'static Handle, String> {
    // RTLD_NOW: a missing symbol shows here and not in the middle of a call. RTLD_LOCAL: one plugin's symbols never
    // answer for another's.
    // SAFETY: opening runs the library's constructors. That they are well meant is the operator's decision in putting
    // the file there; admission has shown that it is a whole Rust library for this machine, built to be a plugin.
    let handle = unsafe { Handle::open(Some(copy), RTLD_NOW | RTLD_LOCAL) };
    // Never closed, see above; also not when what follows fails, for its constructors have run.
    handle
        .map(|handle| -> &'static Handle { Box::leak(Box::new(handle)) })
        .map_err(|error| reason(&error))
}

fn entry(subject: Subject<'_>) -> Result<Entry, LoadError> {
    let handle = dlopen(subject.copy).map_err(|words| linker_errors::error(&words, subject))?;
    // SAFETY: a static of this name is written by `export_plugin!` alone, as a `Header`, which an `Entry` points to; the
    // record has shown that the file was built with plugin-api. What the header begins with, a magic number and a version,
    // is checked before anything behind it is read.
    let symbol = unsafe { handle.get::<Entry>(ENTRY_SYMBOL) };
    symbol.map(|symbol| *symbol).map_err(|error| {
        let cure = "# put `export_plugin!(YourHandler);` in the crate's root";
        let said = linker_errors::said(&reason(&error), subject);
        Refusal::new(Code::LoadEntry, "library", ENTRY_SYMBOL, said, cure).into()
    })
}

/// libloading keeps the linker's own words in the source.
fn reason(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// What this host does for a library: its log, so far.
fn services(log: &'static PluginLog) -> Lent<'static, Services> {
    // SAFETY: `write_event` takes this very type from any thread, and `log` lives as long as the process.
    let log = unsafe { Log::new(std::ptr::from_ref(log).cast(), log.max_level(), write_event) };
    Lent::new(Box::leak(Box::new(Services {
        log: Lent::new(Box::leak(Box::new(log))),
        metrics: Lent::new(&Metrics {}),
        completions: Lent::new(&Completions {}),
        connections: Lent::new(&Connections {}),
    })))
}

/// Whether a library was built with an older interface than the host's, so that it may have less of it.
fn is_older(record: &Record) -> bool {
    let minor = |record: &Record| record.package("plugin-api").map(|package| package.version.minor);
    minor(record) < minor(host_record())
}

fn layout(record: &Record, report: &str) -> Refusal {
    // The whole comparison of a single field runs to hundreds of lines; the log is not the place for them.
    tracing::debug!(plugin = record.name, version = %record.version, "layout check:\n{report}");
    // The report begins with what was compared; what is wrong with it follows behind "Error".
    let lines: Vec<&str> = report.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let first = lines.iter().position(|line| line.starts_with("Error")).unwrap_or(0);
    let reason = lines[first.min(lines.len())..]
        .iter()
        .take(2)
        .copied()
        .collect::<Vec<_>>()
        .join(" ");
    let interface = |record: &Record| {
        let version = record.package("plugin-api").map(|package| package.version.to_string());
        format!("plugin-api {}", version.unwrap_or_else(|| "none".to_owned()))
    };
    Refusal::new(
        Code::LoadLayout,
        "type layout",
        format!("{} as this host has it", interface(host_record())),
        format!("{}: {reason}", interface(record)),
        "# build against the plugin-api of this host's version (RUST_LOG=debug shows the whole comparison)",
    )
}

/// # Safety
/// `state` is a `PluginLog` that lives as long as the process.
unsafe extern "C" fn write_event(state: *const (), event: Lent<'_, LogEvent<'_>>) {
    // SAFETY: see above; the reference is shared, and `PluginLog` is Sync.
    let log = unsafe { &*state.cast::<PluginLog>() };
    contain(|| log.write(event));
}

/// Runs the host's side of a callback. Nothing in it means to panic, but a log that is written while its thread ends
/// may, and a panic must not cross back into the plugin: it would end the process.
pub(super) fn contain(callback: impl FnOnce()) {
    // What is lost with the panic is a log line; the default hook has said so where it could.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(callback));
}
