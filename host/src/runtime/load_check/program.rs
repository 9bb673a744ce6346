//! Where this program is, for it is started anew as the child.

use std::path::{Path, PathBuf};

/// This program, also where its file was replaced since.
const SELF: &str = "/proc/self/exe";

/// It is not known where this program is.
#[derive(Debug, thiserror::Error)]
#[error(
    "can't tell where this program is, which it starts anew to try libraries out: expected {SELF}, or a file at {}; found \
     neither. Mount /proc (`mount -t proc proc /proc`), or start the host by its absolute path", path.display()
)]
pub struct NoProgram {
    path: PathBuf,
}

/// Where this program is: what the kernel tells in /proc, and where that is not mounted (in a chroot, in some containers) the
/// path that it was started by. Asked for before a plugin's code could change the directory.
///
/// # Errors
/// When there is nothing at that path.
pub(super) fn own() -> Result<PathBuf, NoProgram> {
    match Path::new(SELF).exists() {
        true => Ok(PathBuf::from(SELF)),
        false => started_by(),
    }
}

#[cfg(target_os = "linux")]
fn started_by() -> Result<PathBuf, NoProgram> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let path = OsStr::from_bytes(rustix::param::linux_execfn().to_bytes());
    let path = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
    match path.is_file() {
        true => Ok(path),
        false => Err(NoProgram { path }),
    }
}

#[cfg(not(target_os = "linux"))]
fn started_by() -> Result<PathBuf, NoProgram> {
    std::env::current_exe().map_err(|_| NoProgram { path: PathBuf::new() })
}
