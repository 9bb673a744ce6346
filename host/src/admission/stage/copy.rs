//! Makes the private copy of one file. What is checked, and later loaded, is the copy, so that the original may be
//! overwritten, truncated or deleted at any time. Judges nothing of its content.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use plugin_record::Refusal;

use super::digest::Digest;
use super::directory::Staging;
use super::original::{MAX_FILE, NotCopied, open_regular, too_large};
use crate::config::Source;
use crate::unavailable::Unavailable;

/// How much of a plugin's name and version stands in its copy's name, in bytes: file systems allow 255 in all.
const MAX_NAME: usize = 120;

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
        // From here on only the copy counts: it is what is hashed, inspected and loaded.
        let bytes = fs::read(copy.path()).map_err(staging)?;
        let (_, path) = copy.keep().map_err(|error| staging(error.error))?;
        let staged = Staged {
            path,
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
        };
        Ok(Copied {
            staged,
            bytes,
            refusals,
        })
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
