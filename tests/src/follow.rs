//! Follows what a host does while its plugins change: its log is where it says so.

use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::host::{Host, PATIENCE, show};

/// Reads a host's log onwards: an event is found once.
pub struct Follower<'a> {
    host: &'a Host,
    seen: usize,
}

impl<'a> Follower<'a> {
    /// From here on.
    pub fn new(host: &'a Host) -> Follower<'a> {
        let seen = host.log().len();
        Follower { host, seen }
    }

    /// The next event of this kind about this version. Those before it are passed over.
    #[track_caller]
    pub fn next(&mut self, message: &str, version: &str) -> Value {
        let from = self.seen;
        let (at, event) = self.host.wait_until(&format!("{message} {version}"), |log| {
            let mut later = log.iter().enumerate().skip(from);
            later
                .find(|(_, event)| event["message"] == message && event["version"] == version)
                .map(|(at, event)| (at, event.clone()))
        });
        self.seen = at + 1;
        event
    }
}

/// Waits until the host has looked at everything, and has nothing left to wait for but as many files as are still being
/// written. Twice: what it changes itself (a link that it moves) is a change to look at.
#[track_caller]
pub fn quiet(host: &Host, being_written: usize) {
    let rereads = |log: &[Value]| {
        let lines = log.iter().filter(|line| line["message"] == REREAD);
        lines.map(|line| line["unsettled"].as_u64()).collect::<Vec<_>>()
    };
    let deadline = Instant::now() + PATIENCE;
    let mut calm = 0;
    while calm < 2 {
        let seen = rereads(&host.log()).len();
        host.signal(Signal::HUP);
        let unsettled = host.wait_until(REREAD, |log| rereads(log).into_iter().nth(seen));
        let is_calm = unsettled.is_some_and(|unsettled| unsettled <= being_written as u64);
        calm = if is_calm { calm + 1 } else { 0 };
        assert!(
            calm > 0 || Instant::now() < deadline,
            "it does not settle ({unsettled:?}):\n{}",
            told(&host.log())
        );
    }
}

const REREAD: &str = "configuration reread";

/// A log as text, without the answers to [`quiet`].
pub fn told(log: &[Value]) -> String {
    let lines = log.iter().filter(|line| line["message"] != REREAD);
    show(&lines.cloned().collect::<Vec<_>>())
}
