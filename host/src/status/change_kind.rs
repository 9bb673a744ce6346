//! Decides what a change in what serves at a soname is called: added, upgraded, rolled back and so on. Pure.

use std::cmp::Ordering;
use std::time::Duration;

use super::change::{Change, Started, Swapped, Took, VersionId};
use crate::directory::verdicts::AdmissionTimings;
use crate::runtime::Plugin;
use crate::runtime::retired::Retired;
use crate::selection::instance_key::InstanceKey;
use crate::selection::soname_state::Served;

impl Took {
    /// To a library that is open and has checked its configuration.
    pub fn opened(admission: AdmissionTimings, trial: Duration, load: Duration) -> Took {
        Took {
            settle_ms: milliseconds(admission.settle),
            admit_ms: milliseconds(admission.admit),
            trial_ms: milliseconds(trial),
            load_ms: milliseconds(load),
            ..Took::default()
        }
    }

    /// With what its init took, if there was one.
    pub fn made(self, init: Option<Duration>) -> Took {
        Took {
            init_ms: milliseconds(init.unwrap_or_default()),
            ..self
        }
    }

    /// With what it took to put it in force.
    pub fn published(self, publish: Duration) -> Took {
        Took {
            publish_ms: milliseconds(publish),
            ..self
        }
    }
}

impl VersionId {
    /// What serves at a soname.
    pub fn of(served: &Served) -> VersionId {
        let record = served.admitted.record();
        VersionId {
            plugin: record.name.clone(),
            version: record.version.clone(),
            digest: served.key.digest.to_string(),
        }
    }

    /// An instance.
    pub fn of_instance(plugin: &Plugin, key: &InstanceKey) -> VersionId {
        VersionId {
            plugin: plugin.name().to_owned(),
            version: plugin.version().clone(),
            digest: key.digest.to_string(),
        }
    }
}

impl From<Retired> for Change {
    fn from(Retired { id, reason }: Retired) -> Change {
        let (plugin, version, digest) = id;
        Change::Retired {
            id: VersionId {
                plugin,
                version,
                digest: digest.to_string(),
            },
            reason: reason.to_owned(),
        }
    }
}

/// What is to be told of a soname that served `before` and serves `now`; nothing if that is the same.
pub fn between(soname: &str, before: Option<&Served>, now: &Served, took: Took, is_start: bool) -> Option<Change> {
    let is_same = before.is_some_and(|before| before.key == now.key && before.commands == now.commands);
    if is_same {
        return None;
    }
    let to = Started {
        id: VersionId::of(now),
        soname: soname.to_owned(),
        commands: now.commands.clone(),
        took,
    };
    let Some(before) = before.filter(|_| !is_start) else {
        return Some(match is_start {
            true => Change::Serving(to),
            false => Change::Added(to),
        });
    };
    let from = VersionId::of(before);
    let order = to.id.version.cmp(&from.version);
    let swapped = Swapped {
        to,
        from_version: from.version,
        from_digest: from.digest,
    };
    Some(match order {
        _ if now.key == before.key => Change::OtherCommands(swapped),
        _ if now.key.digest == before.key.digest => Change::Reconfigured(swapped),
        Ordering::Greater => Change::Upgraded(swapped),
        Ordering::Less => Change::RolledBack(swapped),
        Ordering::Equal => Change::Replaced(swapped),
    })
}

/// A duration in milliseconds. Microseconds are as fine as anybody reads them.
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
