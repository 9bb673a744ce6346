//! Sole owner of the plugins that are loaded. Starts them in two phases: all files are admitted and all configurations
//! checked, then all handlers are made, then one route table is published. Ends them with one shutdown each.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::claims::{Claim, Plan, Unserved, settle};
use super::links::{link_command, point};
use super::load::{self, Library, StaticHost};
use super::report::{Commands, Report};
use super::stage::{Staging, StagingError};
use super::survey::{AtSoname, Survey, survey};
use super::{Plugin, Refusal};
use crate::config::Config;
use crate::routes::{RouteTable, Routes};
use crate::shutdown::Stop;

/// Why the host can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It can't load anything.
    #[error(transparent)]
    Static(#[from] StaticHost),
    /// No place for private copies.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// The plugin directory can't be read.
    #[error("can't read the plugin directory {}: {error}; mend plugins.dir or its permissions", path.display())]
    Directory {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Plugins that the configuration requires do not serve; the report was logged.
    #[error("required plugins do not serve: {}", plugins.join(", "))]
    Required {
        /// Their names.
        plugins: Vec<String>,
    },
}

/// The loaded plugins and what they need to go on.
pub struct Manager {
    plugins: Vec<Arc<Plugin>>,
    routes: Arc<Routes>,
    // Last: the private copies go when nothing is loaded from them any more.
    _staging: Staging,
}

impl Manager {
    /// Admits, loads and initialises what the plugin directory and the configuration ask for. Everything that does not
    /// serve is logged with its reasons. Once it is time to `stop`, no further handler is made.
    ///
    /// # Errors
    /// When there is no place for private copies, the directory can't be read, or a required plugin does not serve.
    pub fn start(config: &Config, stop: &Stop) -> Result<Manager, StartError> {
        load::check_dynamic()?;
        let staging = Staging::create(config.plugins.staging.as_deref())?;
        let survey = read(config, &staging)?;
        let mut plan = settle(&survey, config);
        let claims = std::mem::take(&mut plan.claims);
        let (loaded, failed) = load_all(claims, config.plugins.init_timeout);
        let mut failures: Vec<Unserved> = failed;
        require(config, loaded.iter().map(|(claim, ..)| claim), || {
            log(&survey, &plan, &failures);
        })?;

        let mut serving = Vec::new();
        for (claim, library, json) in loaded {
            if stop.is_set() {
                break;
            }
            let data_dir = config.plugins.dir.join("data").join(&claim.group.plugin);
            match Plugin::init(library, json, &data_dir, config.plugins.init_timeout) {
                Ok(plugin) => serving.push((claim, Arc::new(plugin))),
                Err(refusal) => failures.push(unserved(&claim, refusal)),
            }
        }
        let required = require(config, serving.iter().map(|(claim, _)| claim), || {});
        plan.claims = serving.iter().map(|(claim, _)| claim.clone()).collect();
        log(&survey, &plan, &failures);
        if let Err(error) = required
            && !stop.is_set()
        {
            let started = Manager {
                plugins: serving.into_iter().map(|(_, plugin)| plugin).collect(),
                routes: Arc::default(),
                _staging: staging,
            };
            started.shutdown(Instant::now() + config.server.drain_timeout);
            return Err(error);
        }
        for (claim, plugin) in &serving {
            link(&survey, claim);
            tracing::info!(
                plugin = plugin.name(),
                version = %plugin.version(),
                commands = ?Commands(&claim.commands),
                digest = %plugin.admitted().digest(),
                "serving"
            );
        }
        let routes = RouteTable::new(
            serving
                .iter()
                .map(|(claim, plugin)| (claim.commands.clone(), Arc::clone(plugin))),
        );
        Ok(Manager {
            plugins: serving.into_iter().map(|(_, plugin)| plugin).collect(),
            routes: Arc::new(Routes::from_pointee(routes)),
            _staging: staging,
        })
    }

    /// Where connections find out who answers what.
    pub fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes)
    }

    /// Takes every plugin out of the route table and calls its shutdown, once each, all at once; waits for them until
    /// `deadline`.
    pub fn shutdown(self, deadline: Instant) {
        self.routes.store(Arc::new(RouteTable::default()));
        let (done, finished) = mpsc::channel();
        let mut waiting: Vec<String> = Vec::new();
        for plugin in self.plugins {
            let (name, done) = (plugin.name().to_owned(), done.clone());
            let spawned = std::thread::Builder::new()
                .name(format!("shutdown {name}"))
                .spawn(move || {
                    plugin.shutdown();
                    let name = plugin.name().to_owned();
                    drop(plugin);
                    let _ = done.send(name);
                });
            match spawned {
                Ok(_) => waiting.push(name),
                Err(error) => tracing::error!(plugin = name, %error, "no thread to shut it down"),
            }
        }
        while !waiting.is_empty() {
            let left = deadline
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1));
            match finished.recv_timeout(left) {
                Ok(name) => waiting.retain(|plugin| *plugin != name),
                Err(_) => {
                    tracing::error!(plugins = ?waiting, "shutdown did not return in time");
                    return;
                }
            }
        }
    }
}

