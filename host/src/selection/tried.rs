//! Holds what has become of contents so far: judged before, deferred, or failed. So a content that lay there before is not
//! new, and one that failed is not tried again as it is. Pure.

use std::collections::{HashMap, HashSet};

use plugin_record::Refusal;

use crate::admission::stage::Digest;
use crate::directory::groups::Group;

/// What has become of contents so far.
#[derive(Debug, Default)]
pub struct Tried {
    /// What was judged before under which name.
    judged: HashSet<(String, Digest)>,
    setbacks: HashMap<Digest, Setback>,
    /// Why contents failed.
    failures: HashMap<Digest, Refusal>,
}

/// Why a content does not serve although it is desired. The later one outweighs the earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setback {
    /// It was turned away, or something is unavailable: it has its chance again in the next pass.
    Deferred,
    /// It could not be loaded or initialised under this configuration.
    Failed,
}

impl Tried {
    /// Begins a pass: what was deferred may be tried again.
    pub fn begin_pass(&mut self) {
        self.setbacks.retain(|_, setback| *setback == Setback::Failed);
    }

    /// The configuration has changed: what failed may have failed for what was changed.
    pub fn forget_failures(&mut self) {
        self.setbacks.retain(|_, setback| *setback != Setback::Failed);
        self.failures.clear();
    }

    /// Leaves a content out for the rest of the pass.
    pub fn defer(&mut self, digest: Digest) {
        self.set_back(digest, Setback::Deferred);
    }

    /// Leaves a content out until the configuration changes.
    pub fn fail(&mut self, digest: Digest, reason: Refusal) {
        self.set_back(digest, Setback::Failed);
        self.failures.insert(digest, reason);
    }

    /// Why a content failed, if it did.
    pub fn failure(&self, digest: Digest) -> Option<&Refusal> {
        self.failures.get(&digest)
    }

    fn set_back(&mut self, digest: Digest, setback: Setback) {
        let known = self.setbacks.entry(digest).or_insert(setback);
        *known = setback.max(*known);
    }

    /// Why a content is left out, if it is.
    pub fn setback(&self, digest: Digest) -> Option<Setback> {
        self.setbacks.get(&digest).copied()
    }

    /// Whether a file's name or content was not there before.
    pub fn is_new(&self, name: &str, digest: Digest) -> bool {
        !self.judged.contains(&(name.to_owned(), digest))
    }

    /// None of these files is new any more.
    pub fn note_all(&mut self, group: &Group) {
        let files = group.files().iter();
        let files = files.map(|(name, admitted)| (name.to_string(), admitted.digest()));
        self.judged.extend(files);
    }

    /// What lies there now is not new the next time; what is left out stays new, should its time come.
    pub fn note_judged(&mut self, group: &Group) {
        let files = group.files().iter();
        let files = files.map(|(name, admitted)| (name.to_string(), admitted.digest()));
        let tried = files.filter(|(_, digest)| !self.setbacks.contains_key(digest));
        self.judged.extend(tried);
    }

    /// The names under which a content was judged.
    pub fn names_of(&self, digest: Digest) -> impl Iterator<Item = &str> {
        let judged = self.judged.iter().filter(move |(_, judged)| *judged == digest);
        judged.map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use plugin_record::Code;

    use super::*;

    #[test]
    fn what_is_deferred_has_its_chance_in_the_next_pass_and_what_failed_with_another_configuration() {
        let (late, bad) = (Digest::of(b"late"), Digest::of(b"bad"));
        let mut tried = Tried::default();
        tried.defer(late);
        tried.fail(
            bad,
            Refusal::new(Code::LoadInit, "init", "a handler", "none", "# mend it"),
        );
        assert!(tried.failure(bad).is_some());
        tried.defer(bad);
        assert_eq!(tried.setback(late), Some(Setback::Deferred));
        assert_eq!(tried.setback(bad), Some(Setback::Failed), "the heavier one stays");
        tried.begin_pass();
        assert_eq!(tried.setback(late), None);
        assert_eq!(tried.setback(bad), Some(Setback::Failed));
        tried.forget_failures();
        assert!(tried.setback(bad).is_none() && tried.failure(bad).is_none());
    }
}
