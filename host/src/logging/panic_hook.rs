//! Panics of the host's own code go into the log like anything else. The standard library's hook writes to standard error
//! itself, and would wait for its reader.
//!
//! A hook must not panic, or the process ends, and a thread may panic because it can't log any more (its thread-locals are
//! gone). So the hook only notes what happened, and the thread that writes the log makes a line of it.

use std::any::Any;
use std::cell::Cell;
use std::panic::PanicHookInfo;
use std::sync::LazyLock;

use tracing::error;

use super::QUEUE;
use super::rate_limit::{LEFT_OUT, RateLimit};
use crate::process::async_runtime;

thread_local! {
    // Has no destructor, see `logging`.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Plugins' threads can cause them, by logging while they end.
static LIMIT: LazyLock<RateLimit> =
    LazyLock::new(|| RateLimit::new(|lines| error!(lines, like = "panicked", "{LEFT_OUT}")));

/// What happened.
#[derive(Debug)]
pub(super) struct Panic {
    thread: String,
    place: String,
    message: String,
}

impl Panic {
    /// Of the calling thread.
    fn new(info: &PanicHookInfo<'_>) -> Panic {
        // The system's name: the library's is among what may be gone.
        let thread = std::fs::read_to_string("/proc/thread-self/comm").unwrap_or_default();
        Panic {
            thread: thread.trim_end().to_owned(),
            place: info.location().map_or_else(String::new, ToString::to_string),
            message: message(info.payload()).to_owned(),
        }
    }

    /// Writes its line.
    pub(super) fn log(&self) {
        let Panic { thread, place, message } = self;
        error!(thread, place, "panicked: {message}");
    }
}

/// Makes it the process's hook.
pub(super) fn install() {
    LazyLock::force(&LIMIT);
    std::panic::set_hook(Box::new(|info| {
        if INSIDE.replace(true) {
            return;
        }
        if LIMIT.admits()
            && let Err(untold) = QUEUE.push_panic(Panic::new(info))
        {
            super::fatal(&format_args!("panicked at {}: {}", untold.place, untold.message));
        }
        INSIDE.set(false);
        async_runtime::end_if_broken();
    }));
}

fn message(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "a value that is not text",
    }
}
