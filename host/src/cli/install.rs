//! `host install FILE --plugins F`: the command's options, and whether the host that runs is waited for. Leaves the files to
//! `manager::install`, the waiting to `wait`, and what is printed to `print`.

mod print;
mod wait;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::Configuration;
use super::failure::Failure;
use crate::admission::stage::Staging;
use crate::config::Config;
use crate::control::client::Client;
use crate::manager::install::link::{AtSoname, at_soname, lead};
use crate::manager::install::place::{Before, place};
use crate::manager::install::{self, InstallError, Installation};
use crate::process::async_runtime::AsyncRuntime;
use print::{Linked, Unwatched};
use wait::Host;

/// What the host may take besides the plugin: to notice the file, to judge it, to start a process for it.
const BESIDES: Duration = Duration::from_secs(15);
/// How many of a plugin's calls have a time limit of `plugins.init_timeout` each: it is opened and its configuration checked in
/// another process, opened in the host, and initialised.
const CALLS: u32 = 4;

/// Nobody waits for longer, and a clock has an end.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to wait, as an option says it.
fn wait_time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match time <= LONGEST {
        true => Ok(time),
        false => Err(format!("expected a day at most, found {text}")),
    }
}

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
    #[arg(long, value_name = "TIME", value_parser = wait_time, conflicts_with = "no_wait")]
    timeout: Option<Duration>,
}

impl Install {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let config = Config::read(&self.configuration.plugins)?;
        let timeout = self
            .timeout
            .unwrap_or(
                config
                    .plugins
                    .init_timeout
                    .saturating_mul(CALLS)
                    .saturating_add(BESIDES),
            )
            .min(LONGEST);
        let staging = Staging::for_judging(config.plugins.staging.as_deref())?;
        // Before anything is changed: what its status says afterwards may be about the change.
        let host = match self.no_wait {
            true => None,
            false => running(&config, timeout)?,
        };
        check_directory(host.as_ref(), &config)?;
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
                print::waiting(&host, timeout)?;
                let was_there = matches!(before, Before::Same);
                let is_new = matches!(before, Before::Nothing);
                let (end, back) = wait::follow(&mut host, &installation, before, &config.source, timeout);
                let code = print::end(&end, &back, &host, &installation, &config, is_new)?;
                if was_there && matches!(end, wait::End::Refused(_)) {
                    print::tried_before(&host)?;
                }
                Ok(code)
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

/// Refuses to make a plugin directory that is gone while a host serves from it: that would be to empty it.
fn check_directory(host: Option<&Host>, config: &Config) -> Result<(), Failure> {
    let Some(host) = host.filter(|host| host.serves() > 0 && !config.plugins.dir.exists()) else {
        return Ok(());
    };
    Err(Failure::Failed(format!(
        "the plugin directory {} is gone, and the host that runs (process ID {}) serves {} of its plugins; nothing was installed: put \
         it back, or mend plugins.dir",
        config.plugins.dir.display(),
        host.pid(),
        host.serves()
    )))
}

/// Has the waiting end at a signal that would end the process: what was changed is taken back then.
fn stop_at_signals(runtime: &AsyncRuntime) -> Result<(), Failure> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut signals = runtime.wait(async { signal(kind) })?;
        let stop = runtime.stop().clone();
        runtime.spawn("signals", async move {
            signals.recv().await;
            stop.cancel();
        });
    }
    Ok(())
}

/// The host that runs with this configuration, as far as this user can see.
fn running(config: &Config, timeout: Duration) -> Result<Option<Host>, Failure> {
    let runtime = AsyncRuntime::start().context("can't start a thread")?;
    stop_at_signals(&runtime)?;
    let found = Client::find(config, &runtime).and_then(|found| match found {
        Some((client, status)) => Host { client, status }.started(timeout),
        None => Ok(None),
    });
    match found {
        Ok(_) if runtime.is_stopping() => Err(Failure::Failed("interrupted; nothing was installed".to_owned())),
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
