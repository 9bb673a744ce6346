//! What a running host says of itself on its control socket, asked by bytes: any HTTP client could.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::host::{Host, PATIENCE, Site, show};

/// The path of the status.
pub const STATUS: &str = "/api/status";
/// Between two looks at a host that has no socket yet: nothing tells of it.
const PAUSE: Duration = Duration::from_millis(2);

/// An answer, as far as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// From all that came; nothing where that is no answer.
    pub fn parse(bytes: &[u8]) -> Option<Answer> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
        let code = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let body = bytes[end + 4..].to_vec();
        Some(Answer { code, head, body })
    }

    /// Its JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.head, String::from_utf8_lossy(&self.body)))
    }
}

/// One request and its answer. An error where nobody listens, or the answer is cut off.
pub fn request(socket: &Path, method: &str, path: &str) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Answer::parse(&bytes).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// The status of the host at this socket, later than a revision where one is given; nothing where none answers.
pub fn status(socket: &Path, after: Option<u64>) -> Option<Value> {
    let path = match after {
        Some(revision) => format!("{STATUS}?after={revision}"),
        None => STATUS.to_owned(),
    };
    let answer = request(socket, "GET", &path).ok()?;
    assert_eq!(answer.code, 200, "{answer:?}");
    Some(answer.json())
}

/// The control sockets in a runtime directory.
pub fn sockets(runtime_directory: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let is_control = |path: &PathBuf| path.to_str().unwrap().contains("/host-control-");
    let folders = entries(runtime_directory).into_iter().filter(is_control);
    let files = folders.flat_map(|folder| entries(&folder));
    files
        .filter(|file| file.extension().is_some_and(|ending| ending == "sock"))
        .collect()
}

impl Site {
    /// The runtime directory of this site's hosts.
    pub fn runtime_directory(&self) -> PathBuf {
        self.path().join("run")
    }
}

impl Host {
    /// What it is about.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.wait_for_status("a status", |status| Some(status.clone()))
    }

    /// Waits until its status gives something.
    #[track_caller]
    pub fn wait_for_status<T>(&self, what: &str, mut find: impl FnMut(&Value) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut last = Value::Null;
        loop {
            if let Some(status) = self.later_status(last["revision"].as_u64()) {
                if let Some(found) = find(&status) {
                    return found;
                }
                last = status;
            } else {
                assert!(!self.has_ended(), "{what}: it has ended\n{}", show(&self.log()));
                std::thread::sleep(PAUSE);
            }
            assert!(Instant::now() < deadline, "no {what}: {last:#}\n{}", show(&self.log()));
        }
    }

    /// Waits for an event of this kind that is as asked for; gives the first.
    #[track_caller]
    pub fn wait_for_event(&self, kind: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.wait_for_status(&format!("event {kind}"), |status| {
            let events = status["events"].as_array()?.iter();
            events
                .filter(|event| event["kind"] == kind)
                .find(|event| is_it(event))
                .cloned()
        })
    }

    /// Waits for an event of this kind.
    #[track_caller]
    pub fn wait_for_change(&self, kind: &str) -> Value {
        self.wait_for_nth_change(kind, 1)
    }

    /// Waits until there are so many events of this kind; gives the last of them.
    #[track_caller]
    pub fn wait_for_nth_change(&self, kind: &str, count: usize) -> Value {
        self.wait_for_status(&format!("{kind}, {count} times"), |status| {
            of_kind(status, kind).into_iter().nth(count - 1)
        })
    }

    /// Waits for an event of this kind with this value of a field: of a plugin, a version, a code.
    #[track_caller]
    pub fn wait_for_change_where(&self, kind: &str, key: &str, value: &str) -> Value {
        self.wait_for_status(&format!("{kind} with {key} {value}"), |status| {
            of_kind(status, kind).into_iter().find(|event| event[key] == value)
        })
    }

    /// The events of this kind that its status has.
    #[track_caller]
    pub fn changes(&self, kind: &str) -> Vec<Value> {
        of_kind(&self.status(), kind)
    }

    fn later_status(&self, after: Option<u64>) -> Option<Value> {
        let known = self.control_socket.lock().unwrap().clone();
        if let Some(socket) = known {
            return status(&socket, after);
        }
        // Its runtime directory may have several hosts.
        let mut found = sockets(&self.runtime_directory).into_iter();
        found.find_map(|socket| {
            let status = status(&socket, None).filter(|status| status["host"]["pid"] == self.pid())?;
            *self.control_socket.lock().unwrap() = Some(socket);
            Some(status)
        })
    }
}

/// The events of a kind, each with the parts of its reason among its fields, as a line of the log has them.
fn of_kind(status: &Value, kind: &str) -> Vec<Value> {
    let events = status["events"].as_array().unwrap().iter();
    let mut events: Vec<Value> = events.filter(|event| event["kind"] == kind).cloned().collect();
    for event in &mut events {
        for (part, renamed) in [
            ("refusal", [("plugin", "found")].as_slice()),
            ("difference", &[("plugin", "found")]),
            ("note", &[("plugin", "found"), ("text", "meaning")]),
            ("unavailable", &[]),
            ("idle", &[("text", "reason")]),
            ("took", &[]),
        ] {
            let Some(fields) = event[part].as_object().cloned() else {
                continue;
            };
            for (key, value) in fields {
                let renamed = renamed.iter().find(|(from, _)| *from == key);
                let key = renamed.map_or(key.clone(), |(_, to)| (*to).to_owned());
                let is_other = part == "idle" && key == "reason" && renamed.is_none();
                if event[&key].is_null() && !is_other {
                    event[key] = value;
                }
            }
        }
    }
    events
}