/// Surveys the plugin directory of a configuration. One that does not exist is an empty one, with a warning.
///
/// # Errors
/// When the directory can't be read.
pub fn read(config: &Config, staging: &Staging) -> Result<Survey, StartError> {
    let path = &config.plugins.dir;
    match survey(path, staging, &config.policy) {
        Ok(survey) => Ok(survey),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::warn!(directory = %path.display(), "the plugin directory does not exist: no plugins");
            Ok(Survey::nothing(path))
        }
        Err(error) => Err(StartError::Directory {
            path: path.clone(),
            error,
        }),
    }
}

type Loaded<'a> = (Claim<'a>, Library, String);

/// Opens every claimed library and has it check its configuration, before any handler is made.
fn load_all(claims: Vec<Claim<'_>>, timeout: Duration) -> (Vec<Loaded<'_>>, Vec<Unserved>) {
    let (mut loaded, mut failed) = (Vec::new(), Vec::new());
    for claim in claims {
        let json = claim.table.map_or_else(|| "{}".to_owned(), |table| table.config_json());
        match Library::open(Arc::clone(&claim.admitted), json.clone(), timeout) {
            Ok(library) => loaded.push((claim, library, json)),
            Err(refusal) => failed.push(unserved(&claim, refusal)),
        }
    }
    (loaded, failed)
}

fn unserved(claim: &Claim<'_>, refusal: Refusal) -> Unserved {
    Unserved {
        plugin: claim.group.plugin.clone(),
        soname: Some(claim.group.soname.clone()),
        refusal,
    }
}

/// Whether everything that is required is among the claims that are still good; calls `before_error` if not.
fn require<'a, 'b: 'a>(
    config: &Config,
    good: impl Iterator<Item = &'a Claim<'b>>,
    before_error: impl FnOnce(),
) -> Result<(), StartError> {
    let good: Vec<&str> = good
        .filter(|claim| claim.table.is_some())
        .map(|claim| claim.group.plugin.as_str())
        .collect();
    let required = config
        .plugin
        .iter()
        .filter(|(_, table)| table.required && table.enabled);
    let missing: Vec<String> = required
        .map(|(name, _)| name.clone())
        .filter(|name| !good.contains(&name.as_str()))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    before_error();
    Err(StartError::Required { plugins: missing })
}

fn log(survey: &Survey, plan: &Plan<'_>, failures: &[Unserved]) {
    let report = Report::new(survey, plan);
    for file in &report.files {
        let title = file.title();
        for refusal in &file.refusals {
            log_refusal(&title, file.plugin.as_deref(), refusal);
        }
        for difference in &file.differences {
            tracing::warn!(
                file = title,
                plugin = file.plugin,
                field = difference.field,
                host = difference.host,
                found = difference.plugin,
                "accepted with a difference"
            );
        }
    }
    for unserved in plan.unserved.iter().chain(failures) {
        let title = unserved.soname.as_deref().unwrap_or(&unserved.plugin);
        log_refusal(title, Some(&unserved.plugin), &unserved.refusal);
    }
    for file in &report.unversioned {
        tracing::warn!(
            file = %file.display(),
            cure = %format_args!("host install {} --plugins FILE", file.display()),
            "a library without a version in its name is not served"
        );
    }
}

fn log_refusal(file: &str, plugin: Option<&str>, refusal: &Refusal) {
    tracing::error!(
        file,
        plugin,
        code = refusal.code.as_str(),
        field = refusal.field,
        host = refusal.host,
        found = refusal.plugin,
        cure = refusal.cure,
        "refused"
    );
}

/// A plugin that serves without a link gets one, so that the next start, and people, see what runs.
fn link(survey: &Survey, claim: &Claim<'_>) {
    if !matches!(claim.group.at_soname, AtSoname::Nothing) {
        return;
    }
    let Some(target) = claim.group.file_name(claim.admitted.digest()) else {
        return;
    };
    let link: &Path = &survey.directory.join(&claim.group.soname);
    match point(link, &target) {
        // Not `target`: that is where an event comes from.
        Ok(()) => tracing::info!(link = %link.display(), to = target, "link created"),
        Err(error) => tracing::warn!(
            link = %link.display(),
            to = target,
            %error,
            cure = link_command(link, &target),
            "the link could not be created; the plugin serves without it"
        ),
    }
}
