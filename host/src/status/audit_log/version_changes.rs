//! Writes the lines about versions: one for each change in what serves, and for what becomes of what was replaced. Operators and
//! tools learn of changes from the log.

use crate::logging::FieldValue;
use crate::status::change::{Change, Started, Swapped};

/// Logs a change that is about a version.
pub(super) fn log(change: &Change) {
    // The message of an event must be known at compile time.
    macro_rules! swapped {
        ($swapped:expr, $what:literal) => {{
            let Swapped {
                to,
                from_version,
                from_digest,
            } = $swapped;
            let Started {
                id,
                soname,
                commands,
                took,
            } = to;
            let commands = FieldValue::commands(commands);
            tracing::info!(
                plugin = id.plugin, version = %id.version, digest = %id.digest, soname, commands = commands.field(),
                %from_version, %from_digest, settle_ms = took.settle_ms, admit_ms = took.admit_ms, trial_ms = took.trial_ms,
                load_ms = took.load_ms, init_ms = took.init_ms, publish_ms = took.publish_ms, $what
            );
        }};
    }
    match change {
        Change::Serving(Started { id, commands, .. }) => {
            let commands = FieldValue::commands(commands);
            let commands = commands.field();
            tracing::info!(plugin = id.plugin, version = %id.version, commands, digest = %id.digest, "serving");
        }
        Change::Added(started) => added(started),
        Change::Upgraded(swapped) => swapped!(swapped, "upgraded"),
        Change::RolledBack(swapped) => swapped!(swapped, "rolled back"),
        Change::Replaced(swapped) => swapped!(swapped, "replaced"),
        Change::Reconfigured(swapped) => swapped!(swapped, "reconfigured"),
        Change::OtherCommands(swapped) => swapped!(swapped, "other commands"),
        Change::Removed { id, soname, reason } => {
            tracing::info!(plugin = id.plugin, version = %id.version, digest = %id.digest, soname, reason, "removed");
        }
        Change::Opening { id } => {
            tracing::info!(plugin = id.plugin, version = %id.version, digest = %id.digest, "opening");
        }
        Change::StillDraining { id, calls } => tracing::warn!(
            plugin = id.plugin, version = %id.version, digest = %id.digest, calls,
            "still draining: calls into it have not returned"
        ),
        Change::Drained { id, drain_ms, then } => {
            tracing::info!(plugin = id.plugin, version = %id.version, digest = %id.digest, drain_ms, then, "drained");
        }
        Change::NotPaused { id, reason } => {
            tracing::error!(plugin = id.plugin, version = %id.version, reason, "in standby, but not paused");
        }
        Change::Retired { id, reason } => {
            tracing::info!(plugin = id.plugin, version = %id.version, digest = %id.digest, reason, "retired");
        }
        _ => {}
    }
}

fn added(started: &Started) {
    let Started {
        id,
        soname,
        commands,
        took,
    } = started;
    let commands = FieldValue::commands(commands);
    tracing::info!(
        plugin = id.plugin, version = %id.version, digest = %id.digest, soname, commands = commands.field(),
        settle_ms = took.settle_ms, admit_ms = took.admit_ms, trial_ms = took.trial_ms, load_ms = took.load_ms,
        init_ms = took.init_ms, publish_ms = took.publish_ms, "added"
    );
}
