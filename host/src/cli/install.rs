//! `host install FILE --plugins F`: the command's options and what it prints. Leaves the work to `manager::install`.

use std::path::PathBuf;

use clap::Args;
use plugin_record::notes;

use super::failure::Failure;
use super::{Configuration, output};
use crate::admission::stage::Staging;
use crate::config::Config;
use crate::manager::install::{InstallError, LinkOutcome, NotServed, install};
use crate::selection::idle::Idle;

#[derive(Debug, Args)]
pub(super) struct Install {
    /// The library, under the name that cargo gave it or one with its version.
    file: PathBuf,
    #[command(flatten)]
    configuration: Configuration,
    /// Replace other content under the plugin's real name.
    #[arg(long)]
    replace: bool,
}

impl Install {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let config = Config::read(&self.configuration.plugins)?;
        let staging = Staging::for_judging(config.plugins.staging.as_deref())?;
        let installed = match install(&self.file, &config, &staging, self.replace) {
            Ok(installed) => installed,
            Err(InstallError::Refused(refused)) => {
                output::line(&format!("{}: refused, nothing was installed", self.file.display()))?;
                output::line(&output::comparison(&refused.refusals))?;
                output::cures(&self.file.display().to_string(), &refused.refusals)?;
                return Ok(super::FAILED);
            }
            Err(error) => return Err(error.into()),
        };
        if !installed.admitted.differences().is_empty() {
            output::line("accepted with differences:")?;
            output::line(&output::comparison(installed.admitted.differences()))?;
        }
        for note in notes(installed.admitted.record()) {
            output::line(&format!("note {note}"))?;
        }
        let was_there = if installed.was_there {
            " (was there already)"
        } else {
            ""
        };
        output::line(&format!("{}{was_there}", installed.file.display()))?;
        let name = installed.file.file_name().unwrap_or_default().display();
        output::line(&match &installed.link {
            LinkOutcome::Moved(link) => format!("{} -> {name}", link.display()),
            LinkOutcome::Unchanged(link) => format!("{} -> {name} (did already)", link.display()),
            LinkOutcome::RegularFile(link) => {
                format!(
                    "{} is no link and is left as it is; what stands there serves",
                    link.display()
                )
            }
            LinkOutcome::PreRelease(command) => {
                format!("a pre-release is served only when asked for: {command}")
            }
        })?;
        match installed.not_served {
            None => Ok(super::GOOD),
            Some(_) if matches!(installed.link, LinkOutcome::PreRelease(_)) => Ok(super::GOOD),
            Some(NotServed { refusals, idle }) => {
                output::line("a host that starts now does not serve it")?;
                if let Some(Idle { text, cure, .. }) = idle.filter(|_| refusals.is_empty()) {
                    output::line(&format!("  {text}\n    {cure}"))?;
                }
                if !refusals.is_empty() {
                    output::line(&output::comparison(&refusals))?;
                }
                output::cures(name.to_string().as_str(), &refusals)?;
                Ok(super::FAILED)
            }
        }
    }
}
