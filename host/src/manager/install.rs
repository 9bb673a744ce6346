//! Brings a file into the plugin directory, for `host install`: admission first, then the private copy goes to its real name
//! ([`place`]) and the link moves ([`link`]), each by a rename. A running host sees either the old state or the new. Loads
//! nothing; whether the file would serve is decided in `selection`, and when the link moves by who waits for the host.

pub mod link;
pub mod outcome;
pub mod place;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugin_record::Refusal;

use crate::admission::admit::{Admitted, Refused};
use crate::admission::stage::{Digest, Staging};
use crate::admission::{names, permissions};
use crate::config::Config;
use crate::directory::survey::{judge_foreign, survey};
use crate::directory::verdicts::NotAdmitted;
use crate::selection::command_claims::{conflict, resolve_at_start};
use crate::selection::idle::Idle;
use crate::status::report::{PluginReport, Report, State};
use crate::unavailable::Unavailable;

/// A file that may be installed, and where it goes.
#[derive(Debug)]
pub struct Installation {
    /// The plugin's record and what the policy let through.
    pub admitted: Arc<Admitted>,
    /// The plugin directory, in its canonical form.
    pub directory: PathBuf,
    /// The file's real name.
    pub real_name: String,
    /// Its soname, which is the link's name.
    pub soname: String,
}

/// Why a host that starts now would not serve what was installed.
#[derive(Debug, Default)]
pub struct NotServed {
    /// What is wrong.
    pub refusals: Vec<Refusal>,
    /// What is asked for in its place.
    pub idle: Option<Idle>,
}

/// Why something was not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Admission refused it.
    #[error("refused")]
    Refused(Arc<Refused>),
    /// It could not be judged.
    #[error("unavailable: {}: {}; {}", .0.field, .0.found, .0.cure)]
    Unavailable(Unavailable),
    /// Other content lies under its real name.
    #[error(
        "{} exists with other content: {installed}, the new file has digest {offered}; give the plugin a new version \
         (a running host takes it up beside the old one), or repeat with --replace", file.display()
    )]
    OtherContent {
        /// The real name.
        file: PathBuf,
        /// What lies there: its digest, or why it has none.
        installed: String,
        /// The digest of the file offered.
        offered: Digest,
    },
    /// The directory can't be written.
    #[error("can't write {}: {error}", path.display())]
    Write {
        /// What should have been written.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// What becomes of an error in writing there.
fn write_error(path: &Path) -> impl Fn(io::Error) -> InstallError {
    let path = path.to_owned();
    move |error| InstallError::Write {
        path: path.clone(),
        error,
    }
}

/// Judges a file; changes nothing but that the plugin directory is made where it is missing.
///
/// # Errors
/// When the file, or a host for it, is refused, or can't be judged.
pub fn judge(file: &Path, config: &Config, staging: &Staging) -> Result<Installation, InstallError> {
    let directory = &config.plugins.dir;
    let admitted = judge_foreign(file, config, staging).map_err(|error| match error {
        NotAdmitted::Refused(refused) => InstallError::Refused(refused),
        NotAdmitted::Unavailable(reason) => InstallError::Unavailable(reason),
    })?;
    // Only now: a refused file leaves no directory behind.
    create(directory).map_err(write_error(directory))?;
    let directory = &fs::canonicalize(directory).map_err(write_error(directory))?;
    let survey = survey(config, staging).map_err(write_error(directory))?;
    let mut refusals = permissions::check_directory(
        directory,
        &fs::metadata(directory).map_err(write_error(directory))?,
        &config.source,
    );
    // A host would refuse it for that.
    refusals.extend(conflict(&admitted, &survey, config));
    if !refusals.is_empty() {
        let (record, digest) = (Some(Arc::clone(admitted.record())), Some(admitted.digest()));
        return Err(InstallError::Refused(Arc::new(Refused {
            record,
            digest,
            refusals,
            differences: admitted.differences().to_vec(),
        })));
    }
    let record = admitted.record();
    Ok(Installation {
        real_name: names::real_name(record),
        soname: names::soname(record),
        directory: directory.clone(),
        admitted,
    })
}

impl Installation {
    /// The file's place.
    pub fn file(&self) -> PathBuf {
        self.directory.join(&self.real_name)
    }

    /// The link's place.
    pub fn link(&self) -> PathBuf {
        self.directory.join(&self.soname)
    }

    /// Whether it is a pre-release, whose link the operator alone moves.
    pub fn is_pre_release(&self) -> bool {
        !self.admitted.record().version.pre.is_empty()
    }

    /// What a start would make of the file now: nothing if it would serve, else why not.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub fn not_served(&self, config: &Config, staging: &Staging) -> Result<Option<NotServed>, InstallError> {
        let survey = survey(config, staging).map_err(write_error(&self.directory))?;
        let plan = resolve_at_start(&survey, config);
        let report = Report::new(&survey, &plan);
        let target = self.file();
        let own = report.files.into_iter().find(|file| file.file == target);
        Ok(match own {
            Some(own) if own.state == State::Serving => None,
            Some(own) => {
                let of_plugin = |other: &&PluginReport| Some(&other.plugin) == own.plugin.as_ref();
                let others = report
                    .plugins
                    .iter()
                    .filter(of_plugin)
                    .map(|other| other.refusal.clone());
                Some(NotServed {
                    refusals: own.refusals.into_iter().chain(others).collect(),
                    idle: own.idle,
                })
            }
            None => Some(NotServed::default()), // it was taken away meanwhile
        })
    }
}

/// As `mkdir -p`, but never writable by others, whatever the umask: the host would refuse what lies there.
pub(super) fn create(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(directory)
}
