//! Decides how a soname's link is moved: a new link under a temporary name, then a rename, so that there is no moment without
//! one. Never decides where a link leads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::shell::quoted;

/// Where a link points, as it is written, for messages and JSON; what is no text in it is replaced.
pub fn target(link: &Path) -> Option<PathBuf> {
    let target = fs::read_link(link).ok()?;
    Some(PathBuf::from(target.to_string_lossy().into_owned()))
}

/// Points `link` to `target`, relative to the link's directory. Replaces a link that is there.
///
/// # Errors
/// When the directory can't be written.
pub fn point(link: &Path, target: impl AsRef<Path>) -> io::Result<()> {
    let directory = link.parent().unwrap_or(Path::new("."));
    // A folder of our own in the same file system: a free name without a race.
    let scratch = tempfile::Builder::new().prefix(".link-").tempdir_in(directory)?;
    let new = scratch.path().join("link");
    std::os::unix::fs::symlink(target.as_ref(), &new)?;
    fs::rename(&new, link)
}

/// The command that does the same.
pub fn link_command(link: &Path, target: &str) -> String {
    format!("ln -sfn {} {}", quoted(target), quoted(link))
}
