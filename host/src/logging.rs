//! The log: standard error, as text for people or JSON for machines, filtered by RUST_LOG.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log; `info` and above unless RUST_LOG says otherwise. Once per process.
pub fn start(format: Format) {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A log that can't be written must not end the host: by default it is told on the same standard error, and
        // that panics when it fails as well.
        .log_internal_errors(false);
    match format {
        Format::Text => log.with_ansi(colour()).init(),
        Format::Json => log.json().flatten_event(true).init(),
    }
}

/// Waits until everything logged so far is written, for no longer than `patience` without progress.
pub fn flush(_patience: std::time::Duration) {} // lines are written as they are logged

/// Colour is for terminals, and not for those who said no: <https://no-color.org>.
fn colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}
