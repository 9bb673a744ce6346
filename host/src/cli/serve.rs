//! `host --plugins F`: reads the configuration, starts the plugins, opens the port, serves until the host is stopped.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use crate::config::Config;
use crate::control::client::Client;
use crate::control::reload;
use crate::control::signals::Signals;
use crate::control::socket::ControlSocket;
use crate::manager::events::Events;
use crate::manager::{self, Running};
use crate::net;
use crate::net::Bound;
use crate::net::connection::Shared;
use crate::process::async_runtime::AsyncRuntime;
use crate::process::open_files;
use crate::runtime::load_check::{LoadChecks, Output};
use crate::status::publisher::Publisher;
use crate::status::submit_totals;

/// How often changed totals are logged.
const TOTALS_PERIOD: Duration = Duration::from_secs(10);
/// What is kept of the drain timeout for the plugins' own shutdown: a quarter, and no more than this.
const MOST_FOR_PLUGINS: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The configuration file; an empty one will do.
    #[arg(long, value_name = "FILE", required = true)]
    plugins: Option<PathBuf>,
}

impl Serve {
    pub(super) fn run(self, signals: Signals) -> Result<u8, Failure> {
        let path = self.plugins.context("which configuration? Name it with --plugins")?;
        let events = Events::default();
        let runtime = AsyncRuntime::start().context("can't start the control plane")?;
        let reload = reload::on_hangup(events.sender(), runtime.clone());
        let orders = signals.listen(&runtime, reload).context("can't wait for signals")?;
        let config = Config::read(&path)?;
        orders.stop_in_order(runtime.stop().clone());
        open_files::raise_open_files(config.server.max_connections);
        let drain_timeout = config.server.drain_timeout;
        runtime.watch_over_the_end(drain_timeout);
        // Taken before plugins are initialised, so that an address that can't be had leaves no trace of them; listened to
        // afterwards, so that no peer connects to a host that then refuses to start.
        let children = LoadChecks::here(Output::Null)?;
        let bound = Bound::new(&config.server.listen)?;
        let file = config.source.file.as_ref();
        let status = Publisher::new(file.map(|file| plugin_record::printable(file.display().to_string())));
        let control = ControlSocket::open(&config, status.subscribe(), &runtime)?;
        if control.is_some() {
            // Before there is a plugin: what a thread does for the first time may take a lock that a plugin holds for good.
            let answer = Client::find(&config, &runtime);
            if let Some(error) = answer.err().filter(|_| !runtime.is_stopping()) {
                tracing::warn!(%error, "the control socket does not answer");
            }
        }
        let manager = manager::start(&path, config.clone(), events, children, &runtime, status.clone())?;
        if runtime.is_stopping() {
            manager.shutdown(Instant::now() + drain_timeout);
            tracing::info!("stopped before it served");
            return Ok(super::GOOD);
        }
        let served = serve(&config, bound, &manager, &runtime, &status);
        // Without a port no peer was served, but the plugins are up and need their time to end.
        let deadline = *served.as_ref().unwrap_or(&(Instant::now() + drain_timeout));
        manager.shutdown(deadline);
        served?;
        drop(control); // it answered until now
        let _ = runtime.wait(async { timeout_at(deadline.into(), runtime.ended()).await });
        tracing::info!("stopped");
        Ok(super::GOOD)
    }
}

/// Serves until it is time to stop and connections had their time; returns when what is left to do must be done.
/// Connections that are left then may be inside a plugin: their threads are not waited for.
fn serve(
    config: &Config,
    bound: Bound,
    manager: &Running,
    runtime: &AsyncRuntime,
    status: &Publisher,
) -> Result<Instant, Failure> {
    let listener = bound.listen()?;
    let address = listener.address();
    let shared = Shared::new(&config.server, config.protocol.ack, &address, manager.routes());
    let shared = Arc::new(shared);
    let server = net::start(listener, &config.server, shared).context("can't serve")?;
    status.listening(address.to_string());
    tracing::info!(%address, "listening");

    let ended = CancellationToken::new();
    let totals = submit_totals::log_totals(manager.routes(), TOTALS_PERIOD, ended.clone());
    let totals = runtime.spawn("totals", totals);
    runtime.wait(runtime.stop().cancelled());
    status.stopping();
    let stopped = Instant::now();
    server.stop();
    let drain_timeout = config.server.drain_timeout;
    let for_plugins = (drain_timeout / 4).min(MOST_FOR_PLUGINS);
    server.drain(stopped + drain_timeout - for_plugins, || manager.calls());
    ended.cancel(); // not before: connections go on answering while they end, and the last line counts that too
    let _ = runtime.wait(totals);
    Ok(stopped + drain_timeout)
}
