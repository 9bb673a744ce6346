//! Writes the log's lines: one for each [`Change`], with its fields. Decides nothing: what is worth a line was decided before
//! there was a change.

mod refusals;
mod version_changes;

use super::change::Change;

/// Logs a change.
pub(super) fn log(change: &Change) {
    match change {
        Change::Serving(_)
        | Change::Added(_)
        | Change::Upgraded(_)
        | Change::RolledBack(_)
        | Change::Replaced(_)
        | Change::Reconfigured(_)
        | Change::OtherCommands(_)
        | Change::Removed { .. }
        | Change::Opening { .. }
        | Change::StillDraining { .. }
        | Change::Drained { .. }
        | Change::NotPaused { .. }
        | Change::Retired { .. } => version_changes::log(change),
        Change::Refused { .. }
        | Change::Unavailable { .. }
        | Change::Difference { .. }
        | Change::Noted { .. }
        | Change::NotServed { .. }
        | Change::Unversioned { .. }
        | Change::Misnamed { .. }
        | Change::OtherContent { .. } => refusals::log(change),
        Change::DirectoryUnreadable { directory, error } => {
            tracing::error!(%directory, error, "the plugin directory can't be read; what serves goes on");
        }
        // Not `target`: that is where an event comes from.
        Change::LinkCreated { link, to } => tracing::info!(%link, to, "link created"),
        Change::LinkMoved { link, to } => tracing::info!(%link, to, "link moved"),
        Change::StagingRenewed { directory } => {
            tracing::warn!(%directory, "the staging directory was removed, made anew");
        }
        Change::ConfigurationReread { unsettled } => tracing::info!(unsettled, "configuration reread"),
        Change::ConfigurationRefused { error } => {
            tracing::error!(%error, "configuration unusable, the running one stays");
        }
        Change::NextStart { key } => tracing::warn!(key, "takes effect at the next start"),
    }
}
