//! Reads the configuration's file without waiting for another process. Decides what may be such a file, how large it may be,
//! and which errors say something about the file rather than about the machine. Never parses it.
//!
//! A running host opens regular files alone: a FIFO without a writer would hold it for ever, and to open a device may do
//! something. At a start the operator waits for the file that they have named, so a pipe (`--plugins <(generate)`) is read to
//! its end.

use std::fmt::Write;
use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_setfl};
use sha2::{Digest, Sha256};

use super::ConfigError;
use crate::files::stability::Stamp;

/// The largest configuration, in bytes; more is some other file.
pub(super) const MAX_SIZE: u64 = 1 << 20;

/// What is taken for a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accept {
    /// Regular files.
    Regular,
    /// Pipes and character devices, too, which are read to their end.
    Streams,
}

/// A file's content, and what it was.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) text: String,
    /// How it looked before it was read; `None` for what can be read once only.
    pub(super) stamp: Option<Stamp>,
}

impl Found {
    /// SHA-256 of the content, in hexadecimal: tells whether two processes have read the same. None for what can be read once only.
    pub(super) fn digest(&self) -> Option<String> {
        self.stamp?;
        let mut digest = String::new();
        for byte in Sha256::digest(self.text.as_bytes()) {
            let _ = write!(digest, "{byte:02x}"); // writing to a string can't fail
        }
        Some(digest)
    }
}

/// Reads the file at `path`.
///
/// # Errors
/// When it is missing, of a kind that is not accepted, too large or no UTF-8; and whatever the system says.
pub(super) fn read(path: &Path, accept: Accept) -> Result<Found, ConfigError> {
    let unreadable = |error| ConfigError::Unreadable {
        path: path.to_owned(),
        error,
    };
    // Before it is opened: to open a device may do something.
    let metadata = fs::metadata(path).map_err(unreadable)?;
    check(path, &metadata, accept)?;
    let file = open(path, accept).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    check(path, &metadata, accept)?;
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    let text =
        String::from_utf8(bytes).map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error)))?;
    let stamp = metadata.is_file().then(|| Stamp::from(&metadata));
    Ok(Found { text, stamp })
}

fn open(path: &Path, accept: Accept) -> io::Result<File> {
    // A regular file may have become something else since it was checked; and the process that passed a descriptor has
    // waited for its other end.
    let must_not_wait = accept == Accept::Regular || is_descriptor(path);
    let mut flags = OFlags::NOCTTY;
    flags.set(OFlags::NONBLOCK, must_not_wait);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)?;
    if must_not_wait && accept == Accept::Streams {
        fcntl_setfl(&file, OFlags::empty())?; // what is written is waited for
    }
    Ok(file)
}

/// Whether a path names an open descriptor of this process.
fn is_descriptor(path: &Path) -> bool {
    let folders = ["/dev/fd", "/proc/self/fd"];
    path == Path::new("/dev/stdin") || folders.iter().any(|folder| path.parent() == Some(Path::new(folder)))
}

fn check(path: &Path, metadata: &Metadata, accept: Accept) -> Result<(), ConfigError> {
    let kind = metadata.file_type();
    let is_stream = kind.is_fifo() || kind.is_char_device();
    match kind.is_file() || (accept == Accept::Streams && is_stream) {
        true => Ok(()),
        false => Err(ConfigError::NotRegular {
            path: path.to_owned(),
            found: name_of(kind),
        }),
    }
}

fn name_of(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_block_device() => "a block device",
        kind if kind.is_char_device() => "a character device",
        _ => "no regular file",
    }
}

/// The folder that relative paths of a configuration are relative to, as an absolute path: the file's own, or the current
/// directory where the path names an open descriptor or what is read once (`/dev/fd` is no folder of a configuration).
///
/// # Errors
/// When there is no current directory.
pub(super) fn base(path: &Path, is_stream: bool) -> io::Result<PathBuf> {
    if is_stream || is_descriptor(path) {
        return std::env::current_dir();
    }
    let absolute = std::path::absolute(path)?;
    Ok(absolute.parent().unwrap_or(&absolute).to_owned())
}

/// Whether nothing is at the path.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_start_at_the_files_folder_or_where_we_are() {
        let here = std::env::current_dir().expect("a current directory");
        assert_eq!(
            base(Path::new("/etc/host/plugins.toml"), false).ok(),
            Some("/etc/host".into())
        );
        assert_eq!(base(Path::new("plugins.toml"), false).ok(), Some(here.clone()));
        assert_eq!(base(Path::new("sub/plugins.toml"), false).ok(), Some(here.join("sub")));
        assert_eq!(base(Path::new("/dev/fd/63"), true).ok(), Some(here.clone()));
        assert_eq!(base(Path::new("/dev/fd/3"), false).ok(), Some(here.clone()));
        assert_eq!(base(Path::new("/etc/host/pipe"), true).ok(), Some(here));
    }
}
