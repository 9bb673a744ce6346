//! Decides what to do about the configuration's file, by how it looks and has looked: nothing, read it, or wait. Knows no
//! file system and no log.

use std::time::{Duration, Instant};

use crate::files::stability::Stamp;

/// How long a file must look the same; and be gone, before the log says so.
pub(super) const STABLE_FOR: Duration = Duration::from_millis(300);
/// How often it is looked for while it is gone.
const MISSING_LOOK: Duration = Duration::from_secs(1);
/// After which time it is tried again when the machine could not read it; twice that after the next time, and so on.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(16);

/// What is known of the file.
#[derive(Debug)]
pub(super) struct Due {
    /// How it looked when it was last read, whatever came of that.
    read: Option<Stamp>,
    /// How it has looked since when.
    rests: Option<(Stamp, Instant)>,
    missing: Option<Absence>,
    retry: Option<Retry>,
    /// The operator asked for it to be read, and it could not be.
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
    /// The operator would not wait for that.
    is_asked: bool,
}

/// What is to be done about the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    Read,
    /// Look again then.
    Wait(Instant),
    /// Say that it is gone; look again then.
    Gone(Instant),
}

impl Due {
    /// A file that looked like this when it was read.
    pub(super) fn new(read: Option<Stamp>) -> Due {
        Due {
            read,
            rests: None,
            missing: None,
            retry: None,
            asked: false,
        }
    }

    /// The operator wants it to be read.
    pub(super) fn ask(&mut self) {
        self.asked = true;
        if let Some(retry) = &mut self.retry {
            retry.is_asked = true;
        }
    }

    /// Whether the operator wants it to be read, and it was not yet.
    pub(super) fn is_asked(&self) -> bool {
        self.asked
    }

    /// Until when there is no use in trying.
    pub(super) fn pause(&mut self, now: Instant) -> Option<Instant> {
        let retry = self.retry.as_mut()?;
        let is_asked = std::mem::take(&mut retry.is_asked);
        (!is_asked && now < retry.at).then_some(retry.at)
    }

    /// Whether it was said that it is gone.
    pub(super) fn is_told_gone(&self) -> bool {
        self.missing.is_some_and(|missing| missing.was_told)
    }

    /// It looks like this.
    pub(super) fn there(&mut self, stamp: Stamp, now: Instant) -> Step {
        self.missing = None;
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
        match now >= since + STABLE_FOR {
            true => Step::Read,
            false => Step::Wait(since + STABLE_FOR),
        }
    }

    /// Nothing is there. Some editors move the old file away first, so it has a moment to come back.
    pub(super) fn gone(&mut self, now: Instant) -> Step {
        self.rests = None;
        self.retry = None;
        let asked = std::mem::take(&mut self.asked);
        let missing = self.missing.get_or_insert(Absence {
            since: now,
            was_told: false,
        });
        if !asked && now < missing.since + STABLE_FOR {
            return Step::Wait(missing.since + STABLE_FOR);
        }
        match !missing.was_told || asked {
            true => {
                missing.was_told = true;
                Step::Gone(now + MISSING_LOOK)
            }
            false => Step::Wait(now + MISSING_LOOK),
        }
    }

    /// It was read, and looked like this.
    pub(super) fn was_read(&mut self, stamp: Option<Stamp>) {
        *self = Due::new(stamp);
    }

    /// The machine can't read it at the moment. Gives when to try again, and whether that is news.
    pub(super) fn unavailable(&mut self, now: Instant) -> (Instant, bool) {
        let delay = self
            .retry
            .map_or(FIRST_RETRY, |retry| (retry.delay * 2).min(LAST_RETRY));
        let is_news = self.retry.is_none();
        let at = now + delay;
        self.retry = Some(Retry {
            at,
            delay,
            is_asked: false,
        });
        (at, is_news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Any files stand for the states of one.
    fn look(file: &str) -> Stamp {
        Stamp::from(&std::fs::metadata(file).expect("a file"))
    }

    fn due() -> (Due, Stamp) {
        let first = look("Cargo.toml");
        (Due::new(Some(first)), first)
    }

    #[test]
    fn a_changed_file_is_read_when_it_is_stable_or_the_operator_asks() {
        let start = Instant::now();
        let (mut due, first) = due();
        assert_eq!(due.there(first, start), Step::Nothing);
        let (second, third) = (look("src/lib.rs"), look("src/main.rs"));
        assert_eq!(due.there(second, start), Step::Wait(start + STABLE_FOR));
        let later = start + STABLE_FOR / 2;
        assert_eq!(due.there(third, later), Step::Wait(later + STABLE_FOR));
        assert_eq!(due.there(third, start + STABLE_FOR), Step::Wait(later + STABLE_FOR));
        assert_eq!(due.there(third, later + STABLE_FOR), Step::Read);
        // As it was when it was read: nothing has happened.
        assert_eq!(due.there(first, later + STABLE_FOR), Step::Nothing);
        assert_eq!(due.there(third, later + STABLE_FOR), Step::Wait(later + STABLE_FOR * 2));
        due.asked = true;
        assert_eq!(due.there(third, later + STABLE_FOR), Step::Read);
    }

    #[test]
    fn that_it_is_gone_is_said_once_and_to_who_asks() {
        let start = Instant::now();
        let (mut due, first) = due();
        assert_eq!(due.gone(start), Step::Wait(start + STABLE_FOR));
        // An editor that moves the old one away is not worth a line.
        assert_eq!(due.there(first, start), Step::Nothing);
        assert_eq!(due.gone(start), Step::Wait(start + STABLE_FOR));
        let told = start + STABLE_FOR;
        assert_eq!(due.gone(told), Step::Gone(told + MISSING_LOOK));
        assert_eq!(due.gone(told), Step::Wait(told + MISSING_LOOK));
        due.asked = true;
        assert_eq!(due.gone(told), Step::Gone(told + MISSING_LOOK));
        assert_eq!(due.gone(told), Step::Wait(told + MISSING_LOOK));
    }

    #[test]
    fn what_the_machine_could_not_read_is_tried_again_less_and_less_often() {
        let start = Instant::now();
        let (mut due, first) = due();
        for (delay, is_news) in [(1, true), (2, false), (4, false), (8, false), (16, false), (16, false)] {
            let at = start + Duration::from_secs(delay);
            assert_eq!(due.unavailable(start), (at, is_news));
            assert_eq!(due.pause(start), Some(at));
        }
        // Who asks does not wait, once.
        due.ask();
        assert_eq!((due.pause(start), due.pause(start).is_some()), (None, true));
        due.was_read(Some(first));
        // The next trouble is another one.
        assert_eq!(due.unavailable(start), (start + FIRST_RETRY, true));
    }
}
