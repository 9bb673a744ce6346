//! Which lines of a plugin repeat, word for word. A plugin that panics on threads of its own, or logs or prints in a loop, says
//! the same over and over; that is limited as the host's own lines are, and everything else it says stays.
//!
//! The lines that were seen are remembered in a few places that their hash chooses, so that the memory is bounded and looking
//! costs the same however much a plugin has to say. A line takes the place of another one, unless that is being left out.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use super::cut::beginning;
use super::rate_limit::Window;

/// How many lines are remembered.
const PLACES: usize = 16;
/// How much of a line is kept, to name it by.
const KEPT: usize = 200;

/// What was said lately.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    places: [Place; PLACES],
}

#[derive(Debug, Default)]
struct Place {
    hash: u64,
    kind: usize,
    /// The line's beginning; filled when it is first left out.
    text: String,
    window: Window,
}

/// Lines that were left out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Repeated {
    /// As it was given.
    pub(crate) kind: usize,
    /// Their text, or its beginning.
    pub(crate) text: String,
    /// How many.
    pub(crate) lines: u64,
}

impl Repeats {
    /// Whether to log this line of a kind (its level, its stream). What it says is compared by its hash; as a text it is only
    /// needed when it is left out for the first time.
    pub(crate) fn admits(&mut self, kind: usize, line: impl Hash, text: impl FnOnce() -> String, now: Instant) -> bool {
        let mut hasher = DefaultHasher::new();
        (kind, line).hash(&mut hasher);
        let hash = hasher.finish();
        let place = &mut self.places[hash as usize % PLACES];
        if place.hash != hash {
            if place.window.owes() {
                return true;
            }
            *place = Place {
                hash,
                kind,
                ..Place::default()
            };
        }
        let is_admitted = place.window.admits(now);
        if !is_admitted && place.text.is_empty() {
            place.text = beginning(&text(), KEPT).to_owned();
        }
        is_admitted
    }

    /// What is to be told of windows that are over, or of all.
    pub(crate) fn owed(&mut self, now: Instant, at_once: bool) -> Vec<Repeated> {
        self.places
            .iter_mut()
            .filter_map(|place| place.owed(now, at_once))
            .collect()
    }
}

impl Place {
    fn owed(&mut self, now: Instant, at_once: bool) -> Option<Repeated> {
        let lines = self.window.owed(now, at_once);
        (lines > 0).then(|| Repeated {
            kind: self.kind,
            text: self.text.clone(),
            lines,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(repeats: &mut Repeats, kind: usize, text: &str, now: Instant) -> bool {
        repeats.admits(kind, text, || text.to_owned(), now)
    }

    #[test]
    fn the_same_line_is_limited_and_others_are_not() {
        let now = Instant::now();
        let mut repeats = Repeats::default();
        let again = (0..100).filter(|_| admits(&mut repeats, 2, "again", now)).count();
        assert_eq!(again, 10);
        for number in 0..100 {
            assert!(admits(&mut repeats, 2, &format!("number {number}"), now));
            assert!(!admits(&mut repeats, 2, "again", now));
        }
        assert!(admits(&mut repeats, 1, "again", now), "another kind is another line");
        assert_eq!(repeats.owed(now, false), []);
        let text = "again".to_owned();
        let (kind, lines) = (2, 190);
        assert_eq!(repeats.owed(now, true), [Repeated { kind, text, lines }]);
        assert_eq!(repeats.owed(now, true), []);
    }

    #[test]
    fn a_long_line_is_named_by_its_beginning() {
        let now = Instant::now();
        let mut repeats = Repeats::default();
        let text = "ä".repeat(1000);
        let admitted = (0..20).filter(|_| admits(&mut repeats, 0, &text, now)).count();
        let owed = repeats.owed(now, true);
        assert_eq!((admitted, owed.len(), owed[0].lines), (10, 1, 10));
        assert_eq!(owed[0].text, "ä".repeat(KEPT / 2));
    }
}
