//! Holds the reasons why the host can't start; each error says what to do.

use std::io;
use std::path::PathBuf;

use crate::admission::stage::StagingError;
use crate::runtime::library::StaticHost;
use crate::shell::quoted;

/// Why the host can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It can't load anything.
    #[error(transparent)]
    Static(#[from] StaticHost),
    /// No place for private copies.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// There is no plugin directory, and it is not to be made.
    #[error(
        "the plugin directory {} does not exist; make it (mkdir -p {}), have it made at the start (`create = true` under \
         [plugins]), or mend plugins.dir",
        path.display(),
        quoted(path)
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The plugin directory can't be made.
    #[error("can't make the plugin directory {}: {error}; mend plugins.dir or the permissions there", path.display())]
    NotMade {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The plugin directory can't be read.
    #[error("can't read the plugin directory {}: {error}; mend plugins.dir or its permissions", path.display())]
    Directory {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Plugins that the configuration requires do not serve; the report was logged.
    #[error("required plugins do not serve: {}", plugins.join(", "))]
    Required {
        /// Their names.
        plugins: Vec<String>,
    },
    /// A library's start-up code never returned: nothing more can be opened, and no thread started.
    #[error(
        "the start-up code of {plugin} did not return within plugins.init_timeout and holds the dynamic linker: nothing else \
         can be loaded; keep it out of the plugin directory (`host check --load` finds such plugins)"
    )]
    Stuck {
        /// The plugin's name.
        plugin: String,
    },
    /// There is no thread to go on with.
    #[error("can't start a thread: {0}")]
    Thread(io::Error),
}
