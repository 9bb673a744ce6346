//! Decides whether a file may be opened: takes its private copy and what was read of it, has all of it checked ([`check`]),
//! and makes of the copy what may be loaded. Opens nothing and runs nothing.
//!
//! Only [`admit`] makes an [`Admitted`], and only an [`Admitted`] can be loaded.

use std::path::Path;
use std::sync::Arc;

use plugin_record::{Record, Refusal};

use super::checks::{Checked, Host, check};
use super::inspect::{FileFault, Inspection};
use super::names::LibraryName;
use super::stage::{Digest, Staged, Staging};
use super::static_tls::StaticTls;

/// Proves that a file's private copy passed every check that can be made without running it: it is a whole shared object
/// for this machine, its names agree with its record, it asks for nothing that this system does not give, and compiler,
/// ABI and dependencies match or were let through by the policy.
///
/// It does not prove that the library opens, that its types are laid out as ours, or that its code is well meant.
#[derive(Debug)]
pub struct Admitted {
    staged: Staged,
    record: Arc<Record>,
    differences: Vec<Refusal>,
    static_tls: Option<StaticTls>,
}

impl Admitted {
    /// The copy that was judged.
    pub fn staged(&self) -> &Staged {
        &self.staged
    }

    /// Gives the copy the name that it is loaded under: plugin, version and digest. Only now, for the names of an
    /// unjudged record could lead anywhere.
    ///
    /// # Errors
    /// When it can't be renamed.
    pub fn name_copy(&mut self, staging: &Staging) -> std::io::Result<()> {
        let name = format!("{}-{}", self.record.name, self.record.version);
        staging.rename(&mut self.staged, &name)
    }

    /// What the plugin says of itself.
    pub fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// The content's digest.
    pub fn digest(&self) -> Digest {
        self.staged.digest
    }

    /// What would have been refused under a stricter policy. See also [`plugin_record::notes`].
    pub fn differences(&self) -> &[Refusal] {
        &self.differences
    }

    /// The static TLS that it takes once it is open.
    pub fn static_tls(&self) -> Option<StaticTls> {
        self.static_tls
    }

    /// One of which there is no file, for tests of what is decided about admitted files.
    #[cfg(test)]
    pub fn for_test(name: &str, version: semver::Version, commands: &[u8], content: &[u8]) -> Admitted {
        Admitted {
            staged: Staged {
                path: std::path::PathBuf::new(),
                digest: Digest::of(content),
                size: content.len() as u64,
            },
            record: Arc::new(Record {
                name: name.to_owned(),
                version,
                commands: commands.to_vec(),
                ..super::host_record::host_record().clone()
            }),
            differences: Vec::new(),
            static_tls: None,
        }
    }
}

/// What was found about a file that is refused.
#[derive(Debug)]
pub struct Refused {
    /// Its record, as far as there is one.
    pub record: Option<Arc<Record>>,
    /// The content's digest, once there was a copy.
    pub digest: Option<Digest>,
    /// Why; at least one.
    pub refusals: Vec<Refusal>,
    /// What the policy lets through all the same.
    pub differences: Vec<Refusal>,
}

/// Judges a private copy of a file; its name, taken apart, is `name`. `found` is what is wrong already with the way to
/// that file: its owner and mode, and those of its directory.
///
/// # Errors
/// All reasons against it.
pub fn admit(
    file: &Path,
    name: &LibraryName,
    found: Vec<Refusal>,
    staged: Staged,
    inspection: Result<Inspection, FileFault>,
    host: Host<'_>,
) -> Result<Admitted, Refused> {
    let Checked {
        record,
        refusals: further,
        accepted,
        static_tls,
    } = check(file, name, inspection, host);
    let refusals = [found, further].concat();
    match record {
        Some(record) if refusals.is_empty() => Ok(Admitted {
            staged,
            record,
            differences: accepted,
            static_tls,
        }),
        record => Err(Refused {
            record,
            digest: Some(staged.digest),
            refusals,
            differences: accepted,
        }),
    }
}
