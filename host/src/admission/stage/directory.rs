//! Holds this process's staging directory: made at start, made anew when it was removed, removed at the end. Its mode is
//! 0700, and a lock keeps it: the kernel drops the lock with the process, however that ends, and the next host removes what
//! is left.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::base::{self, StagingError};

/// Held while directories come and go.
const LOCK: &str = "lock";

/// This process's staging directory. Removed when dropped.
#[derive(Debug)]
pub struct Staging {
    configured: Option<PathBuf>,
    place: Mutex<Place>,
}

/// The directory, and what keeps it.
#[derive(Debug)]
struct Place {
    directory: PathBuf,
    /// The folder itself is what is locked: a file in it could be cleaned away while it is in use.
    _lock: File,
    /// Device and inode of the folder.
    identity: (u64, u64),
}

impl Staging {
    /// Makes this process's directory below `configured`, or below the user's runtime directory, or below the system's
    /// temporary one; and removes those of processes that are gone.
    ///
    /// # Errors
    /// See [`StagingError`].
    pub fn create(configured: Option<&Path>) -> Result<Staging, StagingError> {
        Ok(Staging {
            configured: configured.map(Path::to_owned),
            place: Mutex::new(Place::create(configured)?),
        })
    }

    /// The same for who judges and is no host: leaves nothing in the configured place that would keep the host's user from it, and
    /// does without that place where it can't be had.
    ///
    /// # Errors
    /// See [`StagingError`].
    pub fn for_judging(configured: Option<&Path>) -> Result<Staging, StagingError> {
        // Made here it would be this user's: a host of another one could not use it.
        let is_missing = |place: &Path| {
            place
                .symlink_metadata()
                .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        match Staging::create(configured.filter(|place| !is_missing(place))) {
            Err(StagingError::Unusable { error, .. }) if is_forbidden(&error) => Staging::create(None),
            outcome => outcome,
        }
    }

    /// Makes the directory anew if it is gone: the user's runtime directory goes with the last logout, and cleaners of
    /// temporary directories don't ask. Tells whether it did; then all copies are gone.
    ///
    /// # Errors
    /// See [`StagingError`].
    pub fn renew(&self) -> Result<bool, StagingError> {
        let mut place = self.place();
        if place.is_there() {
            return Ok(false);
        }
        *place = Place::create(self.configured.as_deref())?;
        Ok(true)
    }

    /// Removes it with all copies. Mapped libraries outlive their files; what can't be removed now, the next host removes.
    pub fn remove(&self) {
        let _ = fs::remove_dir_all(self.directory());
    }

    /// Where the copies lie.
    pub fn directory(&self) -> PathBuf {
        self.place().directory.clone()
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn create(configured: Option<&Path>) -> Result<Place, StagingError> {
        let base = base::prepare(configured)?;
        let unusable = |error| StagingError::Unusable {
            path: base.clone(),
            error,
        };
        // Held while directories come and go, so that none is seen between its creation and its lock.
        let registry = File::create(base.join(LOCK)).map_err(unusable)?;
        registry.lock().map_err(unusable)?;
        remove_orphans(&base).map_err(unusable)?;
        let directory = tempfile::Builder::new()
            .prefix("host-")
            // Also where the umask would let others in.
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&base)
            .map_err(unusable)?;
        let lock = File::open(directory.path()).map_err(unusable)?;
        lock.lock().map_err(unusable)?;
        let metadata = lock.metadata().map_err(unusable)?;
        Ok(Place {
            directory: directory.keep(),
            _lock: lock,
            identity: (metadata.dev(), metadata.ino()),
        })
    }

    fn is_there(&self) -> bool {
        let metadata = fs::symlink_metadata(&self.directory);
        metadata.is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.remove();
    }
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// Whether a path in the base is a host's directory.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b"host-") && path.is_dir()
}

fn remove_orphans(base: &Path) -> io::Result<()> {
    for entry in fs::read_dir(base)? {
        let path = entry?.path();
        if !is_ours(&path) {
            continue;
        }
        if File::open(&path).is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(())
}
