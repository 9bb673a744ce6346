//! The folder that a plugin has for files of its own: made before its init, for the host's user alone.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use crate::admission::permissions::own_uid;
use crate::shell::quoted;

const PRIVATE: u32 = 0o700;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Makes the folder of a plugin in `plugins.data_dir`, and that one, unless they are there. Not every plugin needs one, so a
/// failure is a line in the log and nothing more: who needs it says so in init.
pub(super) fn make(folder: &Path, plugin: &str, version: &str) {
    if let Err(error) = create(folder) {
        let cure = format!(
            "ls -ld {1} {2} # shows what stands in the way; sudo install -d -m 700 -o {0} {2} makes it, or set plugins.data_dir",
            own_uid(),
            quoted(folder.parent().unwrap_or(folder)),
            quoted(folder)
        );
        tracing::warn!(
            plugin,
            version,
            directory = %folder.display(),
            %error,
            %cure,
            "the plugin's data directory can't be made, in case it needs one"
        );
        return;
    }
    for directory in [folder.parent().unwrap_or(folder), folder] {
        match fs::metadata(directory) {
            Ok(metadata) if !is_private(&metadata) => tracing::warn!(
                plugin,
                version,
                directory = %directory.display(),
                found = format!("mode {:04o}, user {}", metadata.mode() & 0o7777, metadata.uid()),
                cure = %format!(
                    "ls -ld {1} # it is to be of the host's user alone: chown {0} {1} && chmod 700 {1}",
                    own_uid(),
                    quoted(directory)
                ),
                "others can write to the plugin's data directory"
            ),
            _ => {} // what is gone by now is for who needs it to say
        }
    }
}

fn create(folder: &Path) -> io::Result<()> {
    let of_all = folder.parent().unwrap_or(folder);
    if let Some(above) = of_all.parent() {
        fs::create_dir_all(above)?;
    }
    for directory in [of_all, folder] {
        match DirBuilder::new().mode(PRIVATE).create(directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

fn is_private(metadata: &Metadata) -> bool {
    let is_ours = [0, own_uid()].contains(&metadata.uid());
    is_ours && metadata.mode() & WRITABLE_BY_OTHERS == 0
}
