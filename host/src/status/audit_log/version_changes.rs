//! Decides what the log says of a change in what serves: one line for each change. Operators and tools learn of changes from
//! the log.

use std::time::Duration;

use semver::Version;

use crate::directory::verdicts::AdmissionTimings;
use crate::logging::FieldValue;
use crate::runtime::Plugin;
use crate::selection::instance_key::InstanceKey;
use crate::selection::soname_state::Served;

/// How long the steps to a new handler took; those that there was no need for took none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    admission: AdmissionTimings,
    trial: Duration,
    load: Duration,
    init: Duration,
}

impl Timings {
    /// To a library that is open and has checked its configuration.
    pub fn opened(admission: AdmissionTimings, trial: Duration, load: Duration) -> Timings {
        Timings {
            admission,
            trial,
            load,
            init: Duration::ZERO,
        }
    }

    /// With what its init took, if there was one.
    pub fn made(self, init: Option<Duration>) -> Timings {
        Timings {
            init: init.unwrap_or_default(),
            ..self
        }
    }
}

/// One soname's change.
#[derive(Debug)]
pub struct VersionEvent {
    soname: String,
    plugin: String,
    version: Version,
    key: InstanceKey,
    commands: Vec<u8>,
    before: Option<(Version, InstanceKey)>,
    timings: Timings,
}

impl VersionEvent {
    /// What is to be said of a soname that served `before` and serves `now`; nothing if that is the same.
    pub fn between(soname: &str, before: Option<&Served>, now: &Served, timings: Timings) -> Option<VersionEvent> {
        let is_same = before.is_some_and(|before| before.key == now.key && before.commands == now.commands);
        let record = now.admitted.record();
        (!is_same).then(|| VersionEvent {
            soname: soname.to_owned(),
            plugin: record.name.clone(),
            version: record.version.clone(),
            key: now.key.clone(),
            commands: now.commands.clone(),
            before: before.map(|before| (before.admitted.record().version.clone(), before.key.clone())),
            timings,
        })
    }

    /// Says so, once the new table is in force.
    pub fn log(&self, is_start: bool, publish: Duration) {
        let VersionEvent {
            soname,
            plugin,
            version,
            ..
        } = self;
        let (digest, commands) = (self.key.digest, FieldValue::commands(&self.commands));
        let commands = commands.field();
        if is_start {
            tracing::info!(plugin, %version, commands, %digest, "serving");
            return;
        }
        let [settle_ms, admit_ms, trial_ms, load_ms, init_ms, publish_ms] = [
            self.timings.admission.settle,
            self.timings.admission.admit,
            self.timings.trial,
            self.timings.load,
            self.timings.init,
            publish,
        ]
        .map(milliseconds);
        let Some((from_version, from)) = &self.before else {
            tracing::info!(
                plugin, %version, %digest, soname, commands, settle_ms, admit_ms, trial_ms, load_ms, init_ms, publish_ms, "added"
            );
            return;
        };
        let from_digest = from.digest;
        // The message of an event must be known at compile time.
        macro_rules! swapped {
            ($what:literal) => {
                tracing::info!(
                    plugin, %version, %digest, soname, commands, %from_version, %from_digest,
                    settle_ms, admit_ms, trial_ms, load_ms, init_ms, publish_ms, $what
                )
            };
        }
        match version.cmp(from_version) {
            _ if self.key == *from => swapped!("other commands"),
            _ if digest == from_digest => swapped!("reconfigured"),
            std::cmp::Ordering::Greater => swapped!("upgraded"),
            std::cmp::Ordering::Less => swapped!("rolled back"),
            std::cmp::Ordering::Equal => swapped!("replaced"),
        }
    }

    /// A soname serves nothing any more.
    pub fn removed(soname: &str, before: &Served, reason: &str) {
        let record = before.admitted.record();
        let digest = before.key.digest;
        tracing::info!(plugin = record.name, version = %record.version, %digest, soname, reason, "removed");
    }

    /// Calls into a handler that new batches don't reach take long.
    pub fn draining(plugin: &Plugin, key: &InstanceKey, calls: usize) {
        tracing::warn!(
            plugin = plugin.name(),
            version = %plugin.version(),
            digest = %key.digest,
            calls,
            "still draining: calls into it have not returned"
        );
    }

    /// A handler that waits in standby has not come back from its `paused`.
    pub fn not_paused(plugin: &str, version: &Version, reason: &str) {
        tracing::error!(plugin, %version, reason, "in standby, but not paused");
    }

    /// The last call into a handler has returned.
    pub fn drained(plugin: &Plugin, key: &InstanceKey, took: Duration, then: &'static str) {
        tracing::info!(
            plugin = plugin.name(),
            version = %plugin.version(),
            digest = %key.digest,
            drain_ms = milliseconds(took),
            then,
            "drained"
        );
    }
}

fn milliseconds(duration: Duration) -> f64 {
    // Microseconds are as fine as anybody reads them.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
