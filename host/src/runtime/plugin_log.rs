//! Writes a plugin's events into the host's log under `plugin.NAME`, with its version.
//!
//! `tracing` wants the target of an event to be static, and plugins have names that are only known at run time. So each
//! library gets a callsite for each level, made once and kept for good, as the library itself is. What fields an event has
//! makes no difference to it: they are one value (see `logging::FieldValue`).
//!
//! A plugin's text may be of any length, and there may be any number of them: an event is cut, and what a library says over
//! and over, word for word, is limited as the host's own lines are.

use std::borrow::Cow;
use std::error::Error;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use plugin_api::abi::{ABOUT_MODULE, Lent, LogEvent, Scalar};
use plugin_record::Record;
use semver::Version;
use tracing::field::{FieldSet, Value as Recorded, display};
use tracing::metadata::Kind;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, callsite};

use crate::logging::{Counted, FieldValue, LEFT_OUT, LONGEST, Repeated, Repeats, cut, cut_at, register};

const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
/// The most fields of an event.
const MOST_FIELDS: usize = 32;
/// The most bytes of a field's name, or of a module's.
const LONGEST_NAME: usize = 200;
/// All that a line can say. The version is last in the text format: whatever stands before it, that one is the host's word.
const FIELDS: [&str; 7] = [
    "message",
    "fields",
    "fields_left_out",
    "module",
    "lines",
    "like",
    "version",
];

/// Where one library's events go.
pub(super) struct PluginLog {
    by_level: [&'static Callsite; 5],
    version: Version,
    /// The library's own crate: that an event comes from there goes without saying.
    own_crate: String,
    repeats: Mutex<Repeats>,
}

impl PluginLog {
    /// Made once for each library, for good.
    pub(super) fn leak(record: &Record) -> &'static PluginLog {
        let target: &'static str = Box::leak(format!("plugin.{}", record.name).into_boxed_str());
        let log = Arc::new(PluginLog {
            by_level: LEVELS.map(|level| Callsite::leak(target, level)),
            version: record.version.clone(),
            own_crate: record.name.replace('-', "_"),
            repeats: Mutex::default(),
        });
        register(Arc::clone(&log) as Arc<dyn Counted>);
        Box::leak(Box::new(log))
    }

    /// The most verbose level that the log's filter lets through: 0 none, 1 error to 5 trace.
    pub(super) fn max_level(&self) -> usize {
        self.by_level.iter().filter(|callsite| callsite.is_enabled()).count()
    }

    /// Writes one event; a level that is none counts as trace.
    pub(super) fn write(&self, event: Lent<'_, LogEvent<'_>>) {
        let level = event.level.saturating_sub(1).min(LEVELS.len() - 1);
        if !self.by_level[level].is_enabled() {
            return;
        }
        let said = (event.message, event.fields);
        let text = || Said::new(event).text();
        if self.repeats(|repeats| repeats.admits(level, said, text, Instant::now())) {
            self.said(level, &Said::new(event));
        }
    }

