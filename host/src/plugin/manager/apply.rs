//! One look's outcome: opens and initialises what should serve, settles again without what fails, moves links, and puts one
//! new route table in force.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Applied, Leaving, Manager, StartError, identity};
use crate::config::Config;
use crate::logging;
use crate::plugin::claims::{Candidate, Claim, Plan, Unserved, Unwanted, json_of, settle_among};
use crate::plugin::instances::Key;
use crate::plugin::links::{link_command, point};
use crate::plugin::load::Library;
use crate::plugin::stage::Digest;
use crate::plugin::survey::Survey;
use crate::plugin::swap::{Swap, Times};
use crate::plugin::trial::{self, Trial};
use crate::plugin::unavailable::{LoadError, Unavailable};
use crate::plugin::wishes::{Served, wishes};
use crate::plugin::{Code, Refusal};
use crate::routes::RouteTable;

/// How long a line of the log is waited for before what it is about begins.
const LOG_PATIENCE: Duration = Duration::from_millis(20);

/// What could be opened.
struct Opened<'a> {
    ready: Vec<Ready<'a>>,
    /// Whether nothing failed.
    is_complete: bool,
}

/// A claim with what is needed to publish it.
struct Ready<'a> {
    claim: Claim<'a>,
    library: Library,
    key: Key,
    times: Times,
}

impl Manager {
    /// Makes what runs what should run.
    pub(super) fn apply(&mut self, survey: &Survey, is_start: bool) -> Result<Applied, StartError> {
        let config = self.config.clone();
        self.known.held_back.clear();
        let mut made = HashMap::new();
        let mut took_time = false;
        let (sonames, plan, ready) = loop {
            let (sonames, others) = match is_start {
                true => (self.as_they_stand(survey), Vec::new()),
                false => wishes(survey, &self.known, &config),
            };
            self.told.other_contents(&survey.directory, others);
            self.known.removed = sonames
                .iter()
                .filter(|soname| matches!(soname.wanted, Err(Unwanted::Removed)))
                .map(|soname| soname.soname.clone())
                .collect();
            let mut plan = settle_among(&sonames, &survey.directory, &config);
            if self.hold_back_losers(&sonames, &plan) {
                continue;
            }
            let claims = std::mem::take(&mut plan.claims);
            let Opened { ready, is_complete } = self.open_all(claims, &config);
            took_time |= ready.iter().any(|ready| self.instances.get(&ready.key).is_none()) || !is_complete;
            if is_start {
                if let Some(plugin) = self.instances.stuck() {
                    return Err(StartError::Stuck { plugin });
                }
                self.require(&config, ready.iter().map(|ready| &ready.claim), survey, &plan)?;
            }
            if is_complete && self.init_all(&ready, &config, &mut made) {
                break (sonames, plan, ready);
            }
            if self.stop.is_set() || self.instances.is_closed() {
                return Ok(Applied::Published);
            }
        };
        self.told.plan(&plan);
        if is_start {
            self.require(&config, ready.iter().map(|ready| &ready.claim), survey, &plan)?;
        } else if let Some(outdated) = self.outdated(survey, &sonames, took_time) {
            return Ok(outdated);
        }
        self.publish(survey, ready, &made, is_start);
        self.remember(survey);
        Ok(Applied::Published)
    }

    /// Whether what should serve was changed while it was made ready. A link that was moved or removed meanwhile is the
    /// operator's word on what had come by then: none of it is new any more.
    fn outdated(&mut self, survey: &Survey, sonames: &[Candidate], took_time: bool) -> Option<Applied> {
        let moved: Vec<&Candidate> = sonames
            .iter()
            .filter(|soname| soname.takes_link && !is_link_as_surveyed(survey, &soname.soname))
            .collect();
        for group in survey
            .groups
            .iter()
            .filter(|group| moved.iter().any(|moved| moved.soname == group.soname))
        {
            let files = group.files().iter();
            self.known
                .judged
                .extend(files.map(|(name, admitted)| (name.to_string(), admitted.digest())));
        }
        if !moved.is_empty() {
            return Some(Applied::Outdated { reread: false });
        }
        if !took_time {
            return None;
        }
        if self.reread(false) {
            return Some(Applied::Outdated { reread: true });
        }
        let fresh = self.survey()?;
        self.forgive(&fresh);
        let (now, _) = wishes(&fresh, &self.known, &self.config);
        let is_same = now.len() == sonames.len() && now.iter().zip(sonames).all(|(now, then)| now.is_same(then));
        (!is_same).then_some(Applied::Outdated { reread: false })
    }

