//! `host --plugins F`: reads the configuration, starts the plugins, opens the port, serves until told to stop.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use tokio::runtime::Runtime;

use crate::config::{Config, Server};
use crate::connection::{self, Shared};
use crate::handoff::Handoff;
use crate::plugin::hints::{Hint, Hints};
use crate::plugin::manager::{self, Running};
use crate::shutdown::Stop;
use crate::{limits, server, totals};

/// How often changed totals are logged.
const TOTALS_PERIOD: Duration = Duration::from_secs(10);
/// What is kept of the drain timeout for the plugins' own shutdown: a quarter, and no more than this.
const MOST_FOR_PLUGINS: Duration = Duration::from_secs(1);
/// How late the server may be with saying that time is up, before it is taken to be stuck.
const WORKERS_BLOCKED: Duration = Duration::from_millis(100);

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
    pub(super) fn names_configuration(&self) -> bool {
        self.plugins.is_some()
    }

    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let path = self.plugins.context("which configuration? Name it with --plugins")?;
        let config = Config::read(&path)?;
        limits::raise_open_files(config.server.max_connections);
        // Before anything is started: a signal that comes while plugins start is not lost.
        let hints = Hints::default();
        let hint = hints.sender();
        let reload = move || drop(hint.send(Hint::Reload)); // nobody listens when the host has ended
        let stop = Stop::on_signals(reload).context("can't wait for signals")?;
        // Before the port is opened: nobody connects to a host that then refuses to start.
        let manager = manager::start(&path, config.clone(), hints, &stop)?;
        if stop.is_set() {
            manager.shutdown(Instant::now() + config.server.drain_timeout);
            tracing::info!("stopped before it served");
            return Ok(ExitCode::SUCCESS);
        }
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        if std::thread::available_parallelism().is_ok_and(|processors| processors.get() == 1) {
            runtime.worker_threads(2); // a handler that blocks must not hold the only one
        }
        let routes = manager.routes();
        runtime.on_thread_start(move || connection::warm_up(&routes));
        let runtime = runtime.enable_all().build()?;
        let _handoff = Handoff::start(runtime.handle().clone()).context("can't start a thread")?;
        let served = serve(&runtime, &config, &manager, stop);
        // Without a port nobody was served, but the plugins are up and need their time to end.
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

/// Serves until it is time to stop and connections had their time; returns when what is left to do must be done.
///
/// Waits without the runtime's timers: those stand still while handlers block every worker, and just then the time to
/// stop must not.
fn serve(runtime: &Runtime, config: &Config, manager: &Running, stop: Stop) -> Result<Instant, ListenError> {
    let address = config.server.listen;
    let unusable = |error| ListenError { address, error };
    let _context = runtime.enter();
    let listener = server::bind(address).map_err(unusable)?;
    tracing::info!(address = %listener.local_addr().map_err(unusable)?, "listening");

    let drain_timeout = config.server.drain_timeout;
    let for_plugins = (drain_timeout / 4).min(MOST_FOR_PLUGINS);
    let settings = Server {
        drain_timeout: drain_timeout - for_plugins,
        ..config.server.clone()
    };
    let for_connections = settings.drain_timeout;
    let shared = Arc::new(Shared::new(&config.server, config.protocol.ack, manager.routes()));
    let (ended, end) = Stop::channel();
    let totals = totals::log_totals(manager.routes(), TOTALS_PERIOD, end);
    let (done, drained) = mpsc::channel();
    let server_stop = stop.clone();
    runtime.spawn(async move {
        let totals = tokio::spawn(totals);
        server::run(listener, &settings, shared, server_stop).await;
        ended.stop(); // not before: connections go on answering while they end, and the last line counts that too
        let _ = totals.await;
        let _ = done.send(());
    });
    runtime.block_on(stop.wait());
    let stopped = Instant::now();
    // A short timeout has a small share for plugins, which this must leave something of.
    let late = WORKERS_BLOCKED.min(for_plugins / 2);
    match drained.recv_timeout(for_connections + late) {
        Ok(()) => {}
        Err(RecvTimeoutError::Timeout) => tracing::warn!(
            ?for_connections,
            "connections did not end in time: handlers block every worker"
        ),
        Err(RecvTimeoutError::Disconnected) => tracing::error!("the server's own task failed"),
    }
    Ok(stopped + drain_timeout)
}
