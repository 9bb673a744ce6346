//! Keeps the last events, each with its number and time, so that a reader can tell which of them it has seen and whether it has
//! missed some. Bounded: what is older than the last [`MOST`] is forgotten.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::change::Change;

/// How many events are kept: some hours of a busy day, and a start with hundreds of refused files.
pub const MOST: usize = 1024;

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// From 1, without gaps.
    pub number: u64,
    /// When, as RFC 3339 in UTC.
    pub at: String,
    /// What has changed.
    #[serde(flatten)]
    pub change: Change,
}

/// The last events.
#[derive(Debug, Default)]
pub struct History {
    events: VecDeque<Arc<Event>>,
    last: u64,
}

impl History {
    /// Adds an event.
    pub fn add(&mut self, change: Change, at: SystemTime) {
        self.last += 1;
        if self.events.len() == MOST {
            self.events.pop_front();
        }
        self.events.push_back(Arc::new(Event {
            number: self.last,
            at: humantime::format_rfc3339_millis(at).to_string(),
            change,
        }));
    }

    /// All that are kept, the oldest first.
    pub fn events(&self) -> Vec<Arc<Event>> {
        self.events.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_events_are_kept_and_numbers_have_no_gaps() {
        let mut history = History::default();
        for key in 0..=MOST {
            let key = key.to_string();
            history.add(Change::NextStart { key }, SystemTime::UNIX_EPOCH);
        }
        let events = history.events();
        assert_eq!(events.len(), MOST);
        assert_eq!((events[0].number, events[MOST - 1].number), (2, MOST as u64 + 1));
        assert_eq!(events[0].at, "1970-01-01T00:00:00.000Z");
    }
}