    /// What a start would serve, less what has failed.
    fn as_they_stand(&self, survey: &Survey) -> Vec<Candidate> {
        let mut sonames: Vec<Candidate> = survey.groups.iter().map(|group| group.candidate()).collect();
        for soname in &mut sonames {
            if soname.wanted.as_ref().is_ok_and(|wanted| {
                self.known.failed.contains(&wanted.digest()) || self.known.held_back.contains(&wanted.digest())
            }) {
                soname.wanted = Err(Unwanted::Failed);
            }
        }
        sonames
    }

    /// A newcomer that does not get its commands is turned away, and what serves goes on.
    fn hold_back_losers(&mut self, sonames: &[Candidate], plan: &Plan<'_>) -> bool {
        let lost = |soname: &Candidate| {
            plan.unserved
                .iter()
                .any(|unserved| unserved.soname.as_ref() == Some(&soname.soname))
        };
        let losers = sonames
            .iter()
            .filter(|soname| soname.takes_link && self.known.served.contains_key(&soname.soname) && lost(soname));
        let losers: Vec<Digest> = losers
            .filter_map(|loser| loser.wanted.as_ref().ok().map(|admitted| admitted.digest()))
            .collect();
        self.told.turned_away(plan, &losers, sonames);
        self.known.held_back.extend(losers.iter().copied());
        !losers.is_empty()
    }

