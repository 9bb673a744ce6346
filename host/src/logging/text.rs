//! Fields in the text format: as tracing-subscriber writes them, but a line stays one line and no terminal obeys what a peer,
//! a plugin or a file wrote into it. JSON has its own escapes.

use std::error::Error;
use std::fmt::{self, Debug};

use plugin_record::Printable;
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use super::value::FieldValue;

/// The host's own field that stands without its name.
const MESSAGE: &str = "message";

pub(super) struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Visitor {
            writer,
            separator: "",
            result: Ok(()),
        };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct Visitor<'writer> {
    writer: Writer<'writer>,
    separator: &'static str,
    result: fmt::Result,
}

impl Visitor<'_> {
    /// Writes a value, after its name where it has one.
    fn add(&mut self, name: Option<&str>, value: &dyn Debug) {
        if self.result.is_ok() {
            self.result = self.field(name.map(Printable), value);
        }
    }

    fn field(&mut self, name: Option<Printable<&str>>, value: &dyn Debug) -> fmt::Result {
        self.writer.write_str(self.separator)?;
        self.separator = " ";
        let value = Printable(value);
        match (name, self.writer.has_ansi_escapes()) {
            (None, _) => write!(self.writer, "{value:?}"),
            // In italics, then dimmed.
            (Some(name), true) => write!(self.writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{value:?}"),
            (Some(name), false) => write!(self.writer, "{name}={value:?}"),
        }
    }
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            MESSAGE => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        match value.downcast_ref::<FieldValue>() {
            Some(FieldValue::Fields(fields)) => fields
                .iter()
                .for_each(|(name, value)| self.add(Some(name), &format_args!("{value}"))),
            _ => self.record_debug(field, &format_args!("{value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // A plugin's field of that name is none of these: it may be a number.
        self.add(Some(field.name()).filter(|name| *name != MESSAGE), value);
    }
}
