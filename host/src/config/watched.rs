//! When a host that runs reads its configuration again. A changed file counts once it has looked the same for a while,
//! whatever its writers close in between: a shell writes `>` first and `>>` then, and each part alone is another
//! configuration. An operator who asks has it read at once.
//!
//! Damage is not a wish: an empty file where there was one with content, no file, or something else in its place leave the
//! running configuration in force.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::file::{self, Accept, is_missing, is_of_the_machine};
use super::{Config, ConfigError, Source};
use crate::plugin::settle::{Settling, Stamp};

/// How long a file must look the same; and be gone, before the log says so.
const SETTLE: Duration = Duration::from_millis(300);
/// How often it is looked for while it is gone.
const MISSING_LOOK: Duration = Duration::from_secs(1);
/// After which time it is tried again when the machine could not read it; twice that after the next time, and so on.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(16);

/// A configuration's file while the host runs.
#[derive(Debug)]
pub struct Watched {
    path: PathBuf,
    is_followed: bool,
    had_content: bool,
    /// How it looked when it was last read, whatever came of that.
    read: Option<Stamp>,
    /// How it has looked since when.
    rests: Option<(Stamp, Instant)>,
    missing: Option<Absence>,
    retry: Option<Retry>,
    /// Somebody asked for it to be read, and it could not be.
    asked: bool,
}

#[derive(Clone, Copy, Debug)]
struct Absence {
    since: Instant,
    was_told: bool,
}

#[derive(Clone, Copy, Debug)]
struct Retry {
    at: Instant,
    delay: Duration,
}

/// What is to be done about the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Read,
    /// Look again then.
    Wait(Instant),
    /// Say that it is gone; look again then.
    Gone(Instant),
}

impl Watched {
    /// The file at `path`, of which `source` was read.
    pub fn new(path: &Path, source: Source) -> Watched {
        let is_followed = source.stamp.is_some();
        if !is_followed {
            tracing::info!(
                file = %path.display(),
                "the configuration was read from a pipe or a device, once: it is not followed"
            );
        }
        Watched {
            // Now, before there is a plugin that could change the process's directory.
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            is_followed,
            had_content: source.has_content,
            read: source.stamp,
            rests: None,
            missing: None,
            retry: None,
            asked: false,
        }
    }

    /// Its absolute path, if it is a file that can change.
    pub fn path(&self) -> Option<&Path> {
        self.is_followed.then_some(self.path.as_path())
    }

    /// Reads it when it is time to: it has changed and has come to rest, or somebody asks. Gives the configuration if it can
    /// be used, and tells the log why not. `settling` learns when to ask again.
    pub fn reread(&mut self, asked: bool, running: &Config, settling: &mut Settling) -> Option<Config> {
        if !self.is_followed {
            // What is asked for is also another look at everything that failed.
            return asked.then(|| running.clone());
        }
        self.asked |= asked;
        let now = Instant::now();
        if !self.asked && !running.plugins.watch {
            return None;
        }
        if let Some(retry) = self.retry.filter(|retry| !asked && now < retry.at) {
            settling.look_again(retry.at);
            return None;
        }
        let seen = std::fs::metadata(&self.path).map(|metadata| Stamp::from(&metadata));
        let step = match &seen {
            Ok(stamp) => self.there(*stamp, now),
            Err(error) if is_missing(error) => self.gone(now),
            Err(error) => {
                self.unavailable(error, now, settling);
                return None;
            }
        };
        match step {
            Step::Nothing => None,
            Step::Read => self.read(seen.ok(), now, settling),
            Step::Wait(until) => {
                settling.look_again(until);
                None
            }
            Step::Gone(until) => {
                settling.look_again(until);
                tracing::error!(
                    file = %self.path.display(),
                    "the configuration is gone, the running one stays; put it back, and it is read again"
                );
                None
            }
        }
    }

    /// It looks like this.
    fn there(&mut self, stamp: Stamp, now: Instant) -> Step {
        if self.missing.take().is_some_and(|missing| missing.was_told) {
            tracing::info!(file = %self.path.display(), "the configuration is back");
        }
        if self.asked {
            return Step::Read;
        }
        if self.read == Some(stamp) {
            self.rests = None;
            self.retry = None;
            return Step::Nothing;
        }
        let since = match self.rests {
            Some((as_it_was, since)) if as_it_was == stamp => since,
            _ => now,
        };
        self.rests = Some((stamp, since));
        match now >= since + SETTLE {
            true => Step::Read,
            false => Step::Wait(since + SETTLE),
        }
    }

    /// Nothing is there. Some editors move the old file away first, so it has a moment to come back.
    fn gone(&mut self, now: Instant) -> Step {
        self.rests = None;
        self.retry = None;
        let asked = std::mem::take(&mut self.asked);
        let missing = self.missing.get_or_insert(Absence {
            since: now,
            was_told: false,
        });
        if !asked && now < missing.since + SETTLE {
            return Step::Wait(missing.since + SETTLE);
        }
        match !missing.was_told || asked {
            true => {
                missing.was_told = true;
                Step::Gone(now + MISSING_LOOK)
            }
            false => Step::Wait(now + MISSING_LOOK),
        }
    }

