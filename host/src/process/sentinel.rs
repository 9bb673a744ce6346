//! A descriptor that nothing uses: when it is gone, foreign code has closed what is not its own, and whatever fails then fails
//! for that. Also holds which plugin's code runs for the first time meanwhile, and so is to be named.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, OnceLock, PoisonError};

/// A pipe's reading end: no other descriptor has its inode, whoever opens one under its number.
static SENTINEL: OnceLock<Sentinel> = OnceLock::new();
static SUSPECT: Mutex<Option<Suspect>> = Mutex::new(None);

struct Sentinel {
    file: File,
    identity: (u64, u64),
}

/// A plugin whose code runs for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Its name.
    pub plugin: String,
    /// Its version.
    pub version: String,
}

/// Opens it, once for the process. Where there is no descriptor for it, nothing is ever said to be gone.
pub(super) fn place() {
    if SENTINEL.get().is_none()
        && let Ok((reader, _)) = std::io::pipe()
        && let file = File::from(OwnedFd::from(reader))
        && let Ok(metadata) = file.metadata()
    {
        let identity = (metadata.dev(), metadata.ino());
        let _ = SENTINEL.set(Sentinel { file, identity });
    }
}

/// Whether foreign code has closed descriptors of the host.
pub fn is_gone() -> bool {
    SENTINEL.get().is_some_and(|Sentinel { file, identity }| {
        file.metadata()
            .map_or(true, |metadata| (metadata.dev(), metadata.ino()) != *identity)
    })
}

/// This plugin's code runs for the first time, or none's does.
pub fn suspect(suspect: Option<Suspect>) {
    *SUSPECT.lock().unwrap_or_else(PoisonError::into_inner) = suspect;
}

/// Whose code runs for the first time.
pub(super) fn suspected() -> Option<Suspect> {
    SUSPECT.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_until_it_is_closed() {
        place();
        assert!(!is_gone());
        let one = Suspect {
            plugin: "one".to_owned(),
            version: "1.0.0".to_owned(),
        };
        suspect(Some(one.clone()));
        assert_eq!(suspected(), Some(one));
        suspect(None);
        assert_eq!(suspected(), None);
    }
}
