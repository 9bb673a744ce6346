//! Makes the first pass, which is the start, and holds the running manager for the other threads.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::events::{Events, Sender};
use super::install;
use super::pass::PassKind;
use super::start_error::StartError;
use super::state::{Decisions, Manager};
use crate::admission::stage::Staging;
use crate::config::{Config, NextStart, Watched};
use crate::directory::survey::{Survey, survey_again};
use crate::directory::verdicts::VerdictCache;
use crate::dispatch::routes::Routes;
use crate::files::stability::StabilityTracker;
use crate::process::async_runtime::AsyncRuntime;
use crate::process::exit;
use crate::runtime::instances::Instances;
use crate::runtime::library;
use crate::runtime::load_check::LoadChecks;
use crate::runtime::side_effects::SideEffects;
use crate::selection::soname_state::Sonames;
use crate::selection::table_for::FirstLines;
use crate::selection::tried::Tried;
use crate::status::publisher::Publisher;
use crate::status::reported::Reported;
use crate::unavailable::BackOff;

/// The loaded plugins, from outside.
pub struct Running {
    instances: Instances,
    routes: Arc<Routes>,
    /// The end of the manager's thread; none if it was time to stop before there was anything to follow.
    ended: Option<oneshot::Receiver<()>>,
    runtime: AsyncRuntime,
    staging: Arc<Staging>,
}

impl Running {
    /// Where connections look up which target answers a command.
    pub fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes)
    }

    /// The plugins that are inside a call, each with its version and how many calls.
    pub fn calls(&self) -> Vec<String> {
        let calls = self.instances.calls().into_iter();
        calls
            .map(|(plugin, version, calls)| format!("{plugin} {version}: {calls}"))
            .collect()
    }

    /// Takes every plugin out of the route table and calls its shutdown, once each; waits for them until `deadline`.
    pub fn shutdown(self, deadline: Instant) {
        self.routes.close();
        self.instances.close();
        // It holds handlers that are draining; or is inside a plugin.
        let half = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
        if let Some(ended) = self.ended {
            let _ = self.runtime.wait(async { timeout_at(half.into(), ended).await });
        }
        self.instances.shutdown(deadline);
        self.staging.remove();
    }
}

/// Admits, loads and initialises what the plugin directory and the configuration ask for, and goes on following both.
/// Everything that does not serve is logged with its reasons. Once it is time to stop, no further handler is made.
///
/// # Errors
/// When there is no place for private copies, the directory is missing or can't be read, or a required plugin does not serve.
pub fn start(
    path: &Path,
    config: Config,
    events: Events,
    children: LoadChecks,
    runtime: &AsyncRuntime,
    status: Publisher,
) -> Result<Running, StartError> {
    library::check_dynamic()?;
    let staging = Arc::new(Staging::create(config.plugins.staging.as_deref())?);
    let routes = Arc::new(Routes::default());
    let instances = instances(events.sender(), status.clone(), runtime.clone());
    let drain_timeout = config.server.drain_timeout;
    let mut manager = Manager {
        watched: Watched::new(path, &config.source),
        next_start: NextStart::default(),
        config,
        instances: instances.clone(),
        routes: Arc::clone(&routes),
        sonames: Sonames::default(),
        tried: Tried::default(),
        first_lines: FirstLines::default(),
        verdicts: VerdictCache::default(),
        stability: StabilityTracker::default(),
        draining: Vec::new(),
        reported: Reported::default(),
        unavailable: Vec::new(),
        back_off: BackOff::default(),
        decided: Decisions::default(),
        status,
        side_effects: SideEffects::new(),
        children,
        runtime: runtime.clone(),
        staging: Arc::clone(&staging),
    };
    let ended = manager.start().and_then(|()| match runtime.is_stopping() {
        true => Ok(None),
        false => follow(manager, events).map(Some),
    });
    let ended = ended.inspect_err(|_| {
        routes.close();
        instances.shutdown(Instant::now() + drain_timeout);
        staging.remove();
    })?;
    Ok(Running {
        instances,
        routes,
        ended,
        runtime: runtime.clone(),
        staging,
    })
}

/// No instances yet. The manager is told when one has ended; where it has ended itself, the history has it at once.
fn instances(manager: Sender, status: Publisher, runtime: AsyncRuntime) -> Instances {
    let ended = move |retired| {
        if let Some(retired) = manager.instance_ended(retired) {
            status.record(retired.into());
        }
    };
    Instances::new(ended, runtime)
}

/// Starts the manager's thread; gives what tells of its end.
fn follow(manager: Manager, events: Events) -> Result<oneshot::Receiver<()>, StartError> {
    let (tell, ended) = oneshot::channel();
    let runtime = manager.runtime.clone();
    let run = move || {
        runtime.prime();
        manager.follow(events);
        let _ = tell.send(());
    };
    exit::critical("manager", run).map_err(StartError::Thread)?;
    Ok(ended)
}

impl Manager {
    fn start(&mut self) -> Result<(), StartError> {
        if self.config.plugins.create {
            make(&self.config.plugins.dir)?;
        }
        let survey = read_with(&self.config, &self.staging, &mut self.verdicts)?;
        self.pass(&survey, PassKind::Start)?;
        self.reported.files(&survey, &self.config, &self.status);
        self.finish(&survey);
        Ok(())
    }
}

/// Makes the plugin directory where there is none, as an installation does.
fn make(path: &Path) -> Result<(), StartError> {
    if path.exists() {
        return Ok(());
    }
    install::create(path).map_err(|error| StartError::NotMade {
        path: path.to_owned(),
        error,
    })?;
    tracing::info!(directory = %path.display(), "plugin directory made");
    Ok(())
}

/// Surveys the plugin directory of a configuration as a start would find it. One that a start would make is an empty one.
///
/// # Errors
/// When the directory is missing or can't be read.
pub fn read(config: &Config, staging: &Staging) -> Result<Survey, StartError> {
    match read_with(config, staging, &mut VerdictCache::default()) {
        Err(StartError::Missing { path }) if config.plugins.create => Ok(Survey::nothing(&path)),
        survey => survey,
    }
}

fn read_with(config: &Config, staging: &Staging, verdicts: &mut VerdictCache) -> Result<Survey, StartError> {
    let path = config.plugins.dir.clone();
    survey_again(config, staging, verdicts, None).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StartError::Missing { path },
        _ => StartError::Directory { path, error },
    })
}
