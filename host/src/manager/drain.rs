//! Decides what becomes of handlers that new batches no longer reach: when their last call has returned, they wait in
//! standby, paused, or are shut down if they can't serve again. Takes nothing out of the route table, which is `publish`'s
//! part.

use std::sync::Arc;
use std::time::{Duration, Instant};

use plugin_record::Refusal;

use super::draining::Draining;
use super::state::Manager;
use crate::admission::admit::Admitted;
use crate::admission::names;
use crate::admission::stage::Digest;
use crate::config::Standby;
use crate::directory::survey::Survey;
use crate::runtime::Plugin;
use crate::selection::instance_key::InstanceKey;
use crate::selection::table_for::TableFor;
use crate::selection::tried::Setback;
use crate::status::change::{Change, VersionId};
use crate::status::change_kind::milliseconds;

/// How often it is looked whether the calls into a version that was replaced have returned: soon at first, and less often
/// while one of them does not.
const FIRST_COUNT: Duration = Duration::from_millis(20);
const LAST_COUNT: Duration = Duration::from_secs(1);
/// How long calls into a version that was replaced may take before the log names it.
const LONG: Duration = Duration::from_secs(5);

impl Manager {
    /// When to count again whether handlers have drained, if any are to.
    pub(super) fn drain_again(&self, now: Instant) -> Option<Instant> {
        let waiting = self.draining.iter().filter(|draining| draining.drained.is_none());
        let youngest = waiting.map(|draining| draining.since.elapsed()).min()?;
        Some(now + (youngest / 8).clamp(FIRST_COUNT, LAST_COUNT))
    }

    /// Finds out which handlers' last batches have returned; returns whether one has by now that had not before.
    pub(super) fn drain(&mut self) -> bool {
        // Calls are counted for each instance, so one that hangs keeps no other handler from draining.
        let mut is_news = false;
        for draining in self.draining.iter_mut().filter(|draining| draining.drained.is_none()) {
            let calls = draining.plugin.in_flight();
            if calls == 0 {
                draining.drained = Some(draining.since.elapsed());
                is_news = true;
            } else if !draining.is_reported && draining.since.elapsed() >= LONG {
                let id = VersionId::of_instance(&draining.plugin, &draining.key);
                self.status.record(Change::StillDraining { id, calls });
                draining.is_reported = true;
            }
        }
        is_news
    }

    /// Handlers that have drained wait in standby, or are shut down: see [`Manager::why_end`].
    pub(super) fn retire(&mut self, survey: &Survey) {
        let serving: Vec<InstanceKey> = self
            .sonames
            .all_served()
            .map(|(_, served)| served.key.clone())
            .collect();
        let mut unavailable = Vec::new();
        let draining: Vec<Draining> = self
            .draining
            .extract_if(.., |draining| draining.drained.is_some())
            .collect();
        for draining in draining.iter().filter(|draining| !serving.contains(&draining.key)) {
            let then = match self.why_end(&draining.key, draining.plugin.admitted(), survey) {
                None => "standby",
                Some(_) => "shutdown",
            };
            self.status.record(Change::Drained {
                id: VersionId::of_instance(&draining.plugin, &draining.key),
                drain_ms: milliseconds(draining.drained.unwrap_or_default()),
                then: then.to_owned(),
            });
        }
        drop(draining);
        for (key, plugin) in self.instances.alive() {
            let is_draining = self.draining.iter().any(|draining| draining.key == key);
            if is_draining || serving.contains(&key) {
                continue;
            }
            match self.why_end(&key, plugin.admitted(), survey) {
                Some(reason) => {
                    drop(plugin);
                    let retired = self.instances.retire(&key, reason);
                    unavailable.extend(retired.err().map(|reason| (key, reason)));
                }
                // One that waits for what is unavailable is about to serve.
                None if self.tried.setback(key.digest) == Some(Setback::Deferred) => {}
                None => self.pause(&plugin, &key),
            }
        }
        if let Some(again) = self.instances.give_up_endings(self.config.plugins.init_timeout) {
            self.stability.check_by(again);
        }
        self.instances.discard_copies(|digest| has_file(survey, digest));
        for (key, reason) in unavailable {
            self.note_unavailable(&key.digest.to_string(), None, reason);
        }
    }

    /// Pauses an instance that waits in standby. What it makes of that changes nothing for others, so it is no more than a line.
    fn pause(&self, plugin: &Arc<Plugin>, key: &InstanceKey) {
        // No reference to the plugin: the last one to go would have its code run on the control plane's thread.
        let (status, id) = (self.status.clone(), VersionId::of_instance(plugin, key));
        let not_paused = move |reason: &str| {
            let (id, reason) = (id.clone(), reason.to_owned());
            status.record(Change::NotPaused { id, reason });
        };
        let late = not_paused.clone();
        let late = move |refusal: &Refusal| late(&refusal.plugin);
        if let Err(reason) = self.instances.pause(plugin, self.config.plugins.init_timeout, late) {
            not_paused(&reason.found);
        }
    }

    /// Why a handler that serves nothing is shut down; nothing while it waits in standby. Only a version that another one of
    /// its plugin has taken over from waits there, while its file and its configuration are what they were: what was taken
    /// away is gone.
    fn why_end(&self, key: &InstanceKey, admitted: &Admitted, survey: &Survey) -> Option<&'static str> {
        if self.tried.setback(key.digest) == Some(Setback::Deferred) {
            return None; // it waits for what is unavailable
        }
        let record = admitted.record();
        let successor = self.sonames.served(&names::soname(record));
        if successor.is_none_or(|successor| successor.plugin() != record.name) {
            return Some("it was taken away: nothing of it serves any more");
        }
        if self.config.plugins.standby == Standby::Shutdown {
            return Some("another version serves, and plugins.standby is \"shutdown\"");
        }
        // Of a file that can't be judged at the moment it is not known that it is gone, or another one.
        if self
            .tried
            .names_of(key.digest)
            .any(|name| survey.undecided.contains(name))
        {
            return None;
        }
        if !has_file(survey, key.digest) {
            return Some("its file is gone, or has other content");
        }
        let table = TableFor::of(&record.name, record.line(), &self.config, &self.first_lines);
        (table.config_json() != key.config).then_some("its configuration is another one")
    }
}

/// Whether an admitted file has this content.
fn has_file(survey: &Survey, digest: Digest) -> bool {
    let mut files = survey.groups.iter().flat_map(|group| group.files());
    files.any(|(_, admitted)| admitted.digest() == digest)
}
