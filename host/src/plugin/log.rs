//! Writes a plugin's events into the host's log under `plugin.NAME`.
//!
//! `tracing` wants the target of an event to be static, and plugins have names that are only known at run time. So each
//! library gets a callsite for each level, made once and kept for good, as the library itself is.
//!
//! A plugin's text may be of any length, and there may be any number of them: it is cut, and what a library says over and
//! over, word for word, is limited as the host's own lines are.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use tracing::field::{FieldSet, Value};
use tracing::metadata::Kind;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, callsite};

use super::repeats::{Repeated, Repeats};
use crate::logging::{LEFT_OUT, Told, register};

const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
/// The most bytes that are logged of a plugin's text.
const LONGEST: usize = 16 << 10;

/// Where one library's events go.
pub(super) struct PluginLog {
    by_level: [&'static Callsite; 5],
    repeats: Mutex<Repeats>,
}

impl PluginLog {
    /// Made once for each library, for good.
    pub(super) fn leak(plugin: &str) -> &'static PluginLog {
        let target: &'static str = Box::leak(format!("plugin.{plugin}").into_boxed_str());
        let log = Arc::new(PluginLog {
            by_level: LEVELS.map(|level| Callsite::leak(target, level)),
            repeats: Mutex::default(),
        });
        register(Arc::clone(&log) as Arc<dyn Told>);
        Box::leak(Box::new(log))
    }

    /// The most verbose level that the log's filter lets through: 0 none, 1 error to 5 trace.
    pub(super) fn max_level(&self) -> u8 {
        self.by_level.iter().filter(|callsite| callsite.is_enabled()).count() as u8
    }

    /// Writes one event; `level` as in [`max_level`](PluginLog::max_level), anything else counts as trace.
    pub(super) fn write(&self, level: u8, message: &str) {
        let level = usize::from(level).saturating_sub(1).min(LEVELS.len() - 1);
        if !self.by_level[level].is_enabled() {
            return;
        }
        if self.repeats(|repeats| repeats.admits(level, message, Instant::now())) {
            self.by_level[level].write(&cut(message), None);
        }
    }

    fn left_out(&self, repeated: &Repeated) {
        let Repeated { level, text, lines } = repeated;
        self.by_level[*level].write(LEFT_OUT, Some((*lines, text)));
    }

    fn repeats<T>(&self, with: impl FnOnce(&mut Repeats) -> T) -> T {
        with(&mut self.repeats.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Told for PluginLog {
    fn tell(&self, now: Instant, at_once: bool) {
        let owed = self.repeats(|repeats| repeats.owed(now, at_once));
        owed.iter().for_each(|repeated| self.left_out(repeated));
    }
}

/// A plugin's text, as long as a log can be expected to take.
pub(super) fn cut(text: &str) -> Cow<'_, str> {
    let kept = beginning(text, LONGEST);
    match text.len() - kept.len() {
        0 => Cow::Borrowed(text),
        more => Cow::Owned(format!("{kept}... ({more} bytes more)")),
    }
}

/// At most so many bytes of a text, in whole characters.
pub(super) fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[derive(Debug)]
struct Callsite {
    // Filled right after the callsite is made: the metadata names the callsite, and the callsite the metadata.
    metadata: OnceLock<Metadata<'static>>,
}

impl Callsite {
    fn leak(target: &'static str, level: Level) -> &'static Callsite {
        let callsite: &'static Callsite = Box::leak(Box::new(Callsite {
            metadata: OnceLock::new(),
        }));
        let fields = FieldSet::new(&["message", "lines", "like"], callsite::Identifier(callsite));
        let metadata = Metadata::new("plugin event", target, level, None, None, None, fields, Kind::EVENT);
        callsite.metadata.get_or_init(|| metadata);
        callsite
    }

    /// Writes one event with these fields; a field that there is none of is left out.
    fn write(&'static self, message: &str, of_others: Option<(u64, &str)>) {
        let metadata = self.metadata();
        let mut fields = metadata.fields().iter();
        let (Some(first), Some(second), Some(third)) = (fields.next(), fields.next(), fields.next()) else {
            return;
        };
        let message = format_args!("{message}");
        let (lines, like) = of_others.unzip();
        let values = [
            (&first, Some(&message as &dyn Value)),
            (&second, lines.as_ref().map(|lines| lines as &dyn Value)),
            (&third, like.as_ref().map(|like| like as &dyn Value)),
        ];
        let values = metadata.fields().value_set(&values);
        tracing::dispatcher::get_default(|dispatch| dispatch.event(&Event::new(metadata, &values)));
    }

    fn is_enabled(&'static self) -> bool {
        tracing::dispatcher::get_default(|dispatch| dispatch.enabled(self.metadata()))
    }

    fn metadata(&self) -> &Metadata<'static> {
        self.metadata
            .get_or_init(|| unreachable!("filled where the callsite was made"))
    }
}

impl callsite::Callsite for Callsite {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        self.metadata()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_says_what_was_cut() {
        let fits = "x".repeat(LONGEST);
        assert_eq!(cut(&fits), fits);
        assert_eq!(cut(&format!("{fits}yz")), format!("{fits}... (2 bytes more)"));
        let cut = cut(&format!("x{}", "ä".repeat(LONGEST))).into_owned();
        assert!(cut.ends_with("ä... (16386 bytes more)"), "{}", &cut[cut.len() - 40..]);
    }
}
