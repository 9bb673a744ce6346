//! One look's outcome: opens and initialises what should serve, settles again without what fails, moves links, and puts one
//! new route table in force.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Leaving, Manager, StartError, identity};
use crate::config::Config;
use crate::plugin::Refusal;
use crate::plugin::claims::{Candidate, Claim, Plan, Unserved, Unwanted, json_of, settle_among};
use crate::plugin::instances::Key;
use crate::plugin::links::point;
use crate::plugin::load::Library;
use crate::plugin::serving::Serving;
use crate::plugin::stage::Digest;
use crate::plugin::survey::Survey;
use crate::plugin::swap::{Swap, Times};
use crate::plugin::wishes::{Served, wishes};
use crate::routes::RouteTable;

/// A claim with what is needed to publish it.
struct Ready<'a> {
    claim: Claim<'a>,
    library: Library,
    key: Key,
    times: Times,
}

impl Manager {
    /// Makes what runs what should run.
    pub(super) fn apply(&mut self, survey: &Survey, config: &Config, is_start: bool) -> Result<(), StartError> {
        self.known.held_back.clear();
        let mut made = HashMap::new();
        let (plan, ready) = loop {
            let (sonames, others) = match is_start {
                true => (self.as_they_stand(survey), Vec::new()),
                false => wishes(survey, &self.known, config),
            };
            self.told.other_contents(&survey.directory, others);
            self.known.removed = sonames
                .iter()
                .filter(|soname| matches!(soname.wanted, Err(Unwanted::Removed)))
                .map(|soname| soname.soname.clone())
                .collect();
            let mut plan = settle_among(&sonames, &survey.directory, config);
            if self.hold_back_losers(&sonames, &plan) {
                continue;
            }
            let claims = std::mem::take(&mut plan.claims);
            let (ready, is_complete) = self.open_all(claims, config, is_start);
            if is_start {
                if let Some(plugin) = self.instances.stuck() {
                    return Err(StartError::Stuck { plugin });
                }
                self.require(config, ready.iter().map(|ready| &ready.claim), survey, &plan)?;
            }
            if is_complete && self.init_all(&ready, config, &mut made) {
                break (plan, ready);
            }
            if self.stop.is_set() {
                return Ok(());
            }
        };
        self.told.plan(&plan);
        if is_start {
            self.require(config, ready.iter().map(|ready| &ready.claim), survey, &plan)?;
        }
        self.publish(survey, ready, &made, is_start);
        self.remember(survey);
        Ok(())
    }

    /// What a start would serve, less what has failed.
    fn as_they_stand(&self, survey: &Survey) -> Vec<Candidate> {
        let mut sonames: Vec<Candidate> = survey.groups.iter().map(|group| group.candidate()).collect();
        for soname in &mut sonames {
            if soname
                .wanted
                .as_ref()
                .is_ok_and(|wanted| self.known.failed.contains(&wanted.digest()))
            {
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

    /// Opens all libraries and has them check their configurations. Tells also whether all went well; what did not is
    /// known as failed then, and said.
    fn open_all<'a>(&mut self, claims: Vec<Claim<'a>>, config: &Config, is_start: bool) -> (Vec<Ready<'a>>, bool) {
        let mut is_complete = true;
        let mut ready = Vec::new();
        for claim in claims {
            let json = json_of(claim.table);
            let digest = claim.admitted.digest();
            let mut key = Key { digest, config: json };
            let served = self.known.served.get(&claim.candidate.soname);
            if let Some(served) = served.filter(|served| served.key.digest == digest)
                && (self.known.failed.contains(&digest) || self.instances.is_ending(&key))
            {
                key = served.key.clone(); // another configuration has failed: the old handler goes on
            } else if self.instances.is_ending(&key) {
                // Its handler is being shut down; there is never a second one beside it.
                self.known.held_back.insert(digest);
                is_complete = served.is_none() && is_complete;
                continue;
            }
            let began = Instant::now();
            let library = match self.instances.get(&key) {
                Some(plugin) => Ok(plugin.library().clone()),
                None => self
                    .instances
                    .open(&claim.admitted, &key.config, config.plugins.init_timeout),
            };
            let took = self.memory.took(digest);
            match library {
                Ok(library) => ready.push(Ready {
                    claim,
                    library,
                    key,
                    times: Times::opened(took, began.elapsed()),
                }),
                // Said by whoever started the host, without the log: it may want to take the lock that is held now.
                Err(_) if is_start && self.instances.stuck().is_some() => return (ready, false),
                Err(refusal) => {
                    self.fail(&claim, refusal);
                    is_complete = false;
                }
            }
        }
        (ready, is_complete)
    }

    /// Makes all handlers that are not alive. Tells whether all went well.
    fn init_all(&mut self, ready: &[Ready<'_>], config: &Config, made: &mut HashMap<Key, Duration>) -> bool {
        let mut is_complete = true;
        for ready in ready {
            if self.instances.get(&ready.key).is_some() {
                continue;
            }
            if self.stop.is_set() {
                return true;
            }
            let data_dir = config.plugins.dir.join("data").join(&ready.claim.candidate.plugin);
            let began = Instant::now();
            let library = ready.library.clone();
            match self
                .instances
                .init(library, &ready.key, &data_dir, config.plugins.init_timeout)
            {
                Some(Ok(_)) => drop(made.insert(ready.key.clone(), began.elapsed())),
                Some(Err(refusal)) => {
                    self.fail(&ready.claim, refusal);
                    is_complete = false;
                }
                None => return true, // the host ends
            }
        }
        is_complete
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
                        self.told.not_linked(&link, file, &error, is_start);
                        if !is_start {
                            // The link is what says what runs: without it the newcomer would be gone at the next start.
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
        if let Err(error) = Serving::write(&self.staging, &survey.directory, &self.known.served) {
            tracing::warn!(%error, "what serves can't be told to `host check`");
        }
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
