//! The private copy of a file: what is checked, and later loaded, is the copy, so that the original may be overwritten,
//! cut off or deleted at any time.
//!
//! One directory for each running host, mode 0700, kept alive by a lock on it: the kernel drops the lock with
//! the process, however that ends, and the next host removes what is left.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_record::{Code, Refusal};
use sha2::{Digest as _, Sha256};

use super::permissions;
use crate::config::Source;
use crate::shell::quoted;
use crate::unavailable::Unavailable;

/// No plugin's file is larger.
pub const MAX_FILE: u64 = 256 << 20;

/// Held while directories come and go.
const LOCK: &str = "lock";
/// How much of a plugin's name and version stands in its copy's name, in bytes: file systems allow 255 in all.
const MAX_NAME: usize = 120;

/// The SHA-256 of a file's content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

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
    /// Something else stands at its name, perhaps a link that somebody put there.
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
    lock: File,
    /// Device and inode of the folder.
    identity: (u64, u64),
}

/// Why there is no private copy of a file.
#[derive(Debug)]
pub enum NotCopied {
    /// The file's own fault.
    Refused(Vec<Refusal>),
    /// The machine's.
    Unavailable(Unavailable),
}

impl From<Unavailable> for NotCopied {
    fn from(lack: Unavailable) -> NotCopied {
        NotCopied::Unavailable(lack)
    }
}

/// A copy with its bytes, for inspection, and what is wrong with the original's owner and mode.
#[derive(Debug)]
pub struct Copied {
    /// The copy.
    pub staged: Staged,
    /// What it contains.
    pub bytes: Vec<u8>,
    /// What is wrong with the original.
    pub refusals: Vec<Refusal>,
}

/// A private copy of a file. Removed when dropped.
#[derive(Debug)]
pub struct Staged {
    /// Where the copy lies.
    pub path: PathBuf,
    /// What it contains.
    pub digest: Digest,
    /// How many bytes that is.
    pub size: u64,
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

    /// Whether the descriptor that keeps the directory is still what it was: nobody but a plugin could have closed it.
    pub fn is_held(&self) -> bool {
        let place = self.place();
        place
            .lock
            .metadata()
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == place.identity)
    }

    /// The directories of other hosts that run now.
    pub fn of_others(&self) -> Vec<PathBuf> {
        let own = self.directory();
        let base = own.parent().and_then(|base| fs::read_dir(base).ok());
        let directories = base.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let is_locked = |path: &PathBuf| File::open(path).is_ok_and(|lock| lock.try_lock().is_err());
        directories
            .filter(|path| *path != own && is_ours(path) && is_locked(path))
            .collect()
    }

    /// Removes it with all copies. Mapped libraries outlive their files; what can't be removed now, the next host removes.
    pub fn remove(&self) {
        let _ = fs::remove_dir_all(self.directory());
    }

    /// Where the copies lie.
    pub fn directory(&self) -> PathBuf {
        self.place().directory.clone()
    }

    /// Copies a file.
    ///
    /// # Errors
    /// Why it can't be copied. Owner and mode are judged where the file lies in the plugin directory that `of` names, that is,
    /// where it is not from elsewhere; what is wrong with them does not keep the copy from being judged further.
    pub fn copy(&self, file: &Path, of: Option<&Source>) -> Result<Copied, NotCopied> {
        let (source, refusals) = open_regular(file, of)?;
        let directory = self.directory();
        let staging = |error: io::Error| NotCopied::Unavailable(Unavailable::staging(&directory, &error));
        let mut copy = tempfile::Builder::new()
            .prefix("new-")
            .tempfile_in(&directory)
            .map_err(&staging)?;
        let copied = io::copy(&mut source.take(MAX_FILE + 1), &mut copy).map_err(staging)?;
        if copied > MAX_FILE {
            return Err(NotCopied::Refused(vec![too_large(format!(
                "more than {MAX_FILE} bytes"
            ))]));
        }
        let (_, path) = copy.keep().map_err(|error| staging(error.error))?;
        // From here on only the copy counts: it is what is hashed, inspected and loaded.
        let mut staged = Staged {
            path,
            digest: Digest([0; 32]),
            size: 0,
        };
        let bytes = fs::read(&staged.path).map_err(staging)?;
        (staged.digest, staged.size) = (Digest::of(&bytes), bytes.len() as u64);
        Ok(Copied {
            staged,
            bytes,
            refusals,
        })
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a copy the name that debuggers, profilers and `/proc/PID/maps` will show. The dynamic linker knows a
    /// library by its path: the digest in it keeps one path from ever having a second content.
    ///
    /// # Errors
    /// When it can't be renamed.
    pub fn rename(&self, staged: &mut Staged, name: &str) -> io::Result<()> {
        let name = name.get(..MAX_NAME).unwrap_or(name); // ASCII, as all names of plugins
        let path = self.directory().join(format!("{name}-{}.so", staged.digest));
        fs::rename(&staged.path, &path)?;
        staged.path = path;
        Ok(())
    }
}

