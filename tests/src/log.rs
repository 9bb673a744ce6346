//! A host's JSON log, read as it is written.

use std::io::{BufRead, BufReader};
use std::process::ChildStderr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

/// The lines so far, and whether there will be no more.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) lines: Mutex<(Vec<Value>, bool)>,
    pub(crate) changed: Condvar,
    /// Nobody reads it for now.
    is_left: AtomicBool,
}

impl Log {
    /// Reads to the end, on a thread of its own. What is no JSON becomes a text.
    pub(crate) fn read(stderr: ChildStderr) -> Arc<Log> {
        let stderr = BufReader::new(stderr);
        let log = Arc::new(Log::default());
        let writer = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&line);
                let event = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.into_owned()));
                writer.lines.lock().unwrap().0.push(event);
                writer.changed.notify_all();
                while writer.is_left.load(SeqCst) {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            writer.lines.lock().unwrap().1 = true;
            writer.changed.notify_all();
        });
        log
    }

    /// Leaves it unread, or reads on.
    pub(crate) fn leave(&self, is_left: bool) {
        self.is_left.store(is_left, SeqCst);
    }

    /// The lines so far, and whether there will be no more.
    pub(crate) fn so_far(&self) -> (Vec<Value>, bool) {
        self.lines.lock().unwrap().clone()
    }
}
