//! Follows what a host does while its plugins change: its status is where it says so.

use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::host::{Host, PATIENCE, show};

/// Reads a host's events onwards: each is found once, and none is missed.
pub struct Follower<'a> {
    host: &'a Host,
    seen: u64,
}

impl<'a> Follower<'a> {
    /// From here on.
    #[track_caller]
    pub fn new(host: &'a Host) -> Follower<'a> {
        let seen = last_number(&host.status());
        Follower { host, seen }
    }

    /// The next event of this kind that is as asked for. Those before it are passed over.
    #[track_caller]
    pub fn next_where(&mut self, kind: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let from = self.seen;
        let event = self.host.wait_for_status(kind, |status| {
            let events = status["events"].as_array().unwrap();
            let first = events.first().map_or(0, number);
            assert!(first <= from + 1, "events from {} to {first} are forgotten", from + 1);
            let mut later = events
                .iter()
                .filter(|event| number(event) > from && event["kind"] == kind);
            later.find(|event| is_it(event)).cloned()
        });
        self.seen = number(&event);
        event
    }

    /// The next event of this kind about this version.
    #[track_caller]
    pub fn next(&mut self, kind: &str, version: &str) -> Value {
        self.next_where(kind, |event| event["version"] == version)
    }
}

fn number(event: &Value) -> u64 {
    event["number"].as_u64().unwrap()
}

fn last_number(status: &Value) -> u64 {
    let events = status["events"].as_array().unwrap();
    events.last().map_or(0, number)
}

/// Waits until the host has looked at everything, and has nothing left to wait for but as many files as are still being
/// written. Twice: what it changes itself (a link that it moves) is a change to look at.
#[track_caller]
pub fn quiet(host: &Host, being_written: usize) {
    let mut events = Follower::new(host);
    let deadline = Instant::now() + PATIENCE;
    let mut calm = 0;
    while calm < 2 {
        host.signal(Signal::HUP);
        let unsettled = events.next_where("configuration-reread", |_| true)["unsettled"].as_u64();
        let is_calm = unsettled.is_some_and(|unsettled| unsettled <= being_written as u64);
        calm = if is_calm { calm + 1 } else { 0 };
        assert!(
            calm > 0 || Instant::now() < deadline,
            "it does not settle ({unsettled:?}):\n{}",
            told(&host.log())
        );
    }
}

/// A log as text, without the answers to [`quiet`].
pub fn told(log: &[Value]) -> String {
    let lines = log.iter().filter(|line| line["message"] != "configuration reread");
    show(&lines.cloned().collect::<Vec<_>>())
}
