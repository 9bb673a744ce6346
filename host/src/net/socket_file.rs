//! The file of a Unix socket: decides whether a path can be had. It can't while another process listens there, or another host
//! holds the lock beside it, from before it binds until it has ended; a socket without a listener is left over from a process
//! that was killed, and is replaced. The file is for its owner alone, whatever the umask, and is removed at the end.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::mem::offset_of;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};

use super::listen_error::ListenError;

/// Only the owner may connect (which takes the right to write).
const OWNER_ONLY: u32 = 0o600;
/// How long a socket's path may be, in bytes: a 0 follows it.
const MOST_BYTES: usize = size_of::<libc::sockaddr_un>() - offset_of!(libc::sockaddr_un, sun_path) - 1;

/// A socket's file that is ours. Removed when dropped.
pub struct SocketFile {
    path: PathBuf,
    key: &'static str,
    /// Device and inode: another file by this name is not ours to remove.
    identity: (u64, u64),
    /// Dropped last.
    _lock: Lock,
}

impl SocketFile {
    /// Takes a path, and gives a socket that is bound to it; no peer can connect before it listens.
    /// `key` is the configuration's key that names the path.
    ///
    /// # Errors
    /// When the path is taken or can't be used.
    pub fn bind(path: &Path, key: &'static str) -> Result<(Socket, SocketFile), ListenError> {
        if path.as_os_str().len() > MOST_BYTES {
            return Err(ListenError::TooLong {
                key,
                path: path.to_owned(),
                most: MOST_BYTES,
            });
        }
        let unusable = |error| unusable(path, path, key, error);
        let lock = Lock::take(path, key)?;
        remove_stale(path, key)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(unusable)?;
        // Linux gives the file the mode of its socket, less the umask: so there is no moment with a wider one.
        let _ = fchmod(&socket, Mode::RUSR | Mode::WUSR);
        let bound = SockAddr::unix(path).and_then(|address| socket.bind(&address));
        bound.map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => taken(path, key),
            _ => unusable(error),
        })?;
        let metadata = fs::symlink_metadata(path).map_err(unusable)?;
        let file = SocketFile {
            path: path.to_owned(),
            key,
            identity: (metadata.dev(), metadata.ino()),
            _lock: lock,
        };
        // Elsewhere, and where the umask takes from the owner as well.
        if metadata.mode() & 0o7777 != OWNER_ONLY {
            fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY)).map_err(unusable)?;
        }
        socket.set_nonblocking(true).map_err(unusable)?;
        Ok((socket, file))
    }

    /// Whether it is still there under its name.
    pub fn is_there(&self) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        fs::symlink_metadata(&self.path).is_ok_and(|metadata| identity(metadata) == self.identity)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What it means that it can't be listened at.
    pub fn unusable(&self, error: io::Error) -> ListenError {
        unusable(&self.path, &self.path, self.key, error)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_there() {
            let _ = fs::remove_file(&self.path); // what is left is stale, and replaced by the next one
        }
    }
}

/// Removes a socket without a listener.
fn remove_stale(path: &Path, key: &'static str) -> Result<(), ListenError> {
    let unusable = |error| unusable(path, path, key, error);
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unusable(error)),
    };
    if !kind.is_socket() {
        let found = match kind {
            kind if kind.is_symlink() => "a symlink",
            kind if kind.is_dir() => "a directory",
            kind if kind.is_file() => "a regular file",
            _ => "something else",
        };
        let path = path.to_owned();
        return Err(ListenError::NoSocket { key, path, found });
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(unusable)?;
    probe.set_nonblocking(true).map_err(unusable)?;
    match SockAddr::unix(path).and_then(|address| probe.connect(&address)) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(unusable),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // A listener whose backlog is full is one as well.
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(unusable(error)),
        Ok(()) | Err(_) => Err(taken(path, key)),
    }
}

/// Holds a socket's path for one process: `PATH.lock`, locked for as long as this lives, then removed. The system drops the lock
/// with the process, however that ends.
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    fn take(socket: &Path, key: &'static str) -> Result<Lock, ListenError> {
        let mut path = socket.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let unusable = |error| unusable(socket, &path, key, error);
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(OWNER_ONLY)
                .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32) // a named pipe is waited for by nobody
                .open(&path)
                .map_err(unusable)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(taken(socket, key));
                }
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
            }
            let ours = file.metadata().map_err(unusable)?;
            // Another host may have removed it at its end, after it was opened here: then the lock holds nothing.
            let is_there = |there: fs::Metadata| (there.dev(), there.ino()) == (ours.dev(), ours.ino());
            if fs::symlink_metadata(&path).is_ok_and(is_there) {
                return Ok(Lock { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // the next one takes it as it is
    }
}

fn taken(path: &Path, key: &'static str) -> ListenError {
    let path = path.to_owned();
    ListenError::Taken { key, path }
}

fn unusable(path: &Path, place: &Path, key: &'static str, error: io::Error) -> ListenError {
    ListenError::Unix {
        key,
        path: path.to_owned(),
        place: place.display().to_string(),
        error,
    }
}
