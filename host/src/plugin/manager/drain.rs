//! What becomes of handlers that new batches don't reach any more: when their last call has returned, they wait in standby,
//! or are shut down if they can't serve again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Manager;
use crate::plugin::Plugin;
use crate::plugin::claims::config_of;
use crate::plugin::instances::Key;
use crate::plugin::survey::Survey;
use crate::plugin::swap::Swap;

/// Who holds a handler that no call is in: whoever keeps what is alive, and the list of those that leave.
const HOLDERS: usize = 2;

/// A handler that new batches don't reach any more.
pub(super) struct Leaving {
    pub(super) key: Key,
    pub(super) plugin: Arc<Plugin>,
    pub(super) since: Instant,
    /// How long it took until its last batch had returned.
    pub(super) drained: Option<Duration>,
}

impl Manager {
    /// Finds out which handlers' last batches have returned; tells whether there is one.
    pub(super) fn drain(&mut self) -> bool {
        // Threads look up handlers in a table that they hold for that moment alone; a call holds its handler. So one that hangs
        // keeps no other handler from draining.
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
    pub(super) fn retire(&mut self, survey: &Survey) {
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
