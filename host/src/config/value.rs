//! Decides what the value of a key may be: sizes, durations, commands, compatibility lines. The host's own keys are no
//! secrets, so a wrong value is shown; a value of another type than expected may be meant for another key, and only its type
//! is shown.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use plugin_record::{Line, is_package_name};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::Spanned;
use toml::de::{DeString, DeValue};

use super::AdminSocket;
use super::error::{Fault, clipped};
use super::listen::{Listen, unix_path};

/// A value and where it stands.
type Written<'i> = Spanned<DeValue<'i>>;

/// A value as the host has it, or everything that is wrong with it.
type Read<T> = Result<T, Vec<Fault>>;

/// Longer ones are a mistake, and would overflow the clock.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The smallest frame is an ack of 14 bytes; the largest is bounded so that one connection stays bounded.
const FRAME_SIZES: std::ops::RangeInclusive<usize> = 14..=64 * 1024 * 1024;

/// From one ack to what a machine may well have for one connection.
const UNSENT_SIZES: std::ops::RangeInclusive<usize> = 14..=1024 * 1024 * 1024;

/// More would only be in each other's way.
const MOST_THREADS: i64 = 1024;

/// A value of another type than the key has.
pub(super) fn expected(what: &str, found: &Written<'_>) -> Vec<Fault> {
    let found_type = match found.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    wrong(found, format!("expected {what}, found {found_type}"))
}

fn wrong(value: &Written<'_>, reason: String) -> Vec<Fault> {
    vec![Fault::new(value.span().start, reason)]
}

fn text<'v>(value: &'v Written<'_>, what: &str) -> Read<&'v str> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text),
        _ => Err(expected(what, value)),
    }
}

pub(super) fn integer(value: &Written<'_>, what: &str) -> Read<i64> {
    match value.get_ref() {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_err(|_| wrong(value, "is out of range: integers have 64 bits".to_owned())),
        _ => Err(expected(what, value)),
    }
}

pub(super) fn truth(value: &Written<'_>) -> Read<bool> {
    value
        .get_ref()
        .as_bool()
        .ok_or_else(|| expected("true or false", value))
}

pub(super) fn path(value: &Written<'_>) -> Read<PathBuf> {
    text(value, "a string, a path").map(PathBuf::from)
}

/// The path of the control socket; an empty one for none.
pub(super) fn admin_socket(value: &Written<'_>) -> Read<AdminSocket> {
    Ok(match text(value, "a string, a path")? {
        "" => AdminSocket::None,
        path => AdminSocket::At(PathBuf::from(path)),
    })
}

fn size(value: &Written<'_>) -> Read<usize> {
    let size = match value.get_ref() {
        DeValue::Integer(_) => {
            u64::try_from(integer(value, "a size")?).map_err(|_| "a size is not negative".to_owned())
        }
        _ => {
            let text = text(value, "a size such as \"64KiB\" or a number of bytes")?;
            text.parse::<bytesize::ByteSize>()
                .map(|size| size.as_u64())
                .map_err(|_| format!("{} is not a size such as \"64KiB\"", shown(text)))
        }
    };
    size.and_then(|size| usize::try_from(size).map_err(|error| error.to_string()))
        .map_err(|reason| wrong(value, reason))
}

pub(super) fn frame_size(value: &Written<'_>) -> Read<usize> {
    let size = size(value)?;
    let what = format!("a frame of {size} bytes is out of range: 14 bytes to 64 MiB");
    FRAME_SIZES
        .contains(&size)
        .then_some(size)
        .ok_or_else(|| wrong(value, what))
}

pub(super) fn unsent_size(value: &Written<'_>) -> Read<usize> {
    let size = size(value)?;
    let what = format!("{size} bytes are out of range: 14 bytes to 1 GiB");
    UNSENT_SIZES
        .contains(&size)
        .then_some(size)
        .ok_or_else(|| wrong(value, what))
}

pub(super) fn threads(value: &Written<'_>) -> Read<usize> {
    match integer(value, "a number of threads")? {
        threads @ 1..=MOST_THREADS => Ok(threads as usize),
        threads => Err(wrong(
            value,
            format!("{threads} threads are out of range: 1 to {MOST_THREADS}"),
        )),
    }
}

pub(super) fn at_least_one(value: &Written<'_>) -> Read<usize> {
    let count = integer(value, "an integer")?;
    let positive = usize::try_from(count).ok().filter(|count| *count > 0);
    positive.ok_or_else(|| wrong(value, format!("{count} is out of range: at least 1")))
}

