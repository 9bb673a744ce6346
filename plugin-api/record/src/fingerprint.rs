//! What a host tells those who build for it: enough to compare a plugin with it where the host is not.

use serde::{Deserialize, Serialize};

use crate::{Comparison, Policy, Record, compare};

/// A host's record and the policy of its configuration; what `host fingerprint --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// The host's own record.
    pub record: Record,
    /// What it lets through.
    pub policy: Policy,
}

impl Fingerprint {
    /// Compares a plugin with the host, as the host's admission does.
    pub fn compare(&self, plugin: &Record) -> Comparison {
        compare(&self.record, plugin, &self.policy)
    }
}
