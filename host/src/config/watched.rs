//! The configuration's file while the host runs.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Config, ConfigError};
use crate::plugin::settle::Stamp;

/// A configuration file, and how it looked when it was last read.
#[derive(Debug)]
pub struct Watched {
    path: PathBuf,
    read: Option<Stamp>,
}

impl Watched {
    /// A file that has just been read.
    pub fn new(path: &Path) -> Watched {
        let path = path.to_owned();
        let read = look(&path);
        Watched { path, read }
    }

    /// The folder that it lies in, in its canonical form.
    pub fn folder(&self) -> PathBuf {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = parent.unwrap_or(Path::new("."));
        folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
    }

    /// Its path as events name it.
    pub fn path(&self) -> PathBuf {
        self.folder().join(self.path.file_name().unwrap_or_default())
    }

    /// Whether an event at this path may be about it: at its own, or at the hidden links by which some systems exchange
    /// whole folders (`..data`).
    pub fn concerns(&self, path: &Path) -> bool {
        let is_hidden = |path: &Path| {
            path.file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b".."))
        };
        *path == *self.path() || (is_hidden(path) && path.parent() == Some(&self.folder()))
    }

    /// How it looks, if that is not how it looked when it was read.
    pub fn changed(&self) -> Option<Stamp> {
        look(&self.path).filter(|now| self.read != Some(*now))
    }

    /// Reads it.
    ///
    /// # Errors
    /// See [`Config::read`]; it is not tried again until it changes once more.
    pub fn read(&mut self) -> Result<Config, ConfigError> {
        self.read = look(&self.path);
        Config::read(&self.path)
    }
}

fn look(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().map(|metadata| Stamp::from(&metadata))
}
