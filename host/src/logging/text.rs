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
    fn add(&mut self, name: &str, value: &dyn Debug) {
        if self.result.is_ok() {
            self.result = self.field(name, value);
        }
    }

    fn field(&mut self, name: &str, value: &dyn Debug) -> fmt::Result {
        self.writer.write_str(self.separator)?;
        self.separator = " ";
        let (name, value) = (Printable(name), Printable(value));
        match (name.0, self.writer.has_ansi_escapes()) {
            ("message", _) => write!(self.writer, "{value:?}"),
            // In italics, then dimmed.
            (_, true) => write!(self.writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{value:?}"),
            (_, false) => write!(self.writer, "{name}={value:?}"),
        }
    }
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        match value.downcast_ref::<FieldValue>() {
            Some(FieldValue::Fields(fields)) => fields
                .iter()
                .for_each(|(name, value)| self.add(name, &format_args!("{value}"))),
            _ => self.record_debug(field, &format_args!("{value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field.name(), value);
    }
}
