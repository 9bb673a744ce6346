//! Decides in which folder staging directories are made: below the configured place, the user's runtime directory or the
//! system's temporary one. The folder must be the host's own, and libraries must be loadable from it; each reason why it
//! can't be used is an error of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::private_directory::{NotPrivate, make_private, runtime_directory};

/// Why there can be no staging directory.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// The system would not let us.
    #[error(
        "can't use the staging directory {}: {error}; set plugins.staging to a directory that this user can write to",
        path.display()
    )]
    Unusable {
        /// Where.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Something else stands at its name, perhaps a link that another user put there.
    #[error(
        "the staging directory {} is no directory: found {found}; remove it, or set plugins.staging",
        path.display()
    )]
    NoDirectory {
        /// Where.
        path: PathBuf,
        /// What stands there.
        found: &'static str,
    },
    /// Others could change what lies there.
    #[error(
        "the staging directory {} is not private: expected mode 0700 and user {expected}, found mode {mode:04o} and \
         user {found}; remove it, or set plugins.staging",
        path.display()
    )]
    NotPrivate {
        /// Where.
        path: PathBuf,
        /// The host's user.
        expected: u32,
        /// The owner.
        found: u32,
        /// The permission bits.
        mode: u32,
    },
    /// Nothing there can be loaded.
    #[error(
        "the staging directory {} is on a file system mounted noexec, from which no library can be loaded; set \
         plugins.staging to a directory on another one",
        path.display()
    )]
    NoExec {
        /// Where.
        path: PathBuf,
    },
}

/// The folder, made if it is missing and checked.
pub(super) fn prepare(configured: Option<&Path>) -> Result<PathBuf, StagingError> {
    let base = base(configured)?;
    match check_exec(&base) {
        Ok(true) => Ok(base),
        Ok(false) => Err(StagingError::NoExec { path: base }),
        Err(error) => Err(StagingError::Unusable { path: base, error }),
    }
}

/// A folder of our own in the configured one too: what else lies there is not ours to remove.
fn base(configured: Option<&Path>) -> Result<PathBuf, StagingError> {
    let uid = rustix::process::geteuid().as_raw();
    let parent = match configured {
        Some(path) => {
            fs::create_dir_all(path).map_err(|error| StagingError::Unusable {
                path: path.to_owned(),
                error,
            })?;
            path.to_owned()
        }
        None => runtime_directory(),
    };
    // Absolute, for a plugin may change the process's directory.
    let parent = std::path::absolute(&parent).unwrap_or(parent);
    let path = parent.join(format!("host-staging-{uid}"));
    match make_private(&path) {
        Ok(()) => Ok(path),
        Err(NotPrivate::Unusable(error)) => Err(StagingError::Unusable { path, error }),
        Err(NotPrivate::NoDirectory(found)) => Err(StagingError::NoDirectory { path, found }),
        Err(NotPrivate::Others { found, mode }) => Err(StagingError::NotPrivate {
            path,
            expected: uid,
            found,
            mode,
        }),
    }
}

fn check_exec(path: &Path) -> io::Result<bool> {
    let flags = rustix::fs::statvfs(path)?.f_flag;
    Ok(!flags.contains(rustix::fs::StatVfsMountFlags::NOEXEC))
}
