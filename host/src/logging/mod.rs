//! The log: standard error, as text for people or JSON for machines, filtered by RUST_LOG. No thread waits for its
//! reader, as a reader may stop for good (a paused container's driver, Ctrl-S on a terminal): lines go into a queue
//! (`queue`) that is bounded (`store`), and one thread writes them (`writer`). What repeats at a peer's or a plugin's will is
//! limited (`rate_limit`).
//!
//! The way into the queue must not register anything with the C library for its thread (thread-locals with destructors,
//! channels): for that, glibc takes a lock that a library's start-up code which hangs holds for good.

mod abort;
mod capture;
mod cut;
mod filter;
mod json;
mod line;
mod panic_hook;
mod queue;
mod rate_limit;
mod repeats;
mod store;
mod text;
mod value;
mod writer;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;

use tracing::{Level, warn};

use crate::process::exit;
pub(crate) use cut::{LONGEST, cut, cut_at};
use queue::Queue;
pub(crate) use rate_limit::{Counted, register};
pub use rate_limit::{LEFT_OUT, RateLimit};
pub(crate) use repeats::{Repeated, Repeats};
use store::Origin;
pub use value::FieldValue;

/// How long the end of the process waits for the log to be written, while it makes no progress: its reader may have stopped.
const AT_THE_END: Duration = Duration::from_millis(300);

static QUEUE: Queue = Queue::new();
static FORMAT: OnceLock<Format> = OnceLock::new();

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log; `info` and above unless RUST_LOG says otherwise. Once per process. Panics are logged from here on, and in the
/// JSON format what this process prints to standard error; what it prints to standard output too, unless that is where
/// `results` go.
pub fn start(format: Format, results: bool) {
    let format = *FORMAT.get_or_init(|| format);
    let (filter, wrong) = filter::from_environment();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(line::ToQueue)
        // By default it tells on the same standard error what it can't write, and panics when that fails as well.
        .log_internal_errors(false);
    match format {
        Format::Text => log.fmt_fields(text::Fields).with_ansi(colour()).init(),
        Format::Json => log.event_format(json::Lines).init(),
    }
    panic_hook::install();
    exit::set_hooks(exit::Hooks {
        thread_started: line::warm_up,
        ending: || flush(AT_THE_END),
    });
    let own = capture::own_stderr();
    let has_own = own.as_ref().map(|_| ()).map_err(|error| io::Error::from(*error));
    // Without a thread for it lines are written where they are logged; such a host won't get far.
    let has_writer = exit::critical("log", || writer::run(&QUEUE, own.ok())).map(|_| QUEUE.open());
    if format == Format::Json {
        // Not without a standard error that is the writer's alone: the usual one becomes a pipe that ends here.
        match has_writer.and(has_own).and_then(|()| capture::capture(!results)) {
            Ok(()) => abort::install(),
            Err(error) => warn!(%error, "what plugins print can't be made lines of the log, and is printed as it is"),
        }
    }
    wrong.iter().for_each(filter::Wrong::log);
}

/// Waits until everything logged so far is written, and told what was left out of it. Gives up when nothing was written for
/// `timeout`, or after ten times that: a reader that is slow can't keep the process from ending.
pub fn flush(timeout: Duration) {
    capture::drain();
    QUEUE.flush(timeout);
}

/// Says why the process can't go on, in the order of the log and whatever its filter is: as `host: REASON` for people; what a
/// terminal would obey is written out.
pub fn fatal(reason: &dyn Display) {
    let line = match FORMAT.get() {
        Some(Format::Json) => json::line(Level::ERROR, "host", |line| {
            line.add("message", &format_args!("{reason}"))
        }),
        _ => format!("host: {}\n", plugin_record::Printable(reason)),
    };
    push(Origin::Host, line.as_bytes());
}

/// Hands a finished line on.
fn push(origin: Origin, line: &[u8]) {
    if !QUEUE.push(origin, line) {
        let _ = io::stderr().write_all(line); // a failure can't be reported any more
    }
}

/// Colour is for terminals, and not for those who said no: <https://no-color.org>.
fn colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !refused
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};

    use rustix::process::{Resource, Rlimit, setrlimit};

    use super::*;

    const PRINTED: &str = "printed as it is";

    #[test]
    fn without_a_descriptor_nothing_is_captured_and_the_log_says_so() {
        let Some(output) =
            in_a_process_of_its_own("without_a_descriptor_nothing_is_captured_and_the_log_says_so", || {
                limit(Resource::Nofile, 3);
                start(Format::Json, false);
                flush(Duration::from_secs(10));
            })
        else {
            return;
        };
        let stderr = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = stderr.lines().collect();
        let event: serde_json::Value = serde_json::from_str(lines[0]).unwrap_or_default();
        assert_eq!(
            (lines.len(), lines[1], &event["level"]),
            (2, PRINTED, &"WARN".into()),
            "{stderr}"
        );
        let message = event["message"].as_str().unwrap_or_default();
        assert!(
            message.starts_with("what plugins print can't be made lines"),
            "{stderr}"
        );
    }

    #[test]
    fn without_a_thread_for_it_nothing_is_captured() {
        let Some(output) = in_a_process_of_its_own("without_a_thread_for_it_nothing_is_captured", || {
            let pages = std::fs::read_to_string("/proc/self/statm").expect("its size");
            let pages: u64 = pages
                .split(' ')
                .next()
                .and_then(|pages| pages.parse().ok())
                .expect("pages");
            // Room for what there is to allocate, and for no stack.
            limit(Resource::As, pages * rustix::param::page_size() as u64 + (1 << 20));
            let outcome = capture::capture(true);
            assert!(outcome.is_err() && !capture::is_captured(), "{outcome:?}");
            capture::drain();
        }) else {
            return;
        };
        assert_eq!(String::from_utf8_lossy(&output.stderr), format!("{PRINTED}\n"));
    }

    fn limit(resource: Resource, value: u64) {
        let limit = Rlimit {
            current: Some(value),
            maximum: Some(value),
        };
        setrlimit(resource, limit).expect("a lower limit");
    }

    /// This test's program again, with this test alone, which then does `body` and prints a line; `None` in there.
    fn in_a_process_of_its_own(test: &str, body: impl FnOnce()) -> Option<Output> {
        const CHILD: &str = "LOGGING_TEST_CHILD";
        if std::env::var_os(CHILD).is_some() {
            body();
            let _ = writeln!(io::stderr(), "{PRINTED}");
            return None;
        }
        let mut child = Command::new(std::env::current_exe().expect("a program"));
        child.args(["--exact", &format!("logging::tests::{test}"), "--nocapture"]);
        let output = child
            .env(CHILD, "1")
            .env_remove("RUST_LOG")
            .output()
            .expect("a process");
        assert!(output.status.success(), "{output:?}");
        Some(output)
    }
}