    fn said(&self, level: usize, said: &Said<'_>) {
        let message = format_args!("{}", said.message);
        let fields: Option<&(dyn Error + 'static)> = said.fields.as_ref().map(FieldValue::field);
        let module = said.module.as_deref().filter(|module| !self.is_own(module));
        self.by_level[level].write([
            (!said.message.is_empty()).then_some(&message),
            fields.as_ref().map(|fields| fields as &dyn Recorded),
            (said.left_out > 0).then_some(&said.left_out),
            module.as_ref().map(|module| module as &dyn Recorded),
            None,
            None,
            Some(&display(&self.version)),
        ]);
    }

    fn is_own(&self, module: &str) -> bool {
        module.split("::").next() == Some(&self.own_crate)
    }

    fn left_out(&self, repeated: &Repeated) {
        let Repeated { kind, text, lines } = repeated;
        self.by_level[*kind].write([
            Some(&format_args!("{LEFT_OUT}")),
            None,
            None,
            None,
            Some(lines),
            Some(text),
            Some(&display(&self.version)),
        ]);
    }

    fn repeats<T>(&self, with: impl FnOnce(&mut Repeats) -> T) -> T {
        with(&mut self.repeats.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Counted for PluginLog {
    fn report(&self, now: Instant, at_once: bool) {
        let owed = self.repeats(|repeats| repeats.owed(now, at_once));
        owed.iter().for_each(|repeated| self.left_out(repeated));
    }
}

/// What is logged of an event: message, names and texts have no more than [`LONGEST`] bytes together.
struct Said<'a> {
    message: Cow<'a, str>,
    fields: Option<FieldValue>,
    /// Fields that are not among these: too many, no room, or a name that is there already.
    left_out: u64,
    module: Option<Cow<'a, str>>,
}

impl<'a> Said<'a> {
    fn new(event: Lent<'a, LogEvent<'a>>) -> Said<'a> {
        let event = event.first();
        let message = cut(event.message.as_str());
        let mut room = LONGEST.saturating_sub(message.len());
        let mut fields: Vec<(String, FieldValue)> = Vec::new();
        for field in event.fields.iter() {
            let name = cut_at(field.name(), LONGEST_NAME);
            let is_there = fields.iter().any(|(known, _)| *known == name);
            if !is_there && fields.len() < MOST_FIELDS && name.len() < room {
                room -= name.len();
                fields.push((name.into_owned(), value(field.value(), &mut room)));
            }
        }
        let module = event.about.iter().find(|about| about.name() == ABOUT_MODULE);
        Said {
            message,
            left_out: (event.fields.len() - fields.len()) as u64,
            fields: (!fields.is_empty()).then_some(FieldValue::Fields(fields)),
            module: module.and_then(|module| match module.value() {
                Scalar::Text(module) => Some(cut_at(module, LONGEST_NAME)),
                _ => None,
            }),
        }
    }

    fn text(&self) -> String {
        let fields = self.fields.as_ref().map(FieldValue::to_string).unwrap_or_default();
        match self.message.is_empty() || fields.is_empty() {
            true => format!("{}{fields}", self.message),
            false => format!("{} {fields}", self.message),
        }
    }
}

fn value(scalar: Scalar<'_>, room: &mut usize) -> FieldValue {
    let mut text = |text| {
        let kept = cut_at(text, *room).into_owned();
        *room = room.saturating_sub(kept.len());
        kept
    };
    match scalar {
        Scalar::Text(value) => FieldValue::Text(text(value)),
        Scalar::Shown(value) => FieldValue::Shown(text(value)),
        Scalar::Bool(value) => FieldValue::Bool(value),
        Scalar::Signed(number) => FieldValue::Signed(number),
        Scalar::Unsigned(number) => FieldValue::Unsigned(number),
        Scalar::Float(number) => FieldValue::Float(number),
    }
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
        let fields = FieldSet::new(&FIELDS, callsite::Identifier(callsite));
        let metadata = Metadata::new("plugin event", target, level, None, None, None, fields, Kind::EVENT);
        callsite.metadata.get_or_init(|| metadata);
        callsite
    }

    /// Writes one event with these values of [`FIELDS`]; a field that has none is left out.
    fn write(&'static self, values: [Option<&dyn Recorded>; FIELDS.len()]) {
        let metadata = self.metadata();
        let [Some(a), Some(b), Some(c), Some(d), Some(e), Some(f), Some(g)] =
            FIELDS.map(|name| metadata.fields().field(name))
        else {
            return;
        };
        let [va, vb, vc, vd, ve, vf, vg] = values;
        let values = [(&a, va), (&b, vb), (&c, vc), (&d, vd), (&e, ve), (&f, vf), (&g, vg)];
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
    use plugin_api::abi::{LogField, Many};

    use super::*;

    fn field<'a>(name: &'a str, value: Scalar<'a>) -> LogField<'a> {
        LogField::new(name, value)
    }

    fn event<'a>(message: &'a str, fields: &'a [LogField<'a>]) -> LogEvent<'a> {
        LogEvent {
            fields: Many::new(fields),
            ..LogEvent::new(3, message)
        }
    }

    #[test]
    fn fields_keep_their_types_and_each_name_is_there_once() {
        let fields = [
            field("number", Scalar::Unsigned(7)),
            field("text", Scalar::Text("x y")),
            field("number", Scalar::Bool(true)),
            field("version", Scalar::Shown("9.9.9")),
        ];
        let event = event("at", &fields);
        let said = Said::new(Lent::new(&event));
        assert_eq!(said.text(), "at number=7 text=\"x y\" version=9.9.9");
        assert_eq!((said.left_out, said.module.is_none()), (1, true));
    }

    #[test]
    fn an_event_has_an_end_however_long_and_many_its_fields_are() {
        let long = "ä".repeat(LONGEST);
        let names: Vec<String> = (0..100).map(|number| format!("{number}{long}")).collect();
        let many: Vec<LogField<'_>> = names.iter().map(|name| field(name, Scalar::Text(&long))).collect();
        let event = event("at", &many);
        let said = Said::new(Lent::new(&event));
        let length = said.text().len();
        assert!((LONGEST / 2..LONGEST + 100).contains(&length), "{length}");
        assert_eq!(said.left_out, 99, "the first one takes all the room");
        let short: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let many: Vec<LogField<'_>> = short.iter().map(|name| field(name, Scalar::Float(f64::NAN))).collect();
        assert_eq!(
            Said::new(Lent::new(&self::event("", &many))).left_out,
            100 - MOST_FIELDS as u64
        );
        let all_message = self::event(&long, &many);
        assert_eq!(Said::new(Lent::new(&all_message)).left_out, 100);
    }
}
