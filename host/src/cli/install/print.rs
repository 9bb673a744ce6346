//! What `host install` prints: what was done, what a host makes of it, and what to do where it does not serve. Decides the words
//! and the exit codes.

use std::path::Path;

use plugin_record::{notes, printable};

use super::wait::{End, Host, TakenBack};
use crate::admission::admit::Refused;
use crate::cli::failure::Failure;
use crate::cli::{FAILED, GOOD, output};
use crate::config::Config;
use crate::directory::links::link_command;
use crate::manager::install::link::{AtSoname, at_soname, says};
use crate::manager::install::outcome::Pending;
use crate::manager::install::place::Before;
use crate::manager::install::{Installation, NotServed};
use crate::selection::idle::Idle;
use crate::shell::quoted;
use crate::status::report::State;
use crate::status::snapshot::InstanceStatus;

/// What became of the soname's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linked {
    /// It leads to the file now.
    Moved,
    /// It did already.
    Already,
    /// A regular file stands at the soname, and serves.
    NoLink,
    /// A pre-release: the operator moves the link.
    PreRelease,
}

/// Why a host that runs is not waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unwatched {
    /// It does not follow changes.
    NotFollowing,
    /// It follows another directory.
    OtherDirectory,
}

impl Unwatched {
    /// None for one that will take the file up.
    pub(super) fn of(host: &Host, installation: &Installation) -> Option<Unwatched> {
        let view = &host.status.view;
        if view.directory != printable(installation.directory.display().to_string()) {
            return Some(Unwatched::OtherDirectory);
        }
        (!view.watch).then_some(Unwatched::NotFollowing)
    }
}

/// A file that admission refused.
pub(super) fn refused(file: &Path, refused: &Refused) -> Result<u8, Failure> {
    output::line(&format!("{}: refused, nothing was installed", file.display()))?;
    output::line(&output::comparison(&refused.refusals))?;
    output::cures(&file.display().to_string(), &refused.refusals)?;
    Ok(FAILED)
}

/// What the policy let through, and what is worth knowing.
pub(super) fn accepted(installation: &Installation) -> Result<(), Failure> {
    let admitted = &installation.admitted;
    if !admitted.differences().is_empty() {
        output::line("accepted with differences:")?;
        output::line(&output::comparison(admitted.differences()))?;
    }
    for note in notes(admitted.record()) {
        output::line(&format!("note {note}"))?;
    }
    Ok(())
}

/// Where the file is now.
pub(super) fn placed(installation: &Installation, before: &Before) -> Result<(), Failure> {
    let was_there = match before {
        Before::Same => " (was there already)",
        Before::Nothing | Before::Other(_) => "",
    };
    output::line(&format!("{}{was_there}", installation.file().display()))
}

/// Where the link leads now.
pub(super) fn linked(installation: &Installation, linked: Linked) -> Result<(), Failure> {
    let (link, name) = (installation.link(), &installation.real_name);
    output::line(&match linked {
        Linked::Moved => format!("{} -> {name}", link.display()),
        Linked::Already => format!("{} -> {name} (did already)", link.display()),
        Linked::NoLink => {
            format!(
                "{} is no link and is left as it is; what stands there serves",
                link.display()
            )
        }
        Linked::PreRelease => format!(
            "a pre-release is served only when asked for: {}",
            link_command(&link, name)
        ),
    })
}

/// Why a host that starts now would not serve it.
pub(super) fn not_served(installation: &Installation, not_served: &NotServed) -> Result<u8, Failure> {
    let NotServed { refusals, idle } = not_served;
    output::line("a host that starts now does not serve it")?;
    if let Some(idle) = idle.as_ref().filter(|_| refusals.is_empty()) {
        why(idle)?;
    }
    if !refusals.is_empty() {
        output::line(&output::comparison(refusals))?;
    }
    output::cures(&installation.real_name, refusals)?;
    Ok(FAILED)
}

fn why(Idle { text, cure, .. }: &Idle) -> Result<(), Failure> {
    output::line(&format!("  {text}\n    {cure}"))
}

/// Why no host was waited for.
pub(super) fn not_waited(host: Option<&Host>, unwatched: Option<Unwatched>, config: &Config) -> Result<(), Failure> {
    let Some(host) = host else {
        let source = config.source.quoted();
        return output::line(&format!(
            "no running host that this user can see has --plugins {source}"
        ));
    };
    let (pid, directory) = (host.pid(), &host.status.view.directory);
    match unwatched {
        Some(Unwatched::OtherDirectory) => output::line(&format!(
            "the host that runs (process ID {pid}) has another plugin directory, {directory}; plugins.dir takes effect at its next \
             start"
        )),
        Some(Unwatched::NotFollowing) => output::line(&format!(
            "the host that runs (process ID {pid}) has watch = false under [plugins]; this has it take the change up:\n    \
             kill -HUP {pid}"
        )),
        None => Ok(()), // a pre-release, whose command was printed
    }
}

