//! Decides which file stands at a path, whatever its name and content are. Reads metadata only.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// One file or folder: one that was removed and made anew is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    /// Inode numbers are used again; so with its birth, where the file system has it.
    birth: Option<SystemTime>,
}

impl FileIdentity {
    /// Of what stands at a path, or of what a link there leads to; `None` where there is nothing.
    pub fn of(path: &Path) -> Option<FileIdentity> {
        let metadata = fs::metadata(path).ok()?;
        Some(FileIdentity {
            device: metadata.dev(),
            inode: metadata.ino(),
            birth: metadata.created().ok(),
        })
    }

    /// One for tests: different numbers are different files.
    #[cfg(test)]
    pub fn numbered(inode: u64) -> FileIdentity {
        FileIdentity {
            device: 0,
            inode,
            birth: None,
        }
    }
}
