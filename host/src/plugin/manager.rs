//! Decides what runs: one look after another at the plugin directory and the configuration, each ending in at most one new
//! route table. The first look is the start, and every later one does the same with more to go by.
//!
//! A look has two phases: everything that should serve is opened and its configuration checked, then handlers are made,
//! then one route table is published. What fails is left out, and it is settled again who serves; so a failed newcomer
//! leaves the version that serves alone.

mod apply;

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fs, io};

use super::Plugin;
use super::claims::config_of;
use super::hints::{Heard, Hints, Places};
use super::instances::{Instances, Key};
use super::judge::{Memory, NotAdmitted};
use super::load::{self, StaticHost};
use super::serving::Serving;
use super::settle::{SETTLE, Settling};
use super::side_effects::SideEffects;
use super::stage::{Staging, StagingError};
use super::survey::{Survey, survey_again};
use super::swap::Swap;
use super::told::{Lacking, Told};
use super::unavailable::{BackOff, Lack, Unavailable, is_of_machine};
use super::wishes::{Identity, Known};
use crate::config::{Config, Watched};
use crate::exit;
use crate::routes::{RouteTable, Routes};
use crate::shutdown::Stop;

/// How often it is looked whether the calls into a version that was replaced have returned.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// Who holds a handler that no call is in: whoever keeps what is alive, and the list of those that leave.
const HOLDERS: usize = 2;

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
    /// A library's start-up code never returned: nothing more can be opened, and no thread started.
    #[error(
        "the start-up code of {plugin} did not return within plugins.init_timeout and holds the dynamic linker: nothing else \
         can be loaded; keep it out of the plugin directory (`host check --load` finds such plugins)"
    )]
    Stuck {
        /// The plugin's name.
        plugin: String,
    },
    /// There is no thread to go on with.
    #[error("can't start a thread: {0}")]
    Thread(io::Error),
}

/// The loaded plugins, from outside.
pub struct Running {
    instances: Instances,
    /// None if it was time to stop before there was anything to follow.
    thread: Option<JoinHandle<()>>,
    staging: Arc<Staging>,
}

impl Running {
    /// Where connections find out who answers what.
    pub fn routes(&self) -> Arc<Routes> {
        Arc::clone(self.instances.routes())
    }

    /// Takes every plugin out of the route table and calls its shutdown, once each; waits for them until `deadline`.
    pub fn shutdown(self, deadline: Instant) {
        self.instances.close();
        // It holds route tables, and with them handlers, that connections may have been using; or is inside a plugin.
        let half = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < half {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.instances.shutdown(deadline);
        self.staging.remove();
    }
}

/// Admits, loads and initialises what the plugin directory and the configuration ask for, and goes on following both.
/// Everything that does not serve is logged with its reasons. Once it is time to `stop`, no further handler is made.
///
/// # Errors
/// When there is no place for private copies, the directory can't be read, or a required plugin does not serve.
pub fn start(path: &Path, config: Config, hints: Hints, stop: &Stop) -> Result<Running, StartError> {
    load::check_dynamic()?;
    let staging = Arc::new(Staging::create(config.plugins.staging.as_deref())?);
    let instances = Instances::new(hints.sender(), stop.clone());
    let drain_timeout = config.server.drain_timeout;
    let mut manager = Manager {
        watched: Watched::new(path, config.source),
        config,
        instances: instances.clone(),
        known: Known::default(),
        memory: Memory::default(),
        settling: Settling::default(),
        gone: HashMap::new(),
        tables: Vec::new(),
        leaving: Vec::new(),
        told: Told::default(),
        lacks: Vec::new(),
        back_off: BackOff::default(),
        is_serving_told: false,
        side_effects: SideEffects::new(),
        stop: stop.clone(),
        staging: Arc::clone(&staging),
    };
    manager.start().inspect_err(|_| {
        instances.shutdown(Instant::now() + drain_timeout);
        staging.remove();
    })?;
    let thread = match stop.is_set() {
        true => None,
        false => {
            let thread = exit::critical("manager", move || manager.follow(hints));
            Some(thread.map_err(StartError::Thread)?)
        }
    };
    Ok(Running {
        instances,
        thread,
        staging,
    })
}

struct Manager {
    config: Config,
    /// The file that it was read from.
    watched: Watched,
    instances: Instances,
    known: Known,
    memory: Memory,
    settling: Settling,
    /// Since when links are gone, by soname.
    gone: HashMap<String, Instant>,
    /// Tables that were in force and that connections may still hold: while a batch is under way, they do.
    tables: Vec<Arc<RouteTable>>,
    leaving: Vec<Leaving>,
    told: Told,
    /// What the machine lacked when it was last looked.
    lacks: Vec<Lacking>,
    back_off: BackOff,
    /// Whether `host check` can read what serves now.
    is_serving_told: bool,
    side_effects: SideEffects,
    stop: Stop,
    staging: Arc<Staging>,
}

/// What a look has come to.
enum Applied {
    /// What should run runs.
    Published,
    /// What should run was changed while it was made ready.
    Outdated {
        /// The configuration was, and is reread.
        reread: bool,
    },
}

/// A handler that new batches don't reach any more.
struct Leaving {
    key: Key,
    plugin: Arc<Plugin>,
    since: Instant,
    /// How long it took until its last batch had returned.
    drained: Option<Duration>,
}

impl Manager {
    fn start(&mut self) -> Result<(), StartError> {
        let survey = read_with(&self.config, &self.staging, &mut self.memory)?;
        self.apply(&survey, true)?;
        self.told.report(&survey);
        self.finish(&survey);
        Ok(())
    }