    /// Opens all libraries and has them check their configurations; those that are not open yet in a process of their own
    /// first. Tells also whether all went well; what did not is known then, and said.
    fn open_all<'a>(&mut self, claims: Vec<Claim<'a>>, config: &Config) -> Opened<'a> {
        let mut is_complete = true;
        let mut keyed = Vec::new();
        for claim in claims {
            match self.key(&claim) {
                Some(key) => keyed.push((claim, key)),
                // Its handler is being shut down; there is never a second one beside it.
                None => {
                    self.known.held_back.insert(claim.admitted.digest());
                    is_complete &= !self.known.served.contains_key(&claim.candidate.soname);
                }
            }
        }
        let began = Instant::now();
        let mut tried = self.try_out(&keyed, config.plugins.init_timeout);
        let trial = began.elapsed();
        let mut ready = Vec::new();
        for (claim, key) in keyed {
            let began = Instant::now();
            let (library, trial) = match tried.remove(&key.digest) {
                None => (self.open(&claim, &key, config.plugins.init_timeout), Duration::ZERO),
                Some(Ok(())) => (self.open_new(&claim, &key, config.plugins.init_timeout), trial),
                Some(Err(error)) => (Err(error), trial),
            };
            let took = self.memory.took(key.digest);
            match library {
                Ok(library) => ready.push(Ready {
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
    fn try_out(&self, claims: &[(Claim<'_>, Key)], timeout: Duration) -> HashMap<Digest, Result<(), LoadError>> {
        let mut trials: Vec<Trial> = Vec::new();
        for (claim, key) in claims {
            let is_known = trials.iter().any(|trial| trial.admitted.digest() == key.digest);
            if !is_known && !self.instances.is_open(key.digest) {
                trials.push(Trial {
                    admitted: Arc::clone(&claim.admitted),
                    config: Some(key.config.clone()),
                });
            }
        }
        let verdicts = trial::run(&trials, timeout, trial::Output::Null, &self.stop);
        trials
            .iter()
            .map(|trial| trial.admitted.digest())
            .zip(verdicts)
            .collect()
    }

    fn open(&mut self, claim: &Claim<'_>, key: &Key, timeout: Duration) -> Result<Library, LoadError> {
        match self.instances.get(key) {
            Some(plugin) => Ok(plugin.library().clone()),
            None => self.instances.open(&claim.admitted, &key.config, timeout),
        }
    }

    /// Opens a library that opened well in another process. Said before, so that a death of this one names its cause.
    fn open_new(&mut self, claim: &Claim<'_>, key: &Key, timeout: Duration) -> Result<Library, LoadError> {
        let record = claim.admitted.record();
        tracing::info!(plugin = record.name, version = %record.version, digest = %key.digest, "opening");
        logging::flush(LOG_PATIENCE);
        let library = self.instances.open(&claim.admitted, &key.config, timeout);
        self.side_effects.look(&record.name, &record.version, &self.staging);
        library.map_err(|error| match error {
            LoadError::Refused(refusal) if refusal.code != Code::LoadConfig => opens_once(&refusal).into(),
            error => error,
        })
    }

    /// Makes all handlers that are not alive. Tells whether all went well.
    fn init_all(&mut self, ready: &[Ready<'_>], config: &Config, made: &mut HashMap<Key, Duration>) -> bool {
        let mut is_complete = true;
        for ready in ready {
            if self.instances.get(&ready.key).is_some() {
                continue;
            }
            if self.stop.is_set() {
                return false;
            }
            let data_dir = config.plugins.dir.join("data").join(&ready.claim.candidate.plugin);
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
                let plugin = claim.candidate.plugin.clone();
                self.lack(&claim.candidate.soname, Some(&plugin), lack);
            }
            LoadError::Stopping => {}
        }
    }

    fn fail(&mut self, claim: &Claim<'_>, refusal: Refusal) {
        self.known.failed.insert(claim.admitted.digest());
        self.told.failed(&Unserved {
            plugin: claim.candidate.plugin.clone(),
            soname: Some(claim.candidate.soname.clone()),
            refusal,
        });
    }

    /// Whether everything that is required is among the claims that are still good; tells all reasons if not.
    fn require<'a, 'b: 'a>(
        &mut self,
        config: &Config,
        good: impl Iterator<Item = &'a Claim<'b>>,
        survey: &Survey,
        plan: &Plan<'_>,
    ) -> Result<(), StartError> {
        let good: Vec<&str> = good
            .filter(|claim| claim.table.is_some())
            .map(|claim| claim.candidate.plugin.as_str())
            .collect();
        let required = config
            .plugin
            .iter()
            .filter(|(_, table)| table.required && table.enabled);
        let missing: Vec<String> = required
            .map(|(name, _)| name.clone())
            .filter(|name| !good.contains(&name.as_str()))
            .collect();
        if missing.is_empty() || self.stop.is_set() {
            return Ok(());
        }
        self.told.report(survey);
        self.told.plan(plan);
        Err(StartError::Required { plugins: missing })
    }

    /// Moves links, puts the new table in force, and says what has changed.
    fn publish(&mut self, survey: &Survey, ready: Vec<Ready<'_>>, made: &HashMap<Key, Duration>, is_start: bool) {
        let mut now = BTreeMap::new();
        let mut entries = Vec::new();
        let mut swaps = Vec::new();
        let mut not_linked = Vec::new();
        for ready in ready {
            let soname = ready.claim.candidate.soname.clone();
            let Some(plugin) = self.instances.get(&ready.key) else {
                continue; // the host ends
            };
            let group = survey.groups.iter().find(|group| group.soname == soname);
            let file = group.and_then(|group| group.file_name(ready.key.digest));
            let before = self.known.served.get(&soname);
            let mut is_linked = ready.claim.candidate.is_linked;
            if ready.claim.candidate.takes_link
                && let Some(file) = &file
            {
                let link = survey.directory.join(&soname);
                match point(&link, file) {
                    Ok(()) => {
                        self.told.linked(&link, file, is_linked);
                        // Should it be gone at the next look, it was taken away anew.
                        self.gone.remove(&soname);
                        is_linked = true;
                    }
                    Err(error) => {
                        let lack = Unavailable::link(link_command(&link, file), &error);
                        not_linked.push((soname.clone(), ready.claim.candidate.plugin.clone(), lack));
                        if !is_start {
                            // The link is what says what runs: without it the newcomer would be gone at the next start.
                            self.known.held_back.insert(ready.key.digest); // it is still new
                            if let Some(before) = before {
                                entries.extend(
                                    self.instances
                                        .get(&before.key)
                                        .map(|plugin| (before.commands.clone(), plugin)),
                                );
                                now.insert(soname, before.clone());
                            }
                            continue;
                        }
                    }
                }
            }
            // While the same serves, so does the name that it came by, also where there is nothing by now; unless only
            // another name has the content.
            let is_there = |file: &String| survey.findings.iter().any(|finding| finding.path.ends_with(file));
            let came_by = before.filter(|before| before.key == ready.key);
            let file = match (came_by.and_then(|before| before.file.clone()), file) {
                (Some(came_by), Some(file)) if !is_there(&came_by) => Some(file),
                (came_by, file) => came_by.or(file),
            };
            let identity = match self.gone.contains_key(&soname) {
                true => before.and_then(|before| before.identity),
                false => file.as_deref().and_then(|file| identity(&survey.directory.join(file))),
            };
            let served = Served {
                admitted: Arc::clone(&ready.claim.admitted),
                key: ready.key.clone(),
                commands: ready.claim.commands.clone(),
                file,
                is_linked,
                identity,
            };
            let times = ready.times.made(made.get(&ready.key).copied());
            swaps.extend(Swap::between(&soname, before, &served, times));
            entries.push((ready.claim.commands.clone(), plugin));
            now.insert(soname, served);
        }
        for (soname, plugin, lack) in not_linked {
            self.lack(&soname, Some(&plugin), lack);
        }
        let before = std::mem::replace(&mut self.known.served, now);
        let is_same = before.len() == self.known.served.len()
            && before.iter().all(|(soname, before)| {
                let now = self.known.served.get(soname);
                now.is_some_and(|now| now.key == before.key && now.commands == before.commands)
            });
        if is_same && !is_start {
            return;
        }
        let began = Instant::now();
        self.tables.push(self.instances.publish(RouteTable::new(entries)));
        let took = began.elapsed();
        for swap in swaps {
            swap.log(is_start, took);
        }
        self.is_serving_told = false;
        self.leaving
            .retain(|leaving| !self.known.served.values().any(|now| now.key == leaving.key));
        for (soname, served) in &before {
            let serves = self.known.served.values().any(|now| now.key == served.key);
            if !self.known.served.contains_key(soname) {
                let is_claimed = survey.groups.iter().any(|group| group.soname == *soname);
                let reason = match is_claimed && !self.known.removed.contains(soname) {
                    true => "another one serves its commands, or the configuration says so",
                    false => "its link is gone",
                };
                Swap::removed(soname, served, reason);
            }
            if let (false, Some(plugin)) = (serves, self.instances.get(&served.key)) {
                self.leaving.push(Leaving {
                    key: served.key.clone(),
                    plugin,
                    since: Instant::now(),
                    drained: None,
                });
            }
        }
    }

    /// What lies there now is not new the next time; what failed or was turned away stays new, should its time come.
    fn remember(&mut self, survey: &Survey) {
        let files = survey.groups.iter().flat_map(|group| group.files());
        let judged: HashSet<(String, Digest)> = files
            .filter(|(_, admitted)| {
                let digest = admitted.digest();
                !self.known.failed.contains(&digest) && !self.known.held_back.contains(&digest)
            })
            .map(|(name, admitted)| (name.to_string(), admitted.digest()))
            .collect();
        self.known.judged.extend(judged);
    }
}

/// Whether the link at a soname is still as it was surveyed.
fn is_link_as_surveyed(survey: &Survey, soname: &str) -> bool {
    let now = std::fs::read_link(survey.directory.join(soname)).ok();
    now.as_deref() == survey.link(soname)
}

/// What opened well in another process, and fails here.
fn opens_once(here: &Refusal) -> Refusal {
    let cure = "# what its start-up code (constructors, statics of native libraries) takes for itself, as a port or a lock file, \
                belongs into init, where it can fail";
    Refusal::new(
        Code::LoadOnce,
        "load",
        "a library that opens here as it did in a process of its own",
        format!("{}: {}", here.code.as_str(), here.plugin),
        cure,
    )
}
