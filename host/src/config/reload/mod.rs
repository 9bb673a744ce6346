//! Decides when a running host reads its configuration again. A changed file takes effect once it has looked the same for a
//! while, whatever its writers close in between: a shell writes `>` first and `>>` then, and each part alone is another
//! configuration. When an operator asks for it, the file is read at once.
//!
//! Damage changes nothing: an empty file where there was one with content, no file, or something else in its place leave the
//! running configuration in force.

mod due;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::file::{self, Accept, is_missing};
use super::reload::due::{Due, STABLE_FOR, Step};
use super::{Config, ConfigError, Source};
use crate::files::stability::{StabilityTracker, Stamp};
use crate::unavailable::is_of_machine;

/// A configuration's file while the host runs.
#[derive(Debug)]
pub struct Watched {
    path: PathBuf,
    is_followed: bool,
    had_content: bool,
    due: Due,
}

impl Watched {
    /// The file at `path`, of which `source` was read.
    pub fn new(path: &Path, source: &Source) -> Watched {
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
            due: Due::new(source.stamp),
        }
    }

    /// Its absolute path, if it is a file that can change.
    pub fn path(&self) -> Option<&Path> {
        self.is_followed.then_some(self.path.as_path())
    }

    /// Reads it when it is time to: it has changed and is stable, or the operator asks. Gives the configuration if it can
    /// be used, and logs why not. `stability` learns when to check again.
    pub fn reread(&mut self, asked: bool, running: &Config, stability: &mut StabilityTracker) -> Option<Config> {
        if !self.is_followed {
            // What is asked for is also another look at everything that failed.
            return asked.then(|| running.clone());
        }
        if asked {
            self.due.ask();
        }
        if !self.due.is_asked() && !running.plugins.watch {
            return None;
        }
        let now = Instant::now();
        if let Some(until) = self.due.pause(now) {
            stability.check_by(until);
            return None;
        }
        let seen = std::fs::metadata(&self.path).map(|metadata| Stamp::from(&metadata));
        let step = match &seen {
            Ok(stamp) => {
                if self.due.is_told_gone() {
                    tracing::info!(file = %self.path.display(), "the configuration is back");
                }
                self.due.there(*stamp, now)
            }
            Err(error) if is_missing(error) => self.due.gone(now),
            Err(error) => {
                self.unavailable(error, now, stability);
                return None;
            }
        };
        match step {
            Step::Nothing => None,
            Step::Read => self.read(seen.ok(), now, stability),
            Step::Wait(until) => {
                stability.check_by(until);
                None
            }
            Step::Gone(until) => {
                stability.check_by(until);
                tracing::error!(
                    file = %self.path.display(),
                    "the configuration is gone, the running one stays; put it back, and it is read again"
                );
                None
            }
        }
    }

    fn read(&mut self, seen: Option<Stamp>, now: Instant, stability: &mut StabilityTracker) -> Option<Config> {
        let found = match file::read(&self.path, Accept::Regular) {
            Err(ConfigError::Unreadable { error, .. }) if is_of_machine(&error) => {
                self.unavailable(&error, now, stability);
                return None;
            }
            Err(ConfigError::Unreadable { error, .. }) if is_missing(&error) => {
                stability.check_by(now + STABLE_FOR); // it went this moment
                return None;
            }
            found => found,
        };
        self.due.was_read(found.as_ref().map_or(seen, |found| found.stamp));
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

    /// The machine can't read it at the moment: no verdict on the file.
    fn unavailable(&mut self, error: &io::Error, now: Instant, stability: &mut StabilityTracker) {
        let (at, is_news) = self.due.unavailable(now);
        if is_news {
            tracing::warn!(
                file = %self.path.display(),
                %error,
                "configuration unavailable, the running one stays; it is tried again"
            );
        }
        stability.check_by(at);
    }
}
