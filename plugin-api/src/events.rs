//! Carries this library's `tracing` events to the host's log. The library has its own copy of `tracing`'s statics, so
//! without this they would go nowhere. Spans are not carried: an event says what it has to by itself.

use std::fmt::{self, Write};

use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::{Interest, Subscriber};
use tracing_core::{Dispatch, Event, Level, LevelFilter, Metadata};

use crate::abi::{HostLog, LogEvent};

/// Makes the host's log the default of all threads of this library. An author's own subscriber, if set first, stays.
pub(crate) fn install(log: HostLog) {
    let _ = tracing_core::dispatcher::set_global_default(Dispatch::new(Forward { log }));
}

struct Forward {
    log: HostLog,
}

/// Levels as they cross: 1 is error, 5 is trace.
pub(crate) const ERROR: u8 = 1;

fn level_number(level: &Level) -> u8 {
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
        if self.enabled(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && level_number(metadata.level()) <= self.log.max_level()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.log.max_level() {
            0 => LevelFilter::OFF,
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let metadata = event.metadata();
        self.log.log(&LogEvent {
            level: level_number(metadata.level()),
            message: text.finish().as_str().into(),
        });
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

/// An event as one line: its message, then ` key=value` for each field.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn finish(mut self) -> String {
        if self.message.is_empty() {
            return self.fields.trim_start().to_owned();
        }
        self.message.push_str(&self.fields);
        self.message
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String fails only where the value's own Debug does; what was written till then is kept.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            name => {
                let _ = write!(self.fields, " {name}={value}");
            }
        }
    }
}
