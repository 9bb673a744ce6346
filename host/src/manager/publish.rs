//! Puts one new route table in force, says what has changed, and notes what serves.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::drain::Leaving;
use super::open::Ready;
use super::{Manager, identity};
use crate::admission::stage::Digest;
use crate::directory::survey::Survey;
use crate::dispatch::routes::RouteTable;
use crate::dispatch::target::Target;
use crate::runtime::instances::Key;
use crate::selection::desired_version::Served;
use crate::selection::idle::Outcome;
use crate::status::audit::versions::Swap;

impl Manager {
    /// Puts the new table in force, and says what has changed.
    pub(super) fn publish(
        &mut self,
        outcome: Outcome<'_>,
        ready: Vec<Ready<'_>>,
        made: &HashMap<Key, Duration>,
        is_start: bool,
    ) {
        let survey = outcome.survey;
        let mut now = BTreeMap::new();
        let mut entries = Vec::new();
        let mut swaps = Vec::new();
        for ready in ready {
            let soname = ready.claim.candidate.soname.clone();
            let Some(plugin) = self.instances.get(&ready.key) else {
                continue; // the host ends
            };
            let group = survey.group(plugin.name(), &soname);
            let file = group.and_then(|group| group.file_name(ready.key.digest));
            let before = self
                .known
                .served
                .get(&soname)
                .filter(|before| before.plugin() == plugin.name());
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
                is_linked: ready.is_linked,
                identity,
            };
            let times = ready.times.made(made.get(&ready.key).copied());
            swaps.extend(Swap::between(&soname, before, &served, times));
            entries.push((ready.claim.commands.clone(), Target::Library(plugin)));
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
        drop(self.routes.swap(Arc::new(RouteTable::new(entries)))); // nobody looks into the one before any more
        let took = began.elapsed();
        for swap in swaps {
            swap.log(is_start, took);
        }
        self.is_serving_told = false;
        self.leaving
            .retain(|leaving| !self.known.served.values().any(|now| now.key == leaving.key));
        for (soname, served) in &before {
            let serves = self.known.served.values().any(|now| now.key == served.key);
            let now = self.known.served.get(soname);
            if now.is_none_or(|now| now.plugin() != served.plugin()) {
                let why = outcome.why(&served.admitted, now.map(|now| &*now.admitted));
                Swap::removed(soname, served, &why.text);
            }
            if let (false, Some(plugin)) = (serves, self.instances.get(&served.key)) {
                self.leaving.push(Leaving {
                    key: served.key.clone(),
                    plugin,
                    since: Instant::now(),
                    drained: None,
                    is_told: false,
                });
            }
        }
    }

    /// What lies there now is not new the next time; what failed or was turned away stays new, should its time come.
    pub(super) fn remember(&mut self, survey: &Survey) {
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
