//! `host install FILE --plugins F`: the command's options, and whether the host that runs is waited for. Leaves the files to
//! `manager::install`, the waiting to `wait`, and what is printed to `print`.

mod print;
mod wait;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::Configuration;
use super::failure::Failure;
use crate::admission::stage::Staging;
use crate::config::Config;
use crate::control::client::Client;
use crate::manager::install::link::{AtSoname, at_soname, lead};
use crate::manager::install::place::place;
use crate::manager::install::{self, InstallError, Installation};
use crate::process::async_runtime::AsyncRuntime;
use print::{Linked, Unwatched};
use wait::Host;

/// What the host may take besides the plugin: to notice the file, to judge it, to start a process for it.
const BESIDES: Duration = Duration::from_secs(15);
/// How many of a plugin's calls have a time limit of `plugins.init_timeout` each: it is opened and its configuration checked in
/// another process, opened in the host, and initialised.
const CALLS: u32 = 4;

#[derive(Debug, Args)]
pub(super) struct Install {
    /// The library, under the name that cargo gave it or one with its version.
    file: PathBuf,
    #[command(flatten)]
    configuration: Configuration,
    /// Replace other content under the plugin's real name.
    #[arg(long)]
    replace: bool,
    /// Ask no host that runs: put the file there, move the link, and say what a start would make of it.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait for what the host that runs makes of the file, "90s" for example; without it, what
    /// `plugins.init_timeout` gives a plugin in all, and some seconds.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, conflicts_with = "no_wait")]
    timeout: Option<Duration>,
}

impl Install {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let config = Config::read(&self.configuration.plugins)?;
        let timeout = self
            .timeout
            .unwrap_or(config.plugins.init_timeout.saturating_mul(CALLS) + BESIDES);
        let staging = Staging::for_judging(config.plugins.staging.as_deref())?;
        // Before anything is changed: what its status says afterwards may be about the change.
        let host = match self.no_wait {
            true => None,
            false => running(&config, timeout)?,
        };
        let installation = match install::judge(&self.file, &config, &staging) {
            Ok(installation) => installation,
            Err(InstallError::Refused(refused)) => return print::refused(&self.file, &refused),
            Err(error) => return Err(error.into()),
        };
        let before = place(&installation, self.replace)?;
        print::accepted(&installation)?;
        print::placed(&installation, &before)?;
        let unwatched = host.as_ref().and_then(|host| Unwatched::of(host, &installation));
        match host {
            // A pre-release is the operator's to link.
            Some(mut host) if unwatched.is_none() && !installation.is_pre_release() => {
                let (end, back) = wait::follow(&mut host, &installation, before, &config.source, timeout)?;
                print::end(&end, &back, &host, &installation, &config)
            }
            host => {
                let code = link(&installation, &config, &staging)?;
                if !self.no_wait {
                    print::not_waited(host.as_ref(), unwatched, &config)?;
                }
                Ok(code)
            }
        }
    }
}

/// The host that runs with this configuration, as far as this user can see.
fn running(config: &Config, timeout: Duration) -> Result<Option<Host>, Failure> {
    let runtime = AsyncRuntime::start().context("can't start a thread")?;
    let found = Client::find(config, &runtime).and_then(|found| match found {
        Some((client, status)) => Host { client, status }.started(timeout),
        None => Ok(None),
    });
    match found {
        Ok(Some(host)) if !host.has_started() => Err(Failure::Failed(format!(
            "the host that runs (process ID {}) has not come to the end of its start in time; nothing was installed: repeat later, or \
             with --no-wait, which asks no host",
            host.pid()
        ))),
        Ok(host) => Ok(host),
        Err(error) => Err(Failure::Failed(format!(
            "{error}; nothing was installed: mend that host, or repeat with --no-wait, which asks no host"
        ))),
    }
}

/// Moves the link without a host, and says what a start would make of it.
fn link(installation: &Installation, config: &Config, staging: &Staging) -> Result<u8, Failure> {
    let linked = match at_soname(installation) {
        AtSoname::NoLink => Linked::NoLink,
        _ if installation.is_pre_release() => Linked::PreRelease,
        AtSoname::Own => Linked::Already,
        AtSoname::Nothing | AtSoname::Elsewhere => {
            lead(installation)?;
            Linked::Moved
        }
    };
    print::linked(installation, linked)?;
    match installation.not_served(config, staging)? {
        None => Ok(super::GOOD),
        Some(_) if linked == Linked::PreRelease => Ok(super::GOOD),
        Some(not_served) => print::not_served(installation, &not_served),
    }
}
