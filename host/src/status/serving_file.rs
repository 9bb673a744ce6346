//! Holds what a running host serves, for `check` in another process: a small file in the host's staging directory, which is
//! private to its user and removed with the host. Decides nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::admission::stage::Staging;
use crate::admission::static_tls::{self, Room};
use crate::runtime::instances::Instances;
use crate::selection::soname_state::Sonames;

const FILE: &str = "serving.json";

/// What one host serves.
#[derive(Debug, Serialize, Deserialize)]
pub struct Serving {
    /// Its plugin directory, in its canonical form.
    pub directory: PathBuf,
    /// By soname.
    pub files: BTreeMap<String, Content>,
    /// What static TLS it has left, by estimate.
    pub room: Room,
    /// The C library's tunables that it was started with.
    pub tunables: String,
    /// Digests of the contents that are open and take some.
    pub with_static_tls: Vec<String>,
}

/// The content that serves at a soname.
#[derive(Debug, Serialize, Deserialize)]
pub struct Content {
    /// The name that its file had.
    pub file: String,
    /// Its digest.
    pub digest: String,
    /// Its version.
    pub version: Version,
}

impl Serving {
    /// Publishes it to readers by a rename: there is no moment with half of it.
    ///
    /// # Errors
    /// When there is no room.
    pub fn write(staging: &Staging, directory: &Path, sonames: &Sonames, instances: &Instances) -> io::Result<()> {
        let files = sonames.all_served().filter_map(|(soname, served)| {
            let content = Content {
                file: served.file.clone()?,
                digest: served.key.digest.to_string(),
                version: served.admitted.record().version.clone(),
            };
            Some((soname.to_owned(), content))
        });
        let serving = Serving {
            directory: directory.to_owned(),
            files: files.collect(),
            room: instances.room(),
            tunables: static_tls::tunables(),
            with_static_tls: instances
                .with_static_tls()
                .iter()
                .map(|admitted| admitted.digest().to_string())
                .collect(),
        };
        let mut new = tempfile::NamedTempFile::new_in(staging.directory())?;
        new.write_all(&serde_json::to_vec(&serving)?)?;
        new.persist(staging.directory().join(FILE))?;
        Ok(())
    }

    /// What the hosts serve that run now on this plugin directory, by the same user and with the same `plugins.staging`.
    pub fn of_running_hosts(staging: &Staging, directory: &Path) -> Vec<Serving> {
        let read = |host: PathBuf| -> Option<Serving> { serde_json::from_slice(&fs::read(host.join(FILE)).ok()?).ok() };
        let all = staging.of_others().into_iter().filter_map(read);
        all.filter(|serving| serving.directory == directory).collect()
    }
}
