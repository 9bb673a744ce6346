//! A directory of the host's own in a place that others may write to: decides whether it can be used. It must be the user's,
//! with the mode 0700; another user may have made it first, or put a link there.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Why a directory can't be used.
#[derive(Debug)]
pub enum NotPrivate {
    /// The system would not let us.
    Unusable(io::Error),
    /// This stands at its name.
    NoDirectory(&'static str),
    /// Others could change what lies there: its owner and mode.
    Others {
        /// The owner.
        found: u32,
        /// The permission bits.
        mode: u32,
    },
}

/// The user's runtime directory, else the system's temporary one. Another user's comes with `sudo -E` and `su`: it is not ours
/// to use.
pub fn runtime_directory() -> PathBuf {
    let uid = rustix::process::geteuid().as_raw();
    std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| fs::metadata(path).is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == uid))
        .unwrap_or_else(std::env::temp_dir)
}

/// Makes the directory if it is missing, and checks it.
///
/// # Errors
/// See [`NotPrivate`].
pub fn make_private(path: &Path) -> Result<(), NotPrivate> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(NotPrivate::Unusable(error)),
        _ => {}
    }
    let metadata = fs::symlink_metadata(path).map_err(NotPrivate::Unusable)?;
    match metadata.file_type() {
        kind if kind.is_dir() => {}
        kind if kind.is_symlink() => return Err(NotPrivate::NoDirectory("a symbolic link")),
        _ => return Err(NotPrivate::NoDirectory("a file")),
    }
    let (found, mode) = (metadata.uid(), metadata.mode() & 0o777);
    match (found, mode) == (rustix::process::geteuid().as_raw(), 0o700) {
        true => Ok(()),
        false => Err(NotPrivate::Others { found, mode }),
    }
}
