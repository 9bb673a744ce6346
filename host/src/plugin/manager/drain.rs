//! What becomes of handlers that new batches don't reach any more: when their last call has returned, they wait in standby,
//! or are shut down if they can't serve again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Manager;
use crate::plugin::Plugin;
use crate::plugin::claims::config_of;
use crate::plugin::instances::Key;
use crate::plugin::stage::Digest;
use crate::plugin::survey::Survey;
use crate::plugin::swap::Swap;

/// Who holds a handler that no call is in: whoever keeps what is alive, and the list of those that leave.
const HOLDERS: usize = 2;

/// How often it is looked whether the calls into a version that was replaced have returned: soon at first, and less often
/// while one of them does not.
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LAST_LOOK: Duration = Duration::from_secs(1);

/// A handler that new batches don't reach any more.
pub(super) struct Leaving {
    pub(super) key: Key,
    pub(super) plugin: Arc<Plugin>,
    pub(super) since: Instant,
    /// How long it took until its last batch had returned.
    pub(super) drained: Option<Duration>,
}

impl Manager {
    /// When to look again whether handlers have drained, if any are to.
    pub(super) fn drain_again(&self, now: Instant) -> Option<Instant> {
        let waiting = self.leaving.iter().filter(|leaving| leaving.drained.is_none());
        let youngest = waiting.map(|leaving| leaving.since.elapsed()).min()?;
        Some(now + (youngest / 8).clamp(FIRST_LOOK, LAST_LOOK))
    }

    /// Finds out which handlers' last batches have returned; tells whether one has by now that had not before.
    pub(super) fn drain(&mut self) -> bool {
        // A call holds its handler and no table, so one that hangs keeps no other handler from draining.
        let mut is_news = false;
        for leaving in self.leaving.iter_mut().filter(|leaving| leaving.drained.is_none()) {
            if Arc::strong_count(&leaving.plugin) <= HOLDERS {
                leaving.drained = Some(leaving.since.elapsed());
                is_news = true;
            }
        }
        is_news
    }

    /// Handlers that have drained wait in standby; those that can't serve again are shut down: their content is gone, or
    /// their configuration is another one.
    pub(super) fn retire(&mut self, survey: &Survey) {
        let serving: Vec<Key> = self.known.served.values().map(|served| served.key.clone()).collect();
        let files = || survey.groups.iter().flat_map(|group| group.files());
        // Of a file that can't be judged at the moment it is not known that it is gone, or another one.
        let undecided: Vec<Digest> = self
            .known
            .judged
            .iter()
            .filter(|(name, _)| survey.undecided.contains(name))
            .map(|(_, digest)| *digest)
            .collect();
        let may_serve = |key: &Key| {
            if undecided.contains(&key.digest) {
                return true;
            }
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
