//! From an event to the queue: whose line it is, by the event's target; and how a thread is readied for logging.

use std::cell::Cell;
use std::io;

use tracing::callsite::{Callsite, Identifier};
use tracing::field::FieldSet;
use tracing::metadata::Kind;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::store::Origin;

/// The target of its lines. No plugin has it: theirs begin with `plugin.`.
pub(super) const PRINTED: &str = "output";
/// What the targets of plugins' events begin with.
const OF_PLUGIN: &str = "plugin.";

thread_local! {
    // Has no destructor, see `logging`.
    static IS_WRITER: Cell<bool> = const { Cell::new(false) };
}

/// What this thread logs from now on always has room: it is the one that makes room.
pub(super) fn is_writer() {
    IS_WRITER.set(true);
}

/// Readies the calling thread for logging. `tracing-subscriber` has a buffer for each thread, which it registers with the C
/// library at the thread's first event; while the start-up code of a library hangs, that event would hang as well.
pub(super) fn warm_up() {
    tracing::dispatcher::get_default(|dispatch| {
        dispatch.event(&Event::new(&NOTHING, &NOTHING.fields().value_set(&[])));
    });
}

/// An event that is formatted, whatever the filter says, and written nowhere.
static NOTHING: Metadata<'static> = Metadata::new(
    "nothing",
    "host::logging::nothing",
    Level::ERROR,
    None,
    None,
    None,
    FieldSet::new(&[], Identifier(&Nowhere)),
    Kind::EVENT,
);

struct Nowhere;

impl Callsite for Nowhere {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &NOTHING
    }
}

/// Where tracing-subscriber puts its lines.
pub(super) struct ToQueue;

impl MakeWriter<'_> for ToQueue {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line(Some(Origin::Host))
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Line {
        let target = metadata.target();
        Line((target != NOTHING.target()).then(|| origin(target)))
    }
}

/// Whose line one with this target is, from this thread.
pub(super) fn origin(target: &str) -> Origin {
    match target {
        _ if IS_WRITER.get() => Origin::Writer,
        target if target.starts_with(OF_PLUGIN) || target == PRINTED => Origin::Plugin,
        _ => Origin::Host,
    }
}

pub(super) struct Line(Option<Origin>);

impl io::Write for Line {
    // Called once for each event, with the whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(origin) = self.0 {
            super::push(origin, line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
