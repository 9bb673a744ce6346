//! `host --plugins F`: reads the configuration, starts the plugins, opens the port, serves until told to stop.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;

use crate::config::Config;
use crate::connection::Shared;
use crate::plugin::manager::Manager;
use crate::shutdown::Stop;
use crate::{limits, server, totals};

/// How often changed totals are logged.
const TOTALS_PERIOD: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The configuration file; an empty one will do.
    #[arg(long, value_name = "FILE", required = true)]
    plugins: Option<PathBuf>,
}

/// The address to listen on can't be had.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address}: {error}; set server.listen to a free address of this machine")]
pub(super) struct ListenError {
    address: std::net::SocketAddr,
    error: std::io::Error,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let path = self.plugins.context("which configuration? Name it with --plugins")?;
        let config = Config::read(&path)?;
        limits::raise_open_files(config.server.max_connections);
        // Before anything is started: a signal that comes while plugins start is not lost.
        let stop = Stop::on_signals().context("can't wait for signals")?;
        // Before the port is opened: nobody connects to a host that then refuses to start.
        let manager = Manager::start(&config)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let served = runtime.block_on(serve(&config, &manager, stop));
        let deadline = *served
            .as_ref()
            .unwrap_or(&(Instant::now() + config.server.drain_timeout));
        // Connections that are left may be inside a plugin: their threads are not waited for.
        runtime.shutdown_background();
        manager.shutdown(deadline);
        served?;
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    }
}

/// Serves until it is time to stop; returns when what is left to do must be done.
async fn serve(config: &Config, manager: &Manager, stop: Stop) -> Result<Instant, ListenError> {
    let address = config.server.listen;
    let unusable = |error| ListenError { address, error };
    let listener = server::bind(address).map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    let totals = tokio::spawn(totals::log_totals(manager.routes(), TOTALS_PERIOD, stop.clone()));
    let shared = Arc::new(Shared::new(&config.server, config.protocol.ack, manager.routes()));
    tracing::info!(%address, "listening");

    let drained = tokio::spawn({
        let (settings, stop) = (config.server.clone(), stop.clone());
        async move { server::run(listener, &settings, shared, stop).await }
    });
    stop.wait().await;
    let deadline = Instant::now() + config.server.drain_timeout;
    if let Err(error) = drained.await {
        tracing::error!(%error, "the server task failed");
    }
    let _ = totals.await; // it ends with `stop`, and a last line of totals is worth the wait
    Ok(deadline)
}
