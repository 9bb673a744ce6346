//! Waits until the host that runs has made something of an installed file. Leads the link to the file only if the host would not
//! do so by itself, and takes everything back but the new file where the host does not take it. Decides how long is waited; what
//! the host has made of the file is decided in `manager::install::outcome`.

use std::time::{Duration, Instant};

use plugin_record::Refusal;
use semver::Version;

use crate::config::Source;
use crate::control::client::{Client, ClientError};
use crate::manager::install::link::{AtSoname, Moved, at_soname, lead, lead_back, says};
use crate::manager::install::outcome::{Outcome, Pending, Placed, outcome};
use crate::manager::install::place::{Before, put_back};
use crate::manager::install::{InstallError, Installation};
use crate::selection::idle::Idle;
use crate::status::report::State;
use crate::status::snapshot::{Phase, Status};

/// The host that runs, and its last status.
pub(super) struct Host {
    pub(super) client: Client,
    pub(super) status: Status,
}

impl Host {
    /// The process.
    pub(super) fn pid(&self) -> u32 {
        self.status.host.pid
    }

    /// Whether it is the process that it was.
    fn is_same(&self, status: &Status) -> bool {
        status.host.pid == self.pid() && status.host.started == self.status.host.started
    }

    /// Whether it is the process that it was, and goes on.
    pub(super) fn is_alive(&self, status: &Status) -> bool {
        self.is_same(status) && status.host.phase != Phase::Stopping
    }

    /// How many plugins serve there.
    pub(super) fn serves(&self) -> usize {
        let instances = self.status.view.instances.iter();
        instances.filter(|instance| instance.state == State::Serving).count()
    }

    /// Whether it has looked at its plugin directory.
    pub(super) fn has_started(&self) -> bool {
        !self.status.view.directory.is_empty()
    }

    /// The same host when it has started, the time is over, or who waits is to stop; nothing where it has ended.
    pub(super) fn started(mut self, timeout: Duration) -> Result<Option<Host>, ClientError> {
        let deadline = Instant::now() + timeout;
        while !self.has_started() && Instant::now() < deadline && !self.client.is_interrupted() {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.client.after(self.status.revision, left)? {
                Some(status) if self.is_alive(&status) => self.status = status,
                _ => return Ok(None),
            }
        }
        Ok(Some(self))
    }
}

/// How it ended.
pub(super) enum End {
    /// It serves, in the place of these other instances.
    Serves(Vec<(Version, State)>),
    /// The configuration, or what stands at its soname, keeps it out.
    KeptOut(Idle),
    /// The host does not take it.
    Refused(Vec<Refusal>),
    /// The host had not finished with it when the time was over.
    TimeUp(Pending),
    /// Who waits was told to stop.
    Interrupted,
    /// The host ended before.
    HostEnded,
    /// The host does not answer any more.
    NoAnswer(ClientError),
    /// The link could not be moved.
    NotLinked(InstallError),
}

impl End {
    /// Whether the installation stays as it is. One that is kept out does: nothing of it runs, and what mends that is no other link.
    fn is_to_stay(&self) -> bool {
        matches!(self, End::Serves(_) | End::KeptOut(_))
    }
}

/// What was taken back.
#[derive(Debug, Default)]
pub(super) struct TakenBack {
    /// The link leads where it led before, or is gone as it was before.
    pub(super) link: bool,
    /// The content is there again that was replaced.
    pub(super) content: bool,
    /// What could not be taken back.
    pub(super) errors: Vec<InstallError>,
}

/// Waits for an outcome, `timeout` at most for each of the two: what the host does by itself, and what it does after its link
/// was moved.
pub(super) fn follow(
    host: &mut Host,
    installation: &Installation,
    before: Before,
    source: &Source,
    timeout: Duration,
) -> (End, TakenBack) {
    let mut moved = None;
    let end = wait(host, installation, source, timeout, &mut moved);
    let mut back = TakenBack::default();
    if !end.is_to_stay() {
        let mut taken_back =
            |outcome: Result<bool, InstallError>| outcome.map_err(|error| back.errors.push(error)).unwrap_or(false);
        let link = moved.is_some_and(|moved| taken_back(lead_back(installation, &moved)));
        let content = taken_back(put_back(installation, before));
        (back.link, back.content) = (link, content);
    }
    (end, back)
}

fn wait(
    host: &mut Host,
    installation: &Installation,
    source: &Source,
    timeout: Duration,
    moved: &mut Option<Moved>,
) -> End {
    let digest = installation.admitted.digest().to_string();
    let mut deadline = Instant::now() + timeout;
    let mut has_ended = false;
    loop {
        // After the status: it is never newer than what lies there.
        let at = at_soname(installation);
        let placed = Placed {
            plugin: &installation.admitted.record().name,
            file: &installation.real_name,
            soname: &installation.soname,
            digest: &digest,
            is_linked: at == AtSoname::Own,
            link: says(installation),
            configuration: source.digest_now(),
        };
        let pending = match outcome(&host.status.view, &placed) {
            Outcome::Serves(others) => return End::Serves(others),
            Outcome::Refused(refusals) => return End::Refused(refusals),
            // Should it be let in later, its link leads to it.
            Outcome::KeptOut(idle) if moved.is_some() || matches!(at, AtSoname::Own | AtSoname::NoLink) => {
                return End::KeptOut(idle);
            }
            Outcome::NeedsLink | Outcome::KeptOut(_) if moved.is_none() => match lead(installation) {
                Ok(link) => {
                    *moved = Some(link);
                    deadline = Instant::now() + timeout;
                    continue;
                }
                Err(error) => return End::NotLinked(error),
            },
            Outcome::NeedsLink | Outcome::KeptOut(_) => Pending::NotSeen, // somebody else moves it, too
            Outcome::Pending(pending) => pending,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if has_ended {
            return End::HostEnded;
        }
        if host.client.is_interrupted() {
            return End::Interrupted;
        }
        if left.is_zero() {
            return End::TimeUp(pending);
        }
        match next_status(host, left) {
            Ok(ended) => has_ended = ended,
            Err(end) => return end,
        }
    }
}

/// The host's next status. Tells whether the host ends: what it has made of the file by then counts.
fn next_status(host: &mut Host, left: Duration) -> Result<bool, End> {
    match host.client.after(host.status.revision, left) {
        Ok(Some(status)) if host.is_same(&status) => {
            let has_ended = !host.is_alive(&status);
            host.status = status;
            Ok(has_ended)
        }
        Ok(_) => Err(End::HostEnded),
        Err(error) => Err(End::NoAnswer(error)),
    }
}
