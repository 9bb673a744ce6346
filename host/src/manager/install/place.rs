//! Puts an installed file at its real name, by a rename, and takes that back: what stood there before comes again. Does not
//! decide whether it is taken back.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::{NamedTempFile, TempPath};

use super::{InstallError, Installation, write_error};
use crate::admission::stage::{self, Digest};

/// How the temporary names of an installation begin.
const PREFIX: &str = ".install-";

/// What stood at the real name before.
#[derive(Debug)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// The same content, which was left as it is.
    Same,
    /// Other content. It is kept under this name until the installation is over, where it can be.
    Other(Option<TempPath>),
}

/// Puts the private copy, which is what was judged, at its real name.
///
/// # Errors
/// When other content stands there and is not to be replaced, or the directory can't be written; then nothing was changed.
pub fn place(installation: &Installation, replace: bool) -> Result<Before, InstallError> {
    let target = installation.file();
    // Only a regular file can be the same: anything else is other content.
    let installed = match fs::symlink_metadata(&target) {
        Ok(_) => Some(stage::read(&target).map(|bytes| Digest::of(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(write_error(&target)(error)),
    };
    let offered = installation.admitted.digest();
    let before = match installed {
        None => Before::Nothing,
        Some(Ok(installed)) if installed == offered => return Ok(Before::Same),
        Some(installed) if !replace => {
            let installed = installed.map_or_else(|refusal| refusal.plugin, |digest| format!("digest {digest}"));
            return Err(InstallError::OtherContent {
                file: target,
                installed,
                offered,
            });
        }
        Some(_) => Before::Other(keep(&target)),
    };
    copy(installation, &target).map_err(write_error(&target))?;
    Ok(before)
}

/// A second name for what stands there, in the same directory; none where the system allows none, as for a file of another user.
fn keep(target: &Path) -> Option<TempPath> {
    let mut name = tempfile::Builder::new();
    name.prefix(PREFIX);
    let kept = name.make_in(parent(target), |name| fs::hard_link(target, name));
    kept.ok().map(NamedTempFile::into_temp_path)
}

fn copy(installation: &Installation, target: &Path) -> io::Result<()> {
    let mut new = tempfile::Builder::new().prefix(PREFIX).tempfile_in(parent(target))?;
    let mut copy = fs::File::open(&installation.admitted.staged().path)?;
    io::copy(&mut copy, &mut new)?;
    new.as_file().set_permissions(Permissions::from_mode(0o755))?;
    new.as_file().sync_all()?;
    new.persist(target).map_err(|error| error.error)?;
    Ok(())
}

fn parent(target: &Path) -> &Path {
    target.parent().unwrap_or(Path::new("."))
}

/// Has the content come again that stood at the real name before, unless by now there is something else than what was installed.
/// Tells whether it did.
///
/// # Errors
/// When the directory can't be written.
pub fn put_back(installation: &Installation, before: Before) -> Result<bool, InstallError> {
    let target = installation.file();
    let is_ours = || stage::read(&target).is_ok_and(|bytes| Digest::of(&bytes) == installation.admitted.digest());
    match before {
        Before::Other(Some(kept)) if is_ours() => {
            kept.persist(&target).map_err(|failed| {
                // It may be the only file with that content.
                let kept = failed.path.keep().map_err(|failed| failed.error);
                let kept = kept.map_or_else(|error| error.to_string(), |kept| kept.display().to_string());
                let error = format!("{}; the content that it had before is kept as {kept}", failed.error);
                write_error(&target)(io::Error::new(failed.error.kind(), error))
            })?;
            Ok(true)
        }
        _ => Ok(false),
    }
}
