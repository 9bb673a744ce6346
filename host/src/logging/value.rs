//! Values of fields that `tracing` has no types for: lists, commands, and a plugin's own fields. They travel as errors, the one
//! kind of value that a visitor can ask for its type; so the JSON format knows a list by its type, and never by a text that
//! looks like one.

use std::error::Error;
use std::fmt::{self, Display};

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A value, shown as JSON has it or as people read it.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Signed(i64),
    /// A whole number from 0.
    Unsigned(u64),
    /// A number; what is none (`NaN`, `inf`, `-inf`) is a text in JSON, which has no such numbers.
    Float(f64),
    /// A text, which people read in quotes.
    Text(String),
    /// A text that a value shows itself by: without quotes.
    Shown(String),
    /// A command of a packet: `0x30` for people, a number in JSON.
    Command(u8),
    /// A list.
    List(Vec<FieldValue>),
    /// A plugin's own fields. For people they stand beside the others; in JSON they are an object of their own, so that none
    /// can pass for one of the host's. Each name is there once.
    Fields(Vec<(String, FieldValue)>),
}

impl FieldValue {
    /// A list of commands.
    pub fn commands(commands: &[u8]) -> FieldValue {
        FieldValue::List(commands.iter().copied().map(FieldValue::Command).collect())
    }

    /// A list of words of the host's own.
    pub fn words<T: AsRef<str>>(words: &[T]) -> FieldValue {
        FieldValue::List(
            words
                .iter()
                .map(|word| FieldValue::Text(word.as_ref().to_owned()))
                .collect(),
        )
    }

    /// As a field of an event.
    pub fn field(&self) -> &(dyn Error + 'static) {
        self
    }
}

impl Error for FieldValue {}

impl Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldValue::Bool(value) => write!(f, "{value}"),
            FieldValue::Signed(number) => write!(f, "{number}"),
            FieldValue::Unsigned(number) => write!(f, "{number}"),
            FieldValue::Float(number) => write!(f, "{number:?}"),
            FieldValue::Text(text) => write!(f, "{text:?}"),
            FieldValue::Shown(text) => f.write_str(text),
            FieldValue::Command(command) => write!(f, "{command:#04x}"),
            FieldValue::List(values) => {
                f.write_str("[")?;
                for (number, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if number == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            FieldValue::Fields(fields) => {
                for (number, (name, value)) in fields.iter().enumerate() {
                    write!(f, "{}{name}={value}", if number == 0 { "" } else { " " })?;
                }
                Ok(())
            }
        }
    }
}

impl Serialize for FieldValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            FieldValue::Bool(value) => serializer.serialize_bool(*value),
            FieldValue::Signed(number) => serializer.serialize_i64(*number),
            FieldValue::Unsigned(number) => serializer.serialize_u64(*number),
            FieldValue::Float(number) if number.is_finite() => serializer.serialize_f64(*number),
            FieldValue::Float(number) => serializer.collect_str(number),
            FieldValue::Text(text) | FieldValue::Shown(text) => serializer.serialize_str(text),
            FieldValue::Command(command) => serializer.serialize_u8(*command),
            FieldValue::List(values) => serializer.collect_seq(values),
            FieldValue::Fields(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_types_in_json_and_read_well() {
        let text = || FieldValue::Text("a \"b\"\n".to_owned());
        let fields = vec![("a.b".to_owned(), FieldValue::Bool(true)), ("c".to_owned(), text())];
        for (value, json, shown) in [
            (FieldValue::commands(&[2, 0x30]), "[2,48]", "[0x02, 0x30]"),
            (FieldValue::List(Vec::new()), "[]", "[]"),
            (FieldValue::Command(7), "7", "0x07"),
            (
                FieldValue::words(&["stdin", "stdout"]),
                r#"["stdin","stdout"]"#,
                r#"["stdin", "stdout"]"#,
            ),
            (FieldValue::Signed(-1), "-1", "-1"),
            (
                FieldValue::Unsigned(u64::MAX),
                "18446744073709551615",
                "18446744073709551615",
            ),
            (FieldValue::Float(1.0), "1.0", "1.0"),
            (FieldValue::Float(f64::NAN), "\"NaN\"", "NaN"),
            (FieldValue::Float(f64::NEG_INFINITY), "\"-inf\"", "-inf"),
            (text(), r#""a \"b\"\n""#, r#""a \"b\"\n""#),
            (FieldValue::Shown("Some(7)".to_owned()), "\"Some(7)\"", "Some(7)"),
            (
                FieldValue::Fields(fields),
                r#"{"a.b":true,"c":"a \"b\"\n"}"#,
                r#"a.b=true c="a \"b\"\n""#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&value).ok().as_deref(), Some(json));
            assert_eq!(value.to_string(), shown);
        }
    }
}
