//! Puts one new route table in force: records what serves now and by which file, logs what has changed, and hands what was
//! replaced to `drain`. Opens and initialises nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::draining::Draining;
use super::open::Ready;
use super::state::Manager;
use crate::directory::survey::Survey;
use crate::dispatch::routes::RouteTable;
use crate::dispatch::target::Target;
use crate::files::identity::FileIdentity;
use crate::runtime::Plugin;
use crate::selection::candidate::Candidate;
use crate::selection::instance_key::InstanceKey;
use crate::selection::soname_state::{LinkState, Served, Sonames};
use crate::status::change::Took;
use crate::status::change_kind::between;

/// What is to serve at a soname.
struct Replacement {
    soname: String,
    served: Served,
    link: LinkState,
    plugin: Arc<Plugin>,
    took: Took,
}

impl Manager {
    /// Puts what is ready in force, and says what has changed. Gives what serves no more, nor another version of it, by soname.
    pub(super) fn publish(
        &mut self,
        survey: &Survey,
        candidates: &[Candidate],
        ready: Vec<Ready<'_>>,
        made: &HashMap<InstanceKey, Duration>,
        is_start: bool,
    ) -> Vec<(String, Served)> {
        let next = ready.into_iter().filter_map(|ready| self.next(survey, ready, made));
        let (mut serving, mut entries, mut took) = (Vec::new(), Vec::new(), Vec::new());
        for next in next.collect::<Vec<Replacement>>() {
            entries.push((next.served.commands.clone(), Target::Library(next.plugin)));
            took.push((next.soname.clone(), next.took));
            serving.push((next.soname, next.served, next.link));
        }
        let before = std::mem::replace(&mut self.sonames, Sonames::after(serving, candidates));
        if !is_start && is_same(&before, &self.sonames) {
            return Vec::new();
        }
        let began = Instant::now();
        drop(self.routes.swap(Arc::new(RouteTable::new(entries)))); // no thread reads the one before any more
        let publish = began.elapsed();
        for (soname, took) in took {
            let Some(now) = self.sonames.served(&soname) else {
                continue;
            };
            let before = before.served(&soname).filter(|before| before.plugin() == now.plugin());
            let change = between(&soname, before, now, took.published(publish), is_start);
            change.into_iter().for_each(|change| self.status.record(change));
        }
        self.send_off(&before);
        let is_of_plugin = |soname: &str, plugin: &str| {
            let now = self.sonames.served(soname);
            now.is_some_and(|now| now.plugin() == plugin)
        };
        let removed = before
            .all_served()
            .filter(|(soname, before)| !is_of_plugin(soname, before.plugin()));
        removed
            .map(|(soname, before)| (soname.to_owned(), before.clone()))
            .collect()
    }

    /// What is to serve of what is ready; nothing where the host ends.
    fn next(&self, survey: &Survey, ready: Ready<'_>, made: &HashMap<InstanceKey, Duration>) -> Option<Replacement> {
        let plugin = self.instances.get(&ready.key)?;
        let candidate = &ready.claim.candidate;
        let soname = candidate.soname.clone();
        let before = self
            .sonames
            .served(&soname)
            .filter(|before| before.plugin() == plugin.name());
        let link = match ready.has_taken_link {
            true => LinkState::Present,
            false => self.sonames.link(&soname),
        };
        let file = file_name(survey, candidate, &ready.key, before);
        let identity = match link {
            LinkState::Missing { .. } => before.and_then(|before| before.identity),
            LinkState::Present => {
                let path = file.as_deref().map(|file| survey.directory.join(file));
                path.and_then(|path| FileIdentity::of(&path))
            }
        };
        let served = Served {
            admitted: Arc::clone(&ready.claim.admitted),
            key: ready.key.clone(),
            commands: ready.claim.commands.clone(),
            file,
            is_linked: candidate.is_linked || ready.has_taken_link,
            identity,
        };
        let took = ready.took.made(made.get(&ready.key).copied());
        Some(Replacement {
            soname,
            served,
            link,
            plugin,
            took,
        })
    }

    /// Has the handlers leave that serve no more, and keeps those that serve again.
    fn send_off(&mut self, before: &Sonames) {
        let sonames = &self.sonames;
        let serves = |key: &InstanceKey| sonames.all_served().any(|(_, now)| now.key == *key);
        self.draining.retain(|draining| !serves(&draining.key));
        for (_, served) in before.all_served().filter(|(_, served)| !serves(&served.key)) {
            if let Some(plugin) = self.instances.get(&served.key) {
                self.draining.push(Draining {
                    key: served.key.clone(),
                    plugin,
                    since: Instant::now(),
                    drained: None,
                    is_reported: false,
                });
            }
        }
    }
}

/// The name of the file that a version serves by. While the same serves, so does the name that it came by, also where there
/// is nothing by now; unless only another name has the content.
fn file_name(survey: &Survey, candidate: &Candidate, key: &InstanceKey, before: Option<&Served>) -> Option<String> {
    let group = survey.group(&candidate.plugin, &candidate.soname);
    let file = group.and_then(|group| group.file_name(key.digest));
    let is_there = |file: &String| survey.findings.iter().any(|finding| finding.path.ends_with(file));
    let came_by = before
        .filter(|before| before.key == *key)
        .and_then(|before| before.file.clone());
    match (came_by, file) {
        (Some(came_by), Some(file)) if !is_there(&came_by) => Some(file),
        (came_by, file) => came_by.or(file),
    }
}

/// Whether the same serves on the same commands.
fn is_same(before: &Sonames, now: &Sonames) -> bool {
    let serving = |sonames: &Sonames| -> Vec<(String, InstanceKey, Vec<u8>)> {
        let served = sonames.all_served();
        let served = served.map(|(soname, served)| (soname.to_owned(), served.key.clone(), served.commands.clone()));
        served.collect()
    };
    serving(before) == serving(now)
}
