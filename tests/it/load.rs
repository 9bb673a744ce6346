//! Under load nothing is lost, doubled or exchanged: every Submit has its one ack, in order, and is counted once.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::Shutdown;
use std::sync::mpsc;
use std::thread;

use rustix::process::Signal;
use serde_json::Value;
use tests::cargo::sample;
use tests::client::{Ack, Client, frame};
use tests::host::{Host, Site, show};

const CONNECTIONS: u64 = 8;
const SUBMITS: u64 = 100_000 / CONNECTIONS;
const WINDOW: u64 = 64;

#[test]
fn every_one_of_100_000_submits_is_acked_once_and_rightly() {
    let site = site();
    let host = start(&site);
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let client = host.connect();
            scope.spawn(move || run_window(client, connection));
        }
    });
    let log = host.stop();

    let mut expected = BTreeMap::from([("submit-echo", 0), ("submit-log", 0)]);
    for request in
        (0..CONNECTIONS).flat_map(|connection| (0..SUBMITS).map(move |number| Request { connection, number }))
    {
        match request.command() {
            0x02 => *expected.get_mut("submit-echo").unwrap() += 1,
            0x03 => *expected.get_mut("submit-log").unwrap() += 1,
            _ => {}
        }
    }
    for (plugin, submits) in expected {
        assert_eq!(last_total(&log, plugin), Some(submits), "{plugin}:\n{}", show(&log));
    }
}

#[test]
fn the_last_totals_count_every_submit_that_was_answered_before_the_end() {
    let site = site();
    let host = start(&site);
    let (warming, warm) = mpsc::channel();
    let done: u64 = thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|connection| {
                let (client, warming) = (host.connect(), warming.clone());
                scope.spawn(move || run_until_closed(client, connection, &warming))
            })
            .collect();
        // In the midst of it: each client says when it has its first thousand acks.
        (0..4).for_each(|_| warm.recv().unwrap());
        host.signal(Signal::TERM);
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    let (status, log) = host.wait();
    assert!(status.success(), "{status}:\n{}", show(&log));
    assert_eq!(last_total(&log, "submit-echo"), Some(done), "{}", show(&log));
}

/// Sends all Submits of a connection, never more than the window ahead of their acks, and checks each ack.
fn run_window(mut client: Client, connection: u64) {
    let mut sent = 0;
    for acked in 0..SUBMITS {
        let mut bytes = Vec::new();
        while sent < SUBMITS && sent < acked + WINDOW {
            bytes.extend(
                Request {
                    connection,
                    number: sent,
                }
                .frame(),
            );
            sent += 1;
        }
        client.send(&bytes);
        // In order: the next ack can only be that of the next request.
        let request = Request {
            connection,
            number: acked,
        };
        assert_eq!(client.ack(), request.ack(), "connection {connection}, Submit {acked}");
    }
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(
        client.rest().unwrap(),
        b"",
        "connection {connection}: more than its acks"
    );
}

/// Sends Submits for submit-echo until the host has closed the connection; gives how many it answered with success.
fn run_until_closed(mut client: Client, connection: u64, warming: &mpsc::Sender<()>) -> u64 {
    let mut writer = client.stream.try_clone().unwrap();
    let id = move |number: u64| (connection << 32 | number).to_be_bytes();
    let writing = thread::spawn(move || {
        let mut frames = (0..).map(|number| frame(0x02, &id(number), b"hello"));
        while writer
            .write_all(&frames.by_ref().take(32).flatten().collect::<Vec<u8>>())
            .is_ok()
        {}
    });
    let (mut acks, mut done) = (0, 0);
    while let Some(ack) = client.try_ack() {
        assert_eq!(ack.id, id(acks), "connection {connection}");
        acks += 1;
        if acks == 1000 {
            warming.send(()).unwrap();
        }
        match ack.result {
            0 => done += 1,
            result => assert_eq!(result, 0xF5, "connection {connection}"),
        }
        // Once the host turns Submits away it takes no more.
        assert!(ack.result != 0 || done == acks, "connection {connection}");
    }
    // The writer may be waiting for room, or have been told already.
    let _ = client.stream.shutdown(Shutdown::Both);
    writing.join().unwrap();
    done
}

/// A Submit of the load: everything about it follows from its place.
#[derive(Clone, Copy)]
struct Request {
    connection: u64,
    number: u64,
}

impl Request {
    fn id(self) -> [u8; 8] {
        (self.connection << 32 | self.number).to_be_bytes()
    }

    /// Any bits, the same each time.
    fn noise(self) -> u64 {
        let mixed = u64::from_be_bytes(self.id()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 20
    }

    /// Neighbours for one plugin and changes between them, as they come.
    fn command(self) -> u8 {
        [0x02, 0x02, 0x03, 0x02, 0x7E][(self.noise() % 5) as usize]
    }

    fn payload(self) -> Vec<u8> {
        let length = (self.noise() >> 8) % 200;
        (0..length).map(|at| (self.noise() >> (at % 32)) as u8).collect()
    }

    fn frame(self) -> Vec<u8> {
        frame(self.command(), &self.id(), &self.payload())
    }

    fn ack(self) -> Ack {
        let (result, body) = match self.command() {
            0x02 => (0, self.payload()),
            0x03 => (0, Vec::new()),
            _ => (0xF0, Vec::new()),
        };
        Ack {
            command: self.command() + 0x7F,
            id: self.id(),
            result,
            body,
        }
    }
}

/// The total in the last line that the log has of a plugin's Submits.
fn last_total(log: &[Value], plugin: &str) -> Option<u64> {
    let line = log
        .iter()
        .rfind(|line| line["message"] == "submits" && line["plugin"] == plugin)?;
    line["total"].as_u64()
}

fn site() -> Site {
    let reply = "[plugin.submit-echo.config]\nreply = true\n";
    Site::with(reply, &[&sample("submit-echo"), &sample("submit-log")])
}

/// With a log that leaves out what submit-log writes: it is what the plugin is for, but not what is looked at here.
fn start(site: &Site) -> Host {
    let host = site.spawn(&[("RUST_LOG", "info,plugin.submit-log=warn")]);
    host.wait_for("listening");
    host
}

#[test]
fn totals_are_logged_while_it_runs() {
    let site = Site::with("", &[&sample("submit-echo")]);
    let host = site.start();
    let mut client = host.connect();
    (0..25).for_each(|_| assert_eq!(client.submit(0x02, b"").result, 0));
    let totals = host.wait_for("submits");
    assert_eq!(
        (&totals["plugin"], &totals["total"]),
        (&"submit-echo".into(), &25.into())
    );
    let rate: f64 = totals["rate"].as_f64().unwrap();
    assert!(rate > 0.0 && rate <= 25.0, "{totals}");
}
