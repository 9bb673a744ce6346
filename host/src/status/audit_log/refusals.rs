//! Writes the lines about files and plugins that are refused, unavailable, accepted with a reservation, or not served.

use plugin_record::Refusal;

use crate::status::change::{Change, FileId};

/// Logs a change that is about one of them.
pub(super) fn log(change: &Change) {
    match change {
        Change::Refused { of, refusal } => refused(of, refusal),
        Change::Unavailable { of, unavailable } => tracing::warn!(
            file = of.file,
            plugin = of.plugin,
            version = of.version.as_ref().map(tracing::field::display),
            code = unavailable.code.as_str(),
            field = unavailable.field,
            found = unavailable.found,
            cure = %unavailable.cure, // unquoted, to be pasted; so it is last
            "unavailable, trying again"
        ),
        Change::Difference { of, difference } => tracing::warn!(
            file = of.file,
            plugin = of.plugin,
            version = of.version,
            field = difference.field,
            host = difference.host,
            found = difference.plugin,
            "accepted with a difference"
        ),
        Change::Noted { of, note } => tracing::info!(
            file = of.file,
            plugin = of.plugin,
            version = of.version,
            code = note.code.as_str(),
            field = &*note.field,
            found = note.plugin,
            meaning = &*note.text,
            "accepted with a note"
        ),
        Change::NotServed { of, idle } => tracing::warn!(
            file = %of.file,
            plugin = of.plugin,
            version = of.version.as_ref().map(tracing::field::display),
            reason = idle.text,
            cure = %idle.cure,
            "does not serve"
        ),
        Change::Unversioned { file, cure } => {
            tracing::warn!(%file, %cure, "a library without a version in its name is not served");
        }
        Change::Misnamed { file, cure } => {
            tracing::warn!(%file, %cure, "a library whose name is no plugin's is not served");
        }
        Change::OtherContent {
            file,
            soname,
            running,
            found,
            refusal,
        } => other_content(file, soname, [running, found], refusal),
        _ => {}
    }
}

fn refused(of: &FileId, refusal: &Refusal) {
    tracing::error!(
        file = of.file,
        plugin = of.plugin,
        version = of.version,
        digest = of.digest,
        code = refusal.code.as_str(),
        field = refusal.field,
        host = refusal.host,
        found = refusal.plugin,
        cure = %refusal.cure,
        "refused"
    );
}

fn other_content(file: &str, soname: &str, [running, found]: [&str; 2], refusal: &Refusal) {
    tracing::warn!(
        %file,
        soname,
        code = refusal.code.as_str(),
        %running,
        %found,
        cure = %refusal.cure,
        "other content"
    );
}
