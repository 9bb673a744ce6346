//! The JSON format: one object for each event. `timestamp`, `level` and `target` are the host's word, as are all other names
//! at the top; what a plugin names stands in an object of its own (`FieldValue::Fields`).

use std::error::Error;
use std::fmt::{self, Debug};

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::value::FieldValue;

pub(super) struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut object = Object::begin(writer, *metadata.level())?;
        event.record(&mut object);
        object.end(metadata.target())
    }
}

/// A line that no filter is asked about: `fill` adds what it says.
pub(super) fn line(level: Level, target: &str, fill: impl FnOnce(&mut Object<'_>)) -> String {
    let mut line = String::new();
    let object = Object::begin(Writer::new(&mut line), level).and_then(|mut object| {
        fill(&mut object);
        object.end(target)
    });
    object.map_or_else(|_| String::new(), |()| line) // writing to a String does not fail
}

/// A line on its way.
pub(super) struct Object<'writer> {
    writer: Writer<'writer>,
    result: fmt::Result,
}

impl<'writer> Object<'writer> {
    fn begin(mut writer: Writer<'writer>, level: Level) -> Result<Object<'writer>, fmt::Error> {
        writer.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, "\",\"level\":\"{level}\"")?;
        Ok(Object { writer, result: Ok(()) })
    }

    pub(super) fn add(&mut self, name: &str, value: &impl Serialize) {
        if self.result.is_ok() {
            self.result = self.pair(name, value);
        }
    }

    fn pair(&mut self, name: &str, value: &impl Serialize) -> fmt::Result {
        // A name is there once, also where a crate that the host links should take one of these for a field.
        let prefix = match name {
            "timestamp" | "level" | "target" => "field.",
            _ => "",
        };
        let name = json(&format_args!("{prefix}{name}"))?;
        write!(self.writer, ",{name}:{}", json(value)?)
    }

    fn end(mut self, target: &str) -> fmt::Result {
        self.result?;
        writeln!(self.writer, ",\"target\":{}}}", json(&target)?)
    }
}

fn json(value: &impl Serialize) -> Result<String, fmt::Error> {
    serde_json::to_string(value).map_err(|_| fmt::Error)
}

impl Visit for Object<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field.name(), &format_args!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        match value.downcast_ref::<FieldValue>() {
            Some(value) => self.add(field.name(), value),
            None => self.add(field.name(), &format_args!("{value}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), &FieldValue::Float(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_past_the_filter_is_an_event_like_any_other() {
        let line = line(Level::ERROR, "host", |object| {
            object.add("message", &"two\nlines \"quoted\" \u{1b}");
        });
        assert!(line.ends_with("}\n"), "{line}");
        let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(event["message"], "two\nlines \"quoted\" \u{1b}");
        assert_eq!((&event["level"], &event["target"]), (&"ERROR".into(), &"host".into()));
        let keys: Vec<&str> = event
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys, ["level", "message", "target", "timestamp"]);
    }
}
