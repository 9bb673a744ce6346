//! Values that are written for people: sizes, durations, commands, compatibility lines.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use plugin_record::Line;
use serde::de::{Deserialize, Deserializer, Error};

use super::PluginTable;

/// Longer ones are a mistake, and would overflow the clock.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The smallest frame is an ack of 14 bytes; the largest is bounded so that one connection stays bounded.
const FRAME_SIZES: std::ops::RangeInclusive<usize> = 14..=64 * 1024 * 1024;

/// From one ack to what a machine may well have for one connection.
const UNSENT_SIZES: std::ops::RangeInclusive<usize> = 14..=1024 * 1024 * 1024;

/// More would only be in each other's way.
const MOST_THREADS: usize = 1024;

fn size<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let size = bytesize::ByteSize::deserialize(from)?;
    usize::try_from(size.as_u64()).map_err(D::Error::custom)
}

pub(super) fn frame_size<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let size = size(from)?;
    if FRAME_SIZES.contains(&size) {
        return Ok(size);
    }
    Err(D::Error::custom(format!(
        "a frame of {size} bytes is out of range: 14 bytes to 64 MiB"
    )))
}

pub(super) fn unsent_size<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let size = size(from)?;
    if UNSENT_SIZES.contains(&size) {
        return Ok(size);
    }
    Err(D::Error::custom(format!(
        "{size} bytes are out of range: 14 bytes to 1 GiB"
    )))
}

pub(super) fn some_threads<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    match usize::deserialize(from)? {
        threads @ 1..=MOST_THREADS => Ok(Some(threads)),
        threads => Err(D::Error::custom(format!(
            "{threads} threads are out of range: 1 to {MOST_THREADS}"
        ))),
    }
}

pub(super) fn address<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(|_| {
        D::Error::custom(format!(
            "{text:?} is not an IP address with a port such as \"127.0.0.1:8888\" or \"[::1]:8888\""
        ))
    })
}

pub(super) fn plugins<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, PluginTable>, D::Error> {
    let tables = BTreeMap::<String, PluginTable>::deserialize(from)?;
    match tables.keys().find(|name| !is_package_name(name)) {
        Some(name) => Err(D::Error::custom(format!(
            "{name:?} is no plugin's name: letters, digits, - and _ make one"
        ))),
        None => Ok(tables),
    }
}

/// Whether a package, and so a plugin, can have this name.
pub fn is_package_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

pub(super) fn at_least_one<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    match usize::deserialize(from)? {
        0 => Err(D::Error::custom("0 is out of range: at least 1")),
        count => Ok(count),
    }
}

pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    match humantime::parse_duration(&text) {
        Ok(Duration::ZERO) => Err(D::Error::custom("a duration of 0 is out of range: at least \"1ms\"")),
        Ok(duration) if duration > LONGEST => Err(D::Error::custom(format!(
            "a duration of {text:?} is out of range: at most 365 days"
        ))),
        Ok(duration) => Ok(duration),
        Err(error) => Err(D::Error::custom(format!(
            "{text:?} is not a duration such as \"30s\" or \"5m\": {error}"
        ))),
    }
}

pub(super) fn line<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Line>, D::Error> {
    String::deserialize(from)?.parse().map(Some).map_err(D::Error::custom)
}

pub(super) fn commands<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
    let numbers = Vec::<i64>::deserialize(from)?;
    let mut commands = Vec::with_capacity(numbers.len());
    for number in numbers {
        let command = u8::try_from(number)
            .ok()
            .filter(|command| crate::wire::is_submit(*command));
        match command {
            None => {
                return Err(D::Error::custom(format!(
                    "command {number:#x} is out of range: 0x02 to 0x7f"
                )));
            }
            Some(command) if commands.contains(&command) => {
                return Err(D::Error::custom(format!("command {command:#04x} is listed twice")));
            }
            Some(command) => commands.push(command),
        }
    }
    if commands.is_empty() {
        return Err(D::Error::custom(
            "no command is listed; to keep a plugin out, write `enabled = false`",
        ));
    }
    Ok(Some(commands))
}

/// A TOML value as JSON. Dates become text; numbers that JSON has not don't get here, see `finite.rs`.
pub(super) fn json(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(values) => values.iter().map(json).collect(),
        toml::Value::Table(table) => {
            serde_json::Value::Object(table.iter().map(|(key, value)| (key.clone(), json(value))).collect())
        }
    }
}