pub(super) fn listen(value: &Written<'_>) -> Read<Listen> {
    let text = text(value, "a string such as \"127.0.0.1:8888\"")?;
    match unix_path(text) {
        None => text.parse().map(Listen::Tcp).map_err(|_| {
            let reason = format!(
                "{} is neither an IP address with a port, such as \"127.0.0.1:8888\" or \"[::1]:8888\", nor a Unix socket, such \
                 as \"unix:/run/host/host.sock\"",
                shown(text)
            );
            wrong(value, reason)
        }),
        Some(path) if path.is_empty() || path.contains('\0') => {
            let reason = format!(
                "{} has no path of a Unix socket, such as \"unix:/run/host/host.sock\"",
                shown(text)
            );
            Err(wrong(value, reason))
        }
        Some(path) => Ok(Listen::Unix(PathBuf::from(path))),
    }
}

pub(super) fn duration(value: &Written<'_>) -> Read<Duration> {
    let text = text(value, "a string such as \"30s\" or \"5m\"")?;
    let shown = shown(text);
    let reason = match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => "a duration of 0 is out of range: at least \"1ms\"".to_owned(),
        Ok(duration) if duration > LONGEST => format!("a duration of {shown} is out of range: at most 365 days"),
        Ok(duration) => return Ok(duration),
        Err(error) => format!("{shown} is not a duration such as \"30s\" or \"5m\": {error}"),
    };
    Err(wrong(value, reason))
}

pub(super) fn line(value: &Written<'_>) -> Read<Line> {
    let text = text(value, "a string such as \"1\" or \"0.3\"")?;
    text.parse::<Line>()
        .map_err(|error| wrong(value, clipped(&error.to_string())))
}

/// One word of several. Which ones, its type says.
pub(super) fn word<'v, T: Deserialize<'v>>(value: &'v Written<'_>) -> Read<T> {
    let text = text(value, "a string")?;
    let read: Result<T, NotAWord> = T::deserialize(text.into_deserializer());
    read.map_err(|error| wrong(value, clipped(&error.to_string())))
}

/// What serde says of a word, in the words of this file's other errors.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotAWord(String);

impl serde::de::Error for NotAWord {
    fn custom<T: Display>(message: T) -> NotAWord {
        NotAWord(message.to_string())
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> NotAWord {
        let expected: Vec<String> = expected.iter().map(|word| format!("{word:?}")).collect();
        NotAWord(format!("{} is not {}", shown(variant), expected.join(" or ")))
    }
}

pub(super) fn commands(value: &Written<'_>) -> Read<Vec<u8>> {
    let what = "an array of commands such as [0x02]";
    let DeValue::Array(numbers) = value.get_ref() else {
        return Err(expected(what, value));
    };
    let mut commands = Vec::with_capacity(numbers.len().min(128));
    let mut faults = Vec::new();
    for number in numbers {
        match command(number) {
            Err(found) => faults.extend(found),
            Ok(command) if commands.contains(&command) => {
                faults.extend(wrong(number, format!("command {command:#04x} is listed twice")));
            }
            Ok(command) => commands.push(command),
        }
    }
    if numbers.is_empty() {
        faults.extend(wrong(
            value,
            "no command is listed; to keep a plugin out, write `enabled = false`".to_owned(),
        ));
    }
    match faults.is_empty() {
        true => Ok(commands),
        false => Err(faults),
    }
}

fn command(value: &Written<'_>) -> Read<u8> {
    let number = integer(value, "a command such as 0x02")?;
    let command = u8::try_from(number).ok();
    command.filter(|command| wire::is_submit(*command)).ok_or_else(|| {
        let shown = match number {
            0.. => format!("{number:#04x}"),
            _ => number.to_string(),
        };
        wrong(value, format!("command {shown} is out of range: 0x02 to 0x7f"))
    })
}

/// Whether the name of a plugin's table can be one.
pub(super) fn plugin_name(name: &Spanned<DeString<'_>>) -> Read<()> {
    match is_package_name(name.get_ref()) {
        true => Ok(()),
        false => Err(vec![Fault::new(
            name.span().start,
            format!(
                "{} is no plugin's name: letters, digits, - and _ make one",
                shown(name.get_ref())
            ),
        )]),
    }
}

fn shown(text: &str) -> String {
    format!("{:?}", clipped(text))
}