    fn read(&mut self, seen: Option<Stamp>, now: Instant, settling: &mut Settling) -> Option<Config> {
        let found = match file::read(&self.path, Accept::Regular) {
            Err(ConfigError::Unreadable { error, .. }) if is_of_the_machine(&error) => {
                self.unavailable(&error, now, settling);
                return None;
            }
            Err(ConfigError::Unreadable { error, .. }) if is_missing(&error) => {
                settling.look_again(now + SETTLE); // it went this moment
                return None;
            }
            found => found,
        };
        self.asked = false;
        self.rests = None;
        self.retry = None;
        self.read = found.as_ref().map_or(seen, |found| found.stamp);
        let config = found.and_then(|found| Config::parse(&self.path, &found));
        match config {
            Ok(config) if self.had_content && !config.source.has_content => {
                tracing::error!(
                    file = %self.path.display(),
                    "the configuration is empty, which is taken for damage, the running one stays; write it again (a file \
                     with a comment alone stands for all defaults)"
                );
                None
            }
            Ok(config) => {
                self.had_content = config.source.has_content;
                Some(config)
            }
            Err(error) => {
                tracing::error!(%error, "configuration unusable, the running one stays");
                None
            }
        }
    }

    /// The machine can't tell at the moment: no verdict on the file.
    fn unavailable(&mut self, error: &io::Error, now: Instant, settling: &mut Settling) {
        let delay = self
            .retry
            .map_or(FIRST_RETRY, |retry| (retry.delay * 2).min(LAST_RETRY));
        if self.retry.is_none() {
            tracing::warn!(
                file = %self.path.display(),
                %error,
                "configuration unavailable, the running one stays; it is tried again"
            );
        }
        let at = now + delay;
        self.retry = Some(Retry { at, delay });
        settling.look_again(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(file: &Path) -> (Watched, Stamp) {
        let stamp = Stamp::from(&std::fs::metadata(file).expect("a file"));
        let source = Source {
            stamp: Some(stamp),
            has_content: true,
        };
        (Watched::new(file, source), stamp)
    }

    #[test]
    fn a_changed_file_is_read_when_it_rests_or_somebody_asks() {
        let start = Instant::now();
        let (mut watched, first) = watched(Path::new("Cargo.toml"));
        assert_eq!(watched.there(first, start), Step::Nothing);
        // Any two other files stand for two states of one.
        let look = |file: &str| Stamp::from(&std::fs::metadata(file).expect("a file"));
        let (second, third) = (look("src/lib.rs"), look("src/main.rs"));
        assert_eq!(watched.there(second, start), Step::Wait(start + SETTLE));
        let later = start + SETTLE / 2;
        assert_eq!(watched.there(third, later), Step::Wait(later + SETTLE));
        assert_eq!(watched.there(third, start + SETTLE), Step::Wait(later + SETTLE));
        assert_eq!(watched.there(third, later + SETTLE), Step::Read);
        // As it was when it was read: nothing has happened.
        assert_eq!(watched.there(first, later + SETTLE), Step::Nothing);
        assert_eq!(watched.there(third, later + SETTLE), Step::Wait(later + SETTLE * 2));
        watched.asked = true;
        assert_eq!(watched.there(third, later + SETTLE), Step::Read);
    }

    #[test]
    fn that_it_is_gone_is_said_once_and_to_who_asks() {
        let start = Instant::now();
        let (mut watched, first) = watched(Path::new("Cargo.toml"));
        assert_eq!(watched.gone(start), Step::Wait(start + SETTLE));
        // An editor that moves the old one away is not worth a line.
        assert_eq!(watched.there(first, start), Step::Nothing);
        assert_eq!(watched.gone(start), Step::Wait(start + SETTLE));
        let told = start + SETTLE;
        assert_eq!(watched.gone(told), Step::Gone(told + MISSING_LOOK));
        assert_eq!(watched.gone(told), Step::Wait(told + MISSING_LOOK));
        watched.asked = true;
        assert_eq!(watched.gone(told), Step::Gone(told + MISSING_LOOK));
        assert_eq!(watched.gone(told), Step::Wait(told + MISSING_LOOK));
    }

    #[test]
    fn what_the_machine_could_not_read_is_tried_again_less_and_less_often() {
        let start = Instant::now();
        let (mut watched, first) = watched(Path::new("Cargo.toml"));
        let mut settling = Settling::default();
        let error = io::Error::from_raw_os_error(libc::EMFILE);
        for delay in [1, 2, 4, 8, 16, 16] {
            watched.unavailable(&error, start, &mut settling);
            assert_eq!(settling.again(), Some(start + Duration::from_secs(delay)));
        }
        // The next trouble is another one.
        assert_eq!(watched.there(first, start), Step::Nothing);
        watched.unavailable(&error, start, &mut settling);
        assert_eq!(settling.again(), Some(start + FIRST_RETRY));
    }
}
