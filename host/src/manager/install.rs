//! Brings a file into the plugin directory, for `host install`: admission first, then the private copy goes to its real name
//! and the link moves, each by a rename. A running host sees either the old state or the new. Loads nothing; whether the file
//! would serve is decided in `selection`.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugin_record::Refusal;

use crate::admission::admit::{Admitted, Refused};
use crate::admission::stage::{self, Digest, Staging};
use crate::admission::{names, permissions};
use crate::config::Config;
use crate::directory::links::{link_command, point};
use crate::directory::survey::{judge_foreign, survey};
use crate::directory::verdicts::NotAdmitted;
use crate::selection::command_claims::{conflict, resolve_at_start};
use crate::selection::idle::Idle;
use crate::status::report::{PluginReport, Report, State};
use crate::unavailable::Unavailable;

/// What an installation did.
#[derive(Debug)]
pub struct Installed {
    /// The plugin's record and what the policy let through.
    pub admitted: Arc<Admitted>,
    /// The file's new place.
    pub file: PathBuf,
    /// Whether it lay there already.
    pub was_there: bool,
    /// What became of the soname's link.
    pub link: LinkOutcome,
    /// Why a host that starts now would not serve it, if so.
    pub not_served: Option<NotServed>,
}

/// Why a host that starts now would not serve what was installed.
#[derive(Debug, Default)]
pub struct NotServed {
    /// What is wrong.
    pub refusals: Vec<Refusal>,
    /// What is asked for in its place.
    pub idle: Option<Idle>,
}

/// What became of the soname's link.
#[derive(Debug)]
pub enum LinkOutcome {
    /// It points to the file now.
    Moved(PathBuf),
    /// It did already.
    Unchanged(PathBuf),
    /// A regular file stands at the soname, and serves.
    RegularFile(PathBuf),
    /// A pre-release: the operator moves the link, with this command.
    PreRelease(String),
}

/// Why nothing was installed.
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

/// Installs a file.
///
/// # Errors
/// See [`InstallError`]; then no plugin's file or link was changed, unless writing failed half-way.
pub fn install(file: &Path, config: &Config, staging: &Staging, replace: bool) -> Result<Installed, InstallError> {
    let directory = &config.plugins.dir;
    let write = |path: &Path| {
        let path = path.to_owned();
        move |error| InstallError::Write { path, error }
    };
    let admitted = judge_foreign(file, config, staging).map_err(|error| match error {
        NotAdmitted::Refused(refused) => InstallError::Refused(refused),
        NotAdmitted::Unavailable(reason) => InstallError::Unavailable(reason),
    })?;
    // Only now: a refused file leaves no directory behind.
    create(directory).map_err(write(directory))?;
    let directory = &fs::canonicalize(directory).map_err(write(directory))?;
    let survey = survey(config, staging).map_err(write(directory))?;
    let mut refusals = permissions::check_directory(
        directory,
        &fs::metadata(directory).map_err(write(directory))?,
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
    let real_name = names::real_name(record);
    let target = directory.join(&real_name);
    let was_there = place(&admitted, &target, replace)?;
    let link = directory.join(names::soname(record));
    let outcome = match fs::symlink_metadata(&link) {
        Ok(metadata) if !metadata.is_symlink() => LinkOutcome::RegularFile(link),
        _ if !record.version.pre.is_empty() => LinkOutcome::PreRelease(link_command(&link, &real_name)),
        _ if fs::read_link(&link).is_ok_and(|points_to| points_to == Path::new(&real_name)) => {
            LinkOutcome::Unchanged(link)
        }
        _ => {
            point(&link, &real_name).map_err(write(&link))?;
            LinkOutcome::Moved(link)
        }
    };
    let not_served = not_served(config, staging, &target).map_err(write(directory))?;
    Ok(Installed {
        admitted,
        file: target,
        was_there,
        link: outcome,
        not_served,
    })
}

/// Puts the private copy, which is what was judged, at its real name; returns whether it was there already.
fn place(admitted: &Admitted, target: &Path, replace: bool) -> Result<bool, InstallError> {
    let write = |error| InstallError::Write {
        path: target.to_owned(),
        error,
    };
    // Only a regular file can be the same: anything else is other content.
    let installed = match fs::symlink_metadata(target) {
        Ok(_) => Some(stage::read(target).map(|bytes| Digest::of(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(write(error)),
    };
    let offered = admitted.digest();
    match installed {
        Some(Ok(installed)) if installed == offered => return Ok(true),
        Some(installed) if !replace => {
            let installed = installed.map_or_else(|refusal| refusal.plugin, |digest| format!("digest {digest}"));
            return Err(InstallError::OtherContent {
                file: target.to_owned(),
                installed,
                offered,
            });
        }
        _ => {}
    }
    let directory = target.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new()
        .prefix(".install-")
        .tempfile_in(directory)
        .map_err(write)?;
    let mut copy = fs::File::open(&admitted.staged().path).map_err(write)?;
    io::copy(&mut copy, &mut new).map_err(write)?;
    new.as_file()
        .set_permissions(Permissions::from_mode(0o755))
        .map_err(write)?;
    new.as_file().sync_all().map_err(write)?;
    new.persist(target).map_err(|error| write(error.error))?;
    Ok(false)
}

/// What a start would make of the file now: nothing if it would serve, else why not.
fn not_served(config: &Config, staging: &Staging, target: &Path) -> io::Result<Option<NotServed>> {
    let survey = survey(config, staging)?;
    let plan = resolve_at_start(&survey, config);
    let report = Report::new(&survey, &plan);
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

/// As `mkdir -p`, but never writable by others, whatever the umask: the host would refuse what lies there.
pub(super) fn create(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(directory)
}
