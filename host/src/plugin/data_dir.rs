//! The folder that a plugin has for files of its own: made before its init, for the host's user alone.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use super::permissions::{own_uid, quoted};

const PRIVATE: u32 = 0o700;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Makes the folder of a plugin in `plugins.data_dir`, and that one, unless they are there. Not every plugin needs one, so a
/// failure is a line in the log and nothing more: who needs it says so in init.
pub(super) fn make(folder: &Path, plugin: &str, version: &str) {
    match create(folder).and_then(|()| fs::metadata(folder)) {
        Ok(metadata) if is_private(&metadata) => {}
        Ok(metadata) => tracing::warn!(
            plugin,
            version,
            directory = %folder.display(),
            found = format!("mode {:04o}, user {}", metadata.mode() & 0o7777, metadata.uid()),
            cure = format!("chmod 700 {0} && sudo chown {1} {0}", quoted(folder), own_uid()),
            "others can write to the plugin's data directory"
        ),
        Err(error) => tracing::warn!(
            plugin,
            version,
            directory = %folder.display(),
            %error,
            cure = format!("mkdir -p -m 700 {} # as the host's user; or set plugins.data_dir", quoted(folder)),
            "the plugin's data directory can't be made, in case it needs one"
        ),
    }
}

fn create(folder: &Path) -> io::Result<()> {
    let of_all = folder.parent().unwrap_or(folder);
    if let Some(above) = of_all.parent() {
        fs::create_dir_all(above)?;
    }
    for directory in [of_all, folder] {
        match DirBuilder::new().mode(PRIVATE).create(directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

fn is_private(metadata: &Metadata) -> bool {
    let is_ours = [0, own_uid()].contains(&metadata.uid());
    metadata.is_dir() && is_ours && metadata.mode() & WRITABLE_BY_OTHERS == 0
}
