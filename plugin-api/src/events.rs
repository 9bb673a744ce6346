//! Carries what this library logs, by the `tracing` crate or by the `log` crate, to the host's log. The library has its own
//! copy of both crates' statics, so without this it would go nowhere. Spans are not carried: an event says what it has to
//! by itself. Neither are the key-value pairs of `log`.
//!
//! Nothing goes round in circles: what arrives here goes to the host, whose own log is in another copy of these crates.
//! `tracing` writes to `log` only where it has no subscriber (its feature `log`), and here it has one; who asks it for both
//! (`log-always`) gets both.

use std::error::Error;
use std::fmt::{self, Write};
use std::sync::OnceLock;

use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::{Interest, Subscriber};
use tracing_core::{Dispatch, Event, Level, LevelFilter, Metadata};

use crate::abi::{ABOUT_MODULE, Lent, Log, LogEvent, LogField, Many, Scalar};

/// Makes the host's log the default of all threads of this library, for both crates. What an author has set first stays.
pub(crate) fn install(log: Lent<'static, Log>) {
    let _ = tracing_core::dispatcher::set_global_default(Dispatch::new(Forward { log }));
    static FORWARD: OnceLock<Forward> = OnceLock::new();
    if log::set_logger(FORWARD.get_or_init(|| Forward { log })).is_ok() {
        log::set_max_level(match log.max_level {
            0 => log::LevelFilter::Off,
            1 => log::LevelFilter::Error,
            2 => log::LevelFilter::Warn,
            3 => log::LevelFilter::Info,
            4 => log::LevelFilter::Debug,
            _ => log::LevelFilter::Trace,
        });
    }
}

struct Forward {
    log: Lent<'static, Log>,
}

impl Forward {
    fn send(&self, level: usize, module: &str, message: &str, fields: &[LogField<'_>]) {
        self.log.log(&LogEvent {
            fields: Many::new(fields),
            about: Many::new(&[LogField::new(ABOUT_MODULE, Scalar::Text(module))]),
            ..LogEvent::new(level, message)
        });
    }
}

/// Levels as they cross: 1 is error, 5 is trace.
pub(crate) const ERROR: usize = 1;

fn level_number(level: &Level) -> usize {
    match *level {
        Level::ERROR => ERROR,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

impl Subscriber for Forward {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // The host's filter does not change while it runs, so each place in the code is asked about once.
        if Subscriber::enabled(self, metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && level_number(metadata.level()) <= self.log.max_level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.log.max_level {
            0 => LevelFilter::OFF,
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }

    fn event(&self, event: &Event<'_>) {
        let mut read = Read::default();
        event.record(&mut read);
        let fields: Vec<LogField<'_>> = read.fields.iter().map(Owned::lend).collect();
        let metadata = event.metadata();
        self.send(
            level_number(metadata.level()),
            metadata.target(),
            &read.message,
            &fields,
        );
    }

    // Never called for spans that `enabled` turned down; a span made in spite of it needs some ID.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl log::Log for Forward {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() as usize <= self.log.max_level // numbered as ours are
    }

    fn log(&self, record: &log::Record<'_>) {
        if log::Log::enabled(self, record.metadata()) {
            // A value whose Display fails ends the text there.
            let mut message = String::new();
            let _ = write!(message, "{}", record.args());
            self.send(record.level() as usize, record.target(), &message, &[]);
        }
    }

    fn flush(&self) {}
}

/// What an event says, read out of it: `tracing` shows values for the length of a call only.
#[derive(Default)]
struct Read {
    message: String,
    fields: Vec<Owned>,
}

struct Owned {
    name: &'static str,
    value: Value,
}

enum Value {
    Text(String),
    Shown(String),
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

impl Owned {
    fn lend(&self) -> LogField<'_> {
        let value = match &self.value {
            Value::Text(text) => Scalar::Text(text),
            Value::Shown(text) => Scalar::Shown(text),
            Value::Bool(value) => Scalar::Bool(*value),
            Value::Signed(number) => Scalar::Signed(*number),
            Value::Unsigned(number) => Scalar::Unsigned(*number),
            Value::Float(number) => Scalar::Float(*number),
        };
        LogField::new(self.name, value)
    }
}

impl Read {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(text) | Value::Shown(text)) => self.message = text,
            (name, value) => self.fields.push(Owned { name, value }),
        }
    }

    fn add_shown(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // Writing to a String fails only where the value's own code does; what was written till then is kept.
        let mut text = String::new();
        let _ = text.write_fmt(value);
        self.add(field, Value::Shown(text));
    }
}

impl Visit for Read {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add_shown(field, format_args!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.add_shown(field, format_args!("{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::Text(value.to_owned()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Unsigned(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Value::Float(value));
    }
    // Wider whole numbers are shown (`record_debug`): JSON's readers would round them.
}