    /// Looks whenever there is a reason to, until the host ends.
    fn follow(mut self, mut hints: Hints) {
        tracing::info!(directory = %self.config.plugins.dir.display(), "following");
        loop {
            let is_watching = self.config.plugins.watch;
            let places = is_watching.then(|| Places::new(&self.config.plugins.dir, &self.watched));
            // It may start a thread, and wait for it: not while start-up code holds the dynamic linker's lock.
            let is_free = self.instances.stuck().is_none();
            let is_unheard = is_free && hints.watch(places, self.config.plugins.poll, &mut self.settling);
            let now = Instant::now();
            let poll = is_watching.then(|| {
                if is_unheard {
                    now
                } else {
                    now + self.config.plugins.poll
                }
            });
            let look = [poll, self.settling.again()].into_iter().flatten().min();
            let drain = (!self.leaving.is_empty()).then_some(now + DRAIN_LOOK);
            let deadline = [look, drain].into_iter().flatten().min();
            let heard = hints.wait(deadline, &mut self.settling);
            if self.stop.is_set() || self.instances.is_closed() {
                return;
            }
            let is_time = look.is_some_and(|look| Instant::now() >= look);
            if self.drain() || heard.is_reason || is_time {
                self.look(&heard);
            } else if let Some(look) = look {
                self.settling.look_again(look);
            }
        }
    }

    fn look(&mut self, heard: &Heard) {
        let mut reread = self.reread(heard.reload);
        // Again as long as the operator changes his mind meanwhile: the last word counts.
        let survey = loop {
            self.lacks.clear();
            let Some(survey) = self.survey() else { return };
            self.told.report(&survey);
            self.forgive(&survey);
            // Nothing is required of a host that runs.
            match self.apply(&survey, false) {
                Ok(Applied::Outdated { reread: again }) => reread |= again,
                _ => break survey,
            }
        };
        self.retire(&survey);
        self.finish(&survey);
        if reread {
            let unsettled = survey.unsettled + self.known.may_come_back.len();
            tracing::info!(unsettled, "configuration reread");
        }
    }

    /// What the directory offers now. A directory that is gone is damage, no wish: what serves goes on.
    fn survey(&mut self) -> Option<Survey> {
        match self.staging.renew() {
            Ok(false) => {}
            Ok(true) => {
                tracing::warn!(directory = %self.staging.directory().display(), "the staging directory was removed, made anew");
                self.memory.forget();
                self.is_serving_told = false;
            }
            Err(error) => self.lack(
                "staging",
                None,
                Unavailable::new(Lack::Staging, "private copies", error.to_string()),
            ),
        }
        let survey = survey_again(
            &self.config.plugins.dir,
            &self.staging,
            &self.config.policy,
            &mut self.memory,
            Some(&mut self.settling),
        );
        survey
            .inspect_err(|error| {
                self.told.directory(&self.config.plugins.dir, error);
                if is_of_machine(error) {
                    self.settling.look_again(Instant::now() + self.back_off.wait());
                }
            })
            .ok()
    }

    /// Takes note of what the machine can't give now.
    fn lack(&mut self, title: &str, plugin: Option<&str>, lack: Unavailable) {
        self.lacks.push(Lacking {
            title: title.to_owned(),
            plugin: plugin.map(str::to_owned),
            lack,
        });
    }

    /// The end of a look: tells `host check` what serves and the log what is lacking, and has it tried again.
    fn finish(&mut self, survey: &Survey) {
        for finding in &survey.findings {
            if let Err(NotAdmitted::Unavailable(lack)) = &finding.verdict {
                self.lack(&finding.path.display().to_string(), None, lack.clone());
            }
        }
        if !self.is_serving_told {
            match Serving::write(&self.staging, &survey.directory, &self.known.served) {
                Ok(()) => self.is_serving_told = true,
                Err(error) => {
                    let lack = Unavailable::staging(&self.staging.directory(), &error);
                    self.lack("what serves, for `host check`", None, lack);
                }
            }
        }
        let lacks = std::mem::take(&mut self.lacks);
        match lacks.is_empty() {
            true => self.back_off.reset(),
            false => self.settling.look_again(Instant::now() + self.back_off.wait()),
        }
        self.told.lacks(lacks);
    }

    /// Rereads the configuration if its file has changed or somebody asks for it; tells whether it did.
    fn reread(&mut self, asked: bool) -> bool {
        let Some(config) = self.watched.reread(asked, &self.config, &mut self.settling) else {
            return false;
        };
        for key in self.config.needs_restart(&config) {
            tracing::warn!(key, "takes effect at the next start");
        }
        if config.policy != self.config.policy {
            self.memory.judge_again();
        }
        self.config = config.taken_over(&self.config);
        // What failed may have failed for what was changed.
        self.known.failed.clear();
        true
    }