/// Who is waited for, and how long; to those who read it on a terminal, for it may take a while.
pub(super) fn waiting(host: &Host, timeout: std::time::Duration) -> Result<(), Failure> {
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        let timeout = humantime::format_duration(timeout);
        output::line(&format!(
            "waiting for what the host that runs (process ID {}) makes of it, {timeout} at most",
            host.pid()
        ))?;
    }
    Ok(())
}

/// A content that failed is not tried again by itself.
pub(super) fn tried_before(host: &Host) -> Result<(), Failure> {
    output::line(&format!(
        "the host had tried this content before, and does not try it again by itself; where what was wrong is mended:\n    \
         kill -HUP {}",
        host.pid()
    ))
}

/// What a host that runs has made of it.
pub(super) fn end(
    end: &End,
    back: &TakenBack,
    host: &Host,
    installation: &Installation,
    config: &Config,
    is_new: bool,
) -> Result<u8, Failure> {
    let (name, pid) = (&installation.real_name, host.pid());
    let check = format!("host check --plugins {}", config.source.quoted());
    match end {
        End::Serves(others) => {
            link_now(installation)?;
            let others = others
                .iter()
                .map(|(version, state)| format!("; {version} {}", state_of(*state)));
            let others: String = others.collect();
            output::line(&format!("{name} serves (process ID {pid}){others}"))?;
            return Ok(GOOD);
        }
        End::Refused(refusals) => {
            output::line(&format!("the host that runs (process ID {pid}) refuses it"))?;
            output::line(&output::comparison(refusals))?;
            output::cures(name, refusals)?;
        }
        End::KeptOut(idle) => {
            output::line(&format!("the host that runs (process ID {pid}) does not serve it"))?;
            why(idle)?;
        }
        End::TimeUp(pending) => {
            output::line(&format!(
                "the host that runs (process ID {pid}) has not come to an end with it in time"
            ))?;
            if let Pending::Unavailable(lack) = pending {
                output::line(&format!(
                    "  unavailable: {}: {}\n    {}",
                    lack.field, lack.found, lack.cure
                ))?;
            }
            output::line(&match back.link || back.content {
                false => format!("  it goes on by itself; what has become of it:\n    {check}"),
                true => format!("  what it serves:\n    {check}"),
            })?;
        }
        End::Interrupted => output::line(&format!(
            "interrupted before the host that runs (process ID {pid}) had come to an end with it; what has become of it:\n    {check}"
        ))?,
        End::HostEnded => output::line(&format!(
            "the host with process ID {pid} has ended before it served it; what a host that starts now serves:\n    {check}"
        ))?,
        End::NoAnswer(error) => output::line(&format!("{error}; what has become of it is not known"))?,
        End::NotLinked(error) => output::line(&format!("it waits for its link: {error}"))?,
    }
    for error in &back.errors {
        output::line(&format!("can't be taken back: {error}"))?;
    }
    left_behind(end, back, host, installation, is_new)?;
    Ok(FAILED)
}

/// How the directory is left, and what serves.
fn left_behind(
    end: &End,
    back: &TakenBack,
    host: &Host,
    installation: &Installation,
    is_new: bool,
) -> Result<(), Failure> {
    let file = installation.file();
    match (back.content, is_new) {
        (true, _) => output::line(&format!("{} has the content again that it had before", file.display()))?,
        (false, true) => output::line(&format!(
            "{} stays; what takes it away: rm {}",
            file.display(),
            quoted(&file)
        ))?,
        (false, false) => {}
    }
    link_now(installation)?;
    let is_known = !matches!(end, End::HostEnded | End::NoAnswer(_));
    let Some(serving) = serving(host, installation).filter(|_| is_known) else {
        return Ok(());
    };
    output::line(&format!("{} {} serves on", serving.plugin, serving.version))?;
    // Somebody else has led it there, or it led there before.
    match &serving.file {
        Some(to) if *to != installation.real_name && at_soname(installation) == AtSoname::Own => {
            output::line(&format!(
                "a host that starts now takes what the link leads to; back to what serves: {}",
                link_command(&installation.link(), to)
            ))
        }
        _ => Ok(()),
    }
}

/// Where the link leads now.
fn link_now(installation: &Installation) -> Result<(), Failure> {
    let link = installation.link();
    match (at_soname(installation), says(installation)) {
        (AtSoname::NoLink, _) => linked(installation, Linked::NoLink),
        (_, Some(to)) => output::line(&printable(format!("{} -> {}", link.display(), to.display()))),
        (_, None) => Ok(()),
    }
}

/// The instance at its soname that serves, by the last status.
fn serving<'a>(host: &'a Host, installation: &Installation) -> Option<&'a InstanceStatus> {
    let mut instances = host.status.view.instances.iter();
    instances.find(|instance| instance.soname == installation.soname && instance.state == State::Serving)
}

fn state_of(state: State) -> &'static str {
    match state {
        State::Draining => "is draining",
        State::Standby => "is in standby",
        _ => "is still there",
    }
}
