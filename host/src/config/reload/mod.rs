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

use super::file::{self, Accept, Found, is_missing};
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
    /// Of the content that was read last, whether it can be used or not.
    digest: Option<String>,
    due: Due,
    /// Why what lies there can't be used.
    refused: Option<String>,
    is_gone: bool,
}

/// What reading the configuration again has come to.
#[derive(Debug)]
pub enum Reread {
    /// It is not time to, or it can't be read at the moment.
    Nothing,
    /// It can be used.
    Usable(Box<Config>),
    /// It can't be used, for this reason.
    Refused(String),
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
            digest: source.digest.clone(),
            due: Due::new(source.stamp),
            refused: None,
            is_gone: false,
        }
    }

    /// Its absolute path, if it is a file that can change.
    pub fn path(&self) -> Option<&Path> {
        self.is_followed.then_some(self.path.as_path())
    }

    /// SHA-256 of the content that was read last, in hexadecimal; `None` where that was no regular file.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Why the file as it is now can't be used, where the running configuration is an older one.
    pub fn error(&self) -> Option<&str> {
        match self.is_gone {
            true => Some("the file is gone"),
            false => self.refused.as_deref(),
        }
    }

    /// Reads it when it is time to: it has changed and is stable, or the operator asks. `stability` learns when to check again.
    pub fn reread(&mut self, asked: bool, running: &Config, stability: &mut StabilityTracker) -> Reread {
        if !self.is_followed {
            // What is asked for is also another look at everything that failed.
            return match asked {
                true => Reread::Usable(Box::new(running.clone())),
                false => Reread::Nothing,
            };
        }
        if asked {
            self.due.ask();
        }
        if !self.due.is_asked() && !running.plugins.watch {
            return Reread::Nothing;
        }
        let now = Instant::now();
        if let Some(until) = self.due.pause(now) {
            stability.check_by(until);
            return Reread::Nothing;
        }
        let seen = std::fs::metadata(&self.path).map(|metadata| Stamp::from(&metadata));
        let step = match &seen {
            Ok(stamp) => {
                self.is_gone = false;
                if self.due.is_told_gone() {
                    tracing::info!(file = %self.path.display(), "the configuration is back");
                }
                self.due.there(*stamp, now)
            }
            Err(error) if is_missing(error) => self.due.gone(now),
            Err(error) => {
                self.unavailable(error, now, stability);
                return Reread::Nothing;
            }
        };
        match step {
            Step::Nothing => Reread::Nothing,
            Step::Read => self.read(seen.ok(), now, stability),
            Step::Wait(until) => {
                stability.check_by(until);
                Reread::Nothing
            }
            Step::Gone(until) => {
                stability.check_by(until);
                self.is_gone = true;
                tracing::error!(
                    file = %self.path.display(),
                    "the configuration is gone, the running one stays; put it back, and it is read again"
                );
                Reread::Nothing
            }
        }
    }

    fn read(&mut self, seen: Option<Stamp>, now: Instant, stability: &mut StabilityTracker) -> Reread {
        let found = match file::read(&self.path, Accept::Regular) {
            Err(ConfigError::Unreadable { error, .. }) if is_of_machine(&error) => {
                self.unavailable(&error, now, stability);
                return Reread::Nothing;
            }
            Err(ConfigError::Unreadable { error, .. }) if is_missing(&error) => {
                stability.check_by(now + STABLE_FOR); // it went this moment
                return Reread::Nothing;
            }
            found => found,
        };
        self.due.was_read(found.as_ref().map_or(seen, |found| found.stamp));
        self.digest = found.as_ref().ok().and_then(Found::digest);
        let config = found.and_then(|found| Config::parse(&self.path, &found));
        match config {
            Ok(config) if self.had_content && !config.source.has_content => {
                tracing::error!(
                    file = %self.path.display(),
                    "the configuration is empty, which is taken for damage, the running one stays; write it again (a file \
                     with a comment alone stands for all defaults)"
                );
                self.refused = Some("the file is empty, which is taken for damage".to_owned());
                Reread::Nothing
            }
            Ok(config) => {
                self.had_content = config.source.has_content;
                self.refused = None;
                Reread::Usable(Box::new(config))
            }
            Err(error) => {
                let error = error.to_string();
                self.refused = Some(error.clone());
                Reread::Refused(error)
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