    /// A link that is gone may be on its way back (`ln -sfn` removes it first): it is taken away once it stays away.
    fn forgive(&mut self, survey: &Survey) {
        let now = Instant::now();
        self.known.may_come_back.clear();
        self.known.brought_again.clear();
        let present = |soname: &str| {
            survey.in_doubt.contains(soname) || survey.findings.iter().any(|finding| finding.path.ends_with(soname))
        };
        let served: Vec<String> = self.known.served.keys().cloned().collect();
        self.gone
            .retain(|soname, _| served.contains(soname) && !present(soname));
        for soname in served.into_iter().filter(|soname| !present(soname)) {
            let since = *self.gone.entry(soname.clone()).or_insert(now);
            let served = self.known.served.get(&soname);
            let file = served.and_then(|served| served.file.as_ref());
            let there_now = file.and_then(|file| identity(&survey.directory.join(file)));
            let is_growing = file.is_some_and(|file| {
                survey.in_doubt.contains(file) && !survey.findings.iter().any(|finding| finding.path.ends_with(file))
            });
            if is_growing {
                self.known.may_come_back.insert(soname); // its end will be heard
            } else if there_now.is_some() && there_now != served.and_then(|served| served.identity) {
                self.known.brought_again.insert(soname);
            } else if now < since + SETTLE {
                self.settling.look_again(since + SETTLE);
                self.known.may_come_back.insert(soname);
            }
        }
    }

    /// Finds out which handlers' last batches have returned; tells whether there is one.
    fn drain(&mut self) -> bool {
        // arc-swap counts the readers of a table when it is replaced, so this is the number of those that are left. None
        // holds it during a call: a call holds its handler, so that one that hangs keeps no other handler from draining.
        self.tables.retain(|table| Arc::strong_count(table) > 1);
        for leaving in self.leaving.iter_mut().filter(|leaving| leaving.drained.is_none()) {
            let is_held = Arc::strong_count(&leaving.plugin) > HOLDERS;
            if !is_held && !self.tables.iter().any(|table| table.contains(&leaving.plugin)) {
                leaving.drained = Some(leaving.since.elapsed());
            }
        }
        self.leaving.iter().any(|leaving| leaving.drained.is_some())
    }

    /// Handlers that have drained wait in standby; those that can't serve again are shut down: their content is gone, or
    /// their configuration is another one.
    fn retire(&mut self, survey: &Survey) {
        let serving: Vec<Key> = self.known.served.values().map(|served| served.key.clone()).collect();
        let files = || survey.groups.iter().flat_map(|group| group.files());
        let may_serve = |key: &Key| {
            let mut of_content = files().filter(|(_, admitted)| admitted.digest() == key.digest);
            of_content.any(|(_, admitted)| config_of(admitted, &self.config) == key.config)
        };
        for leaving in self.leaving.extract_if(.., |leaving| leaving.drained.is_some()) {
            if !serving.contains(&leaving.key) {
                let then = if may_serve(&leaving.key) { "standby" } else { "shutdown" };
                Swap::drained(&leaving.plugin, &leaving.key, leaving.drained.unwrap_or_default(), then);
            }
        }
        let mut lacks = Vec::new();
        for key in self.instances.keys() {
            let is_leaving = self.leaving.iter().any(|leaving| leaving.key == key);
            if !is_leaving && !serving.contains(&key) && !may_serve(&key) {
                let is_there = files().any(|(_, admitted)| admitted.digest() == key.digest);
                let reason = match is_there {
                    true => "its configuration is another one",
                    false => "its file is gone, or has other content",
                };
                let retired = self.instances.retire(&key, reason);
                lacks.extend(retired.err().map(|lack| (key, lack)));
            }
        }
        if let Some(again) = self.instances.give_up_endings(self.config.plugins.init_timeout) {
            self.settling.look_again(again);
        }
        let is_there = |digest| files().any(|(_, admitted)| admitted.digest() == digest);
        self.instances.discard_copies(is_there);
        for (key, lack) in lacks {
            self.lack(&key.digest.to_string(), None, lack);
        }
    }
}

/// Which file this is, whatever it is named and whatever is in it. Inode numbers are used again, so with its birth, where
/// the file system tells that.
fn identity(file: &Path) -> Option<Identity> {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.ino(), metadata.created().ok()))
}

/// Surveys the plugin directory of a configuration. One that does not exist is an empty one, with a warning.
///
/// # Errors
/// When the directory can't be read.
pub fn read(config: &Config, staging: &Staging) -> Result<Survey, StartError> {
    read_with(config, staging, &mut Memory::default())
}

fn read_with(config: &Config, staging: &Staging, memory: &mut Memory) -> Result<Survey, StartError> {
    let path = &config.plugins.dir;
    match survey_again(path, staging, &config.policy, memory, None) {
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
