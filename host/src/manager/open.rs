//! Opens and initialises what should serve. Each step may fail: what is a plugin's own fault is known as failed then, what is
//! the machine's is tried again.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plugin_record::Refusal;

use super::Manager;
use crate::admission::stage::Digest;
use crate::config::Config;
use crate::directory::survey::Survey;
use crate::logging;
use crate::runtime::instances::Key;
use crate::runtime::library::Library;
use crate::runtime::load_check::Trial;
use crate::selection::command_claims::{Claim, json_of};
use crate::selection::unserved::Unserved;
use crate::status::audit::versions::Times;
use crate::unavailable::{Lack, LoadError, Unavailable};

/// How long a line of the log is waited for before what it is about begins.
const LOG_PATIENCE: Duration = Duration::from_millis(20);

/// What could be opened.
pub(super) struct Opened<'a> {
    pub(super) ready: Vec<Ready<'a>>,
    /// Whether nothing failed.
    pub(super) is_complete: bool,
}

/// A claim with what is needed to publish it.
pub(super) struct Ready<'a> {
    pub(super) claim: Claim<'a>,
    pub(super) library: Library,
    pub(super) key: Key,
    /// Whether its soname has a link or a file.
    pub(super) is_linked: bool,
    pub(super) times: Times,
}

impl Manager {
    /// Opens all libraries and has them check their configurations; those that are not open yet in a process of their own
    /// first. Tells also whether all went well; what did not is known then, and said.
    pub(super) fn open_all<'a>(&mut self, claims: Vec<Claim<'a>>, survey: &Survey, config: &Config) -> Opened<'a> {
        let mut is_complete = true;
        let mut keyed = Vec::new();
        for claim in claims {
            match self.key(&claim) {
                Some(key) => keyed.push((claim, key)),
                // Its handler is being shut down; there is never a second one beside it.
                None => {
                    self.known.held_back.insert(claim.admitted.digest());
                    let found = "the shutdown of its last handler has not returned";
                    let lack = Unavailable::new(Lack::Shutdown, "init", found);
                    self.lack(&claim.candidate.soname, Some(claim.admitted.record()), lack);
                    is_complete &= !self.known.served.contains_key(&claim.candidate.soname);
                }
            }
        }
        let began = Instant::now();
        let mut tried = self.try_out(&keyed, survey, config.plugins.init_timeout);
        let trial = began.elapsed();
        let mut ready = Vec::new();
        for (claim, key) in keyed {
            let began = Instant::now();
            let file = survey.file_with(key.digest);
            let (library, trial) = match tried.remove(&key.digest) {
                None => (
                    self.open(&claim, &file, &key, config.plugins.init_timeout),
                    Duration::ZERO,
                ),
                Some(Ok(())) => (self.open_new(&claim, &file, &key, config.plugins.init_timeout), trial),
                Some(Err(error)) => (Err(error), trial),
            };
            let took = self.memory.took(key.digest);
            match library {
                Ok(library) => ready.push(Ready {
                    is_linked: claim.candidate.is_linked,
                    claim,
                    library,
                    key,
                    times: Times::opened(took, trial, began.elapsed()),
                }),
                Err(error) => {
                    self.failed(&claim, error);
                    is_complete = false;
                }
            }
        }
        Opened { ready, is_complete }
    }

    /// What the handler of a claim is made of; nothing while that is being shut down.
    fn key(&self, claim: &Claim<'_>) -> Option<Key> {
        let digest = claim.admitted.digest();
        let key = Key {
            digest,
            config: json_of(claim.table),
        };
        let is_ending = self.instances.is_ending(&key);
        match self.known.served.get(&claim.candidate.soname) {
            Some(served) if served.key.digest == digest && (self.known.failed.contains(&digest) || is_ending) => {
                Some(served.key.clone()) // another configuration has failed: the old handler goes on
            }
            _ => (!is_ending).then_some(key),
        }
    }

    /// Opens what is not open yet in another process.
    fn try_out(
        &self,
        claims: &[(Claim<'_>, Key)],
        survey: &Survey,
        timeout: Duration,
    ) -> HashMap<Digest, Result<(), LoadError>> {
        let mut trials: Vec<Trial> = Vec::new();
        for (claim, key) in claims {
            let is_known = trials.iter().any(|trial| trial.admitted.digest() == key.digest);
            if !is_known && !self.instances.is_open(key.digest) {
                trials.push(Trial {
                    admitted: Arc::clone(&claim.admitted),
                    file: survey.file_with(key.digest),
                    config: Some(key.config.clone()),
                });
            }
        }
        let verdicts = self
            .children
            .run(&trials, &self.instances.with_static_tls(), timeout, &self.stop);
        trials
            .iter()
            .map(|trial| trial.admitted.digest())
            .zip(verdicts)
            .collect()
    }

    fn open(&mut self, claim: &Claim<'_>, file: &Path, key: &Key, timeout: Duration) -> Result<Library, LoadError> {
        match self.instances.get(key) {
            Some(plugin) => Ok(plugin.library().clone()),
            None => self.instances.open(&claim.admitted, file, &key.config, timeout),
        }
    }

    /// Opens a library that opened well in another process. Said before, so that a death of this one names its cause.
    fn open_new(&mut self, claim: &Claim<'_>, file: &Path, key: &Key, timeout: Duration) -> Result<Library, LoadError> {
        let record = claim.admitted.record();
        tracing::info!(plugin = record.name, version = %record.version, digest = %key.digest, "opening");
        logging::flush(LOG_PATIENCE);
        let library = self.instances.open(&claim.admitted, file, &key.config, timeout);
        if claim.admitted.static_tls().is_some() {
            self.is_serving_told = false; // there is less of it, whatever becomes of the plugin
        }
        self.side_effects.look(&record.name, &record.version, &self.staging);
        library
    }

    /// Makes all handlers that are not alive. Tells whether all went well.
    pub(super) fn init_all(&mut self, ready: &[Ready<'_>], config: &Config, made: &mut HashMap<Key, Duration>) -> bool {
        let mut is_complete = true;
        for ready in ready {
            if self.instances.get(&ready.key).is_some() {
                continue;
            }
            if self.stop.is_set() {
                return false;
            }
            let data_dir = config.plugins.data_dir().join(&ready.claim.candidate.plugin);
            let began = Instant::now();
            let (library, timeout) = (ready.library.clone(), config.plugins.init_timeout);
            let plugin = self.instances.init(library, &ready.key, &data_dir, timeout);
            let record = ready.claim.admitted.record();
            self.side_effects.look(&record.name, &record.version, &self.staging);
            match plugin {
                Ok(_) => drop(made.insert(ready.key.clone(), began.elapsed())),
                Err(error) => {
                    self.failed(&ready.claim, error);
                    is_complete = false;
                }
            }
        }
        is_complete
    }

    fn failed(&mut self, claim: &Claim<'_>, error: LoadError) {
        match error {
            LoadError::Refused(refusal) => self.fail(claim, refusal),
            LoadError::Unavailable(lack) => {
                self.known.held_back.insert(claim.admitted.digest());
                self.lack(&claim.candidate.soname, Some(claim.admitted.record()), lack);
            }
            LoadError::Stopping => {}
        }
    }

    fn fail(&mut self, claim: &Claim<'_>, refusal: Refusal) {
        self.known.failed.insert(claim.admitted.digest());
        self.told.failed(&Unserved {
            plugin: claim.candidate.plugin.clone(),
            version: Some(claim.admitted.record().version.clone()),
            soname: Some(claim.candidate.soname.clone()),
            refusal,
        });
    }
}
