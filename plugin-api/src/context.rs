//! What a handler may know about where it runs.

use std::path::{Path, PathBuf};

/// Where a handler runs: its plugin's name and version, and a folder of its own.
#[derive(Clone, Debug)]
pub struct Context {
    name: String,
    version: String,
    data_dir: PathBuf,
}

impl Context {
    /// As the host makes it; for the author's own tests as well. The folder need not be there.
    pub fn new(name: impl Into<String>, version: impl Into<String>, data_dir: impl Into<PathBuf>) -> Context {
        Context {
            name: name.into(),
            version: version.into(),
            data_dir: data_dir.into(),
        }
    }

    /// The plugin's name, as in its Cargo.toml and in the host's configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The plugin's version, from its Cargo.toml.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// A folder for this plugin's own files, the same for all its versions, as an absolute path: the plugin's name in the
    /// host's `plugins.data_dir`. The host makes it before init, for its own user alone (mode 0700). Where that fails the log
    /// says so, and init is called all the same.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }
}
