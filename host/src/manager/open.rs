//! Opens what should serve, and has it check its configuration; a library that is not open yet is opened in a child process
//! first. Decides what an instance is made of; `init` records what fails.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::state::Manager;
use crate::admission::stage::Digest;
use crate::config::Config;
use crate::directory::survey::Survey;
use crate::logging;
use crate::runtime::library::Library;
use crate::runtime::load_check::LoadCheck;
use crate::selection::command_claims::Claim;
use crate::selection::instance_key::InstanceKey;
use crate::selection::table_for::config_json;
use crate::status::change::{Change, Took, VersionId};
use crate::unavailable::{LoadError, Shortage, Unavailable};

/// How long a line of the log is waited for before what it is about begins.
const LOG_TIMEOUT: Duration = Duration::from_millis(20);

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
    pub(super) key: InstanceKey,
    /// Whether it has taken its soname's link.
    pub(super) has_taken_link: bool,
    pub(super) took: Took,
}

impl Manager {
    /// Opens all libraries and has them check their configurations; those that are not open yet in a process of their own
    /// first. Tells also whether all went well; what did not is known then, and said.
    pub(super) fn open_all<'a>(&mut self, claims: Vec<Claim<'a>>, survey: &Survey, config: &Config) -> Opened<'a> {
        let timeout = config.plugins.init_timeout;
        let (keyed, mut is_complete) = self.keyed(claims);
        let began = Instant::now();
        let mut checked = self.check_load(&keyed, survey, timeout);
        let check = began.elapsed();
        let mut ready = Vec::new();
        for (claim, key) in keyed {
            let began = Instant::now();
            let file = survey.file_with(key.digest);
            let (library, check) = match checked.remove(&key.digest) {
                None => (self.open(&claim, &file, &key, timeout), Duration::ZERO),
                Some(Ok(())) => (self.open_new(&claim, &file, &key, timeout), check),
                Some(Err(error)) => (Err(error), check),
            };
            let admission = self.verdicts.timings(key.digest);
            match library {
                Ok(library) => ready.push(Ready {
                    claim,
                    library,
                    key,
                    has_taken_link: false,
                    took: Took::opened(admission, check, began.elapsed()),
                }),
                Err(error) => {
                    self.failed(&claim, error);
                    is_complete = false;
                }
            }
        }
        Opened { ready, is_complete }
    }

    /// The claims, each with what its instance is made of. One whose last instance is being shut down is left out: there is
    /// never a second one beside it. Tells also whether none is left out that leaves its soname to what serves there.
    fn keyed<'a>(&mut self, claims: Vec<Claim<'a>>) -> (Vec<(Claim<'a>, InstanceKey)>, bool) {
        let mut is_complete = true;
        let mut keyed = Vec::new();
        for claim in claims {
            match self.key(&claim) {
                Some(key) => keyed.push((claim, key)),
                None => {
                    self.tried.defer(claim.admitted.digest());
                    let found = "the shutdown of its last handler has not returned";
                    let reason = Unavailable::new(Shortage::Shutdown, "init", found);
                    self.note_unavailable(&claim.candidate.soname, Some(claim.admitted.record()), reason);
                    is_complete &= self.sonames.served(&claim.candidate.soname).is_none();
                }
            }
        }
        (keyed, is_complete)
    }

    /// What the instance of a claim is made of; nothing while that is being shut down.
    fn key(&self, claim: &Claim<'_>) -> Option<InstanceKey> {
        let digest = claim.admitted.digest();
        let key = InstanceKey {
            digest,
            config: config_json(claim.table),
        };
        let is_ending = self.instances.is_ending(&key);
        let is_set_back = self.tried.setback(digest).is_some();
        match self.sonames.served(&claim.candidate.soname) {
            // Another configuration has failed, or has to wait: the old instance goes on.
            Some(served) if served.key.digest == digest && (is_set_back || is_ending) => Some(served.key.clone()),
            _ => (!is_ending).then_some(key),
        }
    }

    /// Opens what is not open yet in another process.
    fn check_load(
        &self,
        claims: &[(Claim<'_>, InstanceKey)],
        survey: &Survey,
        timeout: Duration,
    ) -> HashMap<Digest, Result<(), LoadError>> {
        let mut checks: Vec<LoadCheck> = Vec::new();
        for (claim, key) in claims {
            let is_known = checks.iter().any(|check| check.admitted.digest() == key.digest);
            if !is_known && !self.instances.is_open(key.digest) {
                checks.push(LoadCheck {
                    admitted: Arc::clone(&claim.admitted),
                    file: survey.file_with(key.digest),
                    config: Some(key.config.clone()),
                });
            }
        }
        let verdicts = self
            .children
            .run(&checks, &self.instances.with_static_tls(), timeout, &self.runtime);
        checks
            .iter()
            .map(|check| check.admitted.digest())
            .zip(verdicts)
            .collect()
    }

    fn open(
        &mut self,
        claim: &Claim<'_>,
        file: &Path,
        key: &InstanceKey,
        timeout: Duration,
    ) -> Result<Library, LoadError> {
        match self.instances.get(key) {
            Some(plugin) => Ok(plugin.library().clone()),
            None => self.instances.open(&claim.admitted, file, &key.config, timeout),
        }
    }

    /// Opens a library that opened well in another process. Said before, so that a death of this one names its cause.
    fn open_new(
        &mut self,
        claim: &Claim<'_>,
        file: &Path,
        key: &InstanceKey,
        timeout: Duration,
    ) -> Result<Library, LoadError> {
        let record = claim.admitted.record();
        let id = VersionId {
            plugin: record.name.clone(),
            version: record.version.clone(),
            digest: key.digest.to_string(),
        };
        self.status.record(Change::Opening { id });
        logging::flush(LOG_TIMEOUT);
        self.side_effects.expect(&record.name, &record.version);
        let library = self.instances.open(&claim.admitted, file, &key.config, timeout);
        self.side_effects.look(&record.name, &record.version);
        library
    }
}
