//! Initialises what should serve, resumes what waits in standby, and records what fails: a plugin's own fault is not tried
//! again as it is, a fault of the machine is. Does not decide what should serve.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::open::Ready;
use super::predecessor::{Predecessor, with_predecessor};
use super::state::Manager;
use crate::config::Config;
use crate::runtime::Plugin;
use crate::selection::command_claims::Claim;
use crate::selection::instance_key::InstanceKey;
use crate::selection::unserved::Unserved;
use crate::status::reported::refused;
use crate::unavailable::LoadError;

impl Manager {
    /// Makes all instances that are not alive, and resumes those that are paused; `made` learns how long each took. Tells whether
    /// all went well.
    pub(super) fn init_all(
        &mut self,
        ready: &[Ready<'_>],
        config: &Config,
        made: &mut HashMap<InstanceKey, Duration>,
    ) -> bool {
        let mut is_complete = true;
        for ready in ready {
            if let Some(plugin) = self.instances.get(&ready.key) {
                is_complete &= self.resume(ready, &plugin, config);
                continue;
            }
            if self.runtime.is_stopping() {
                return false;
            }
            let data_dir = config.plugins.data_dir().join(&ready.claim.candidate.plugin);
            let began = Instant::now();
            let (library, timeout) = (ready.library.clone(), config.plugins.init_timeout);
            let record = ready.claim.admitted.record();
            self.side_effects.expect(&record.name, &record.version);
            let plugin = self.instances.init(library, &ready.key, &data_dir, timeout);
            self.side_effects.look(&record.name, &record.version);
            match plugin {
                Ok(_) => drop(made.insert(ready.key.clone(), began.elapsed())),
                Err(LoadError::Refused(refusal)) => {
                    let refusal = with_predecessor(refusal, &record.name, &self.predecessors(&record.name));
                    self.failed(&ready.claim, LoadError::Refused(refusal));
                    is_complete = false;
                }
                Err(error) => {
                    self.failed(&ready.claim, error);
                    is_complete = false;
                }
            }
        }
        is_complete
    }

    /// The versions of a plugin that are alive, whatever their soname: they may share what is not theirs alone.
    fn predecessors(&self, plugin: &str) -> Vec<Predecessor> {
        let alive = self.instances.alive().into_iter();
        let of_plugin = alive.filter(|(_, alive)| alive.name() == plugin);
        let with_state = of_plugin.map(|(key, alive)| Predecessor {
            version: alive.version().clone(),
            state: self.state_of(&key),
        });
        with_state.collect()
    }

    /// Has an instance that waits in standby go on. One that can't is shut down: it is not what it was. Tells whether it can.
    fn resume(&mut self, ready: &Ready<'_>, plugin: &Arc<Plugin>, config: &Config) -> bool {
        let Err(error) = self.instances.resume(plugin, config.plugins.init_timeout) else {
            return true;
        };
        if let LoadError::Refused(_) = error
            && let Err(reason) = self.instances.retire(&ready.key, "it could not be resumed")
        {
            self.note_unavailable(&ready.key.digest.to_string(), None, reason);
        }
        self.failed(&ready.claim, error);
        false
    }

    /// Takes note of a claim that could not be opened, initialised or resumed.
    pub(super) fn failed(&mut self, claim: &Claim<'_>, error: LoadError) {
        let (digest, record) = (claim.admitted.digest(), claim.admitted.record());
        match error {
            LoadError::Refused(refusal) => {
                self.tried.fail(digest, refusal.clone());
                self.status.record(refused(&Unserved {
                    plugin: claim.candidate.plugin.clone(),
                    version: Some(record.version.clone()),
                    soname: Some(claim.candidate.soname.clone()),
                    refusal,
                }));
            }
            LoadError::Unavailable(reason) => {
                self.tried.defer(digest);
                self.note_unavailable(&claim.candidate.soname, Some(record), reason);
            }
            LoadError::Stopping => {}
        }
    }
}