impl Staged {
    /// Removes the copy before its time: it is open, and nothing will open it again.
    pub fn discard(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.discard(); // what can't be removed now goes with the directory
    }
}

impl Place {
    fn create(configured: Option<&Path>) -> Result<Place, StagingError> {
        let base = base(configured)?;
        let unusable = |error| StagingError::Unusable {
            path: base.clone(),
            error,
        };
        check_exec(&base)
            .map_err(unusable)?
            .then_some(())
            .ok_or_else(|| StagingError::NoExec { path: base.clone() })?;

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
            lock,
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

/// Reads a file from anywhere, for inspection alone: nothing read so can be loaded.
///
/// # Errors
/// When it is no regular file, can't be read or is larger than [`MAX_FILE`].
pub fn read(file: &Path) -> Result<Vec<u8>, Refusal> {
    let (source, _) = open_regular(file, None).map_err(|error| match error {
        NotCopied::Refused(mut refusals) => refusals.remove(0),
        NotCopied::Unavailable(lack) => unreadable(file, &lack.found),
    })?;
    let mut bytes = Vec::new();
    match source.take(MAX_FILE + 1).read_to_end(&mut bytes) {
        Ok(length) if length as u64 > MAX_FILE => Err(too_large(format!("more than {MAX_FILE} bytes"))),
        Ok(_) => Ok(bytes),
        Err(error) => Err(unreadable(file, &error.to_string())),
    }
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
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
        // Another user's comes with `sudo -E` and `su`: it is not ours to use.
        None => std::env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|path| fs::metadata(path).is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == uid))
            .unwrap_or_else(std::env::temp_dir),
    };
    // Absolute, for a plugin may change the process's directory.
    let parent = std::path::absolute(&parent).unwrap_or(parent);
    let path = parent.join(format!("host-staging-{uid}"));
    let unusable = |error| StagingError::Unusable {
        path: path.clone(),
        error,
    };
    match DirBuilder::new().mode(0o700).create(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unusable(error)),
    }
    // The temporary directory is everybody's: somebody else may have made it first, or put a link there.
    let metadata = fs::symlink_metadata(&path).map_err(unusable)?;
    let found = match metadata.file_type() {
        kind if kind.is_dir() => None,
        kind if kind.is_symlink() => Some("a symbolic link"),
        _ => Some("a file"),
    };
    if let Some(found) = found {
        return Err(StagingError::NoDirectory { path, found });
    }
    let mode = metadata.mode() & 0o777;
    if metadata.uid() != uid || mode != 0o700 {
        return Err(StagingError::NotPrivate {
            path,
            expected: uid,
            found: metadata.uid(),
            mode,
        });
    }
    Ok(path)
}

fn check_exec(path: &Path) -> io::Result<bool> {
    let flags = rustix::fs::statvfs(path)?.f_flag;
    Ok(!flags.contains(rustix::fs::StatVfsMountFlags::NOEXEC))
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

/// Opens a regular file and nothing else: not through a last link, and without waiting for a pipe's other end.
fn open_regular(file: &Path, of: Option<&Source>) -> Result<(File, Vec<Refusal>), NotCopied> {
    let failed = |error: io::Error| match Unavailable::of("file", &error) {
        Some(lack) => NotCopied::Unavailable(lack),
        None => NotCopied::Refused(vec![unreadable(file, &error.to_string())]),
    };
    let mut flags = rustix::fs::OFlags::NONBLOCK;
    flags.set(rustix::fs::OFlags::NOFOLLOW, of.is_some());
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(file);
    let opened = opened.map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    if !metadata.is_file() {
        let found = if metadata.is_dir() {
            "a directory"
        } else {
            "a special file"
        };
        // No `rm`: cures are pasted, and this may be anything.
        let cure = match of {
            None => "# name a library's file".to_owned(),
            Some(_) => format!("mv -n {0} {0}.old # then put the library there", quoted(file)),
        };
        let refusal = Refusal::new(Code::FileKind, "file", "a regular file", found, cure);
        return Err(NotCopied::Refused(vec![refusal]));
    }
    let check = |of| permissions::check_file(file, &metadata, of);
    let mut refusals = of.map(check).unwrap_or_default();
    if metadata.len() > MAX_FILE {
        refusals.push(too_large(format!("{} bytes", metadata.len())));
        return Err(NotCopied::Refused(refusals));
    }
    Ok((opened, refusals))
}

fn unreadable(file: &Path, found: &str) -> Refusal {
    let cure = format!("ls -l {} # shows who may read it", quoted(file));
    Refusal::new(Code::FileUnreadable, "file", "a readable file", found, cure)
}

fn too_large(found: String) -> Refusal {
    let host = format!("at most {MAX_FILE} bytes");
    let cure = "# strip it: `strip = true` in the plugin's release profile";
    Refusal::new(Code::FileSize, "file size", host, found, cure)
}
