//! The log is read by others, who may stop, and repeats what others wrote, who may mean no good. Nothing of the host waits
//! for it, nobody forges a line of it, nobody floods it, and what is missing from it is told.

use std::fs;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::cargo::sample;
use tests::client::{Client, frame};
use tests::crates::{PluginCrate, source};
use tests::host::{PATIENCE, Site, happened, show};

const DRAIN: Duration = Duration::from_secs(10);
/// What stands in a pipe before the host writes to it.
const FILLING: &[u8] = b"#\n";
/// Long enough that some hundred lines are more than the host keeps.
const LONG: usize = 16_000;

#[test]
fn a_reader_that_stops_stops_nothing() {
    for is_blocking in [true, false] {
        let (site, address) = site();
        let (reader, writer) = full_pipe(is_blocking);
        let mut host = spawn(&site, writer, "json");
        let mut client = connect(address, &mut host);
        for number in 0..300 {
            assert_eq!(client.submit(0x03, &long(number)).result, 0);
        }
        // Who comes later is served as well, and so is a plugin that does.
        let mut other = Client::connect(&address.to_string());
        assert_eq!(other.submit(0x02, b"").result, 0xF0);
        site.install(&sample("submit-echo"));
        let since = Instant::now();
        while other.submit(0x02, b"").result != 0 {
            assert!(since.elapsed() < PATIENCE, "the newcomer does not serve");
            std::thread::yield_now();
        }
        let since = Instant::now();
        assert_eq!(stop(host).code(), Some(0));
        assert!(since.elapsed() < DRAIN, "{:?}", since.elapsed());
        drop(reader);
    }
}

#[test]
fn a_start_that_fails_before_a_reader_that_stopped_ends() {
    let site = Site::new("[server]\nlisten = 7\n");
    let (reader, writer) = full_pipe(true);
    let mut host = spawn(&site, writer, "text");
    assert_eq!(host.wait().unwrap().code(), Some(78));
    drop(reader);
}

#[test]
fn a_reader_that_goes_on_gets_whole_lines_and_hears_how_many_are_missing() {
    for is_blocking in [true, false] {
        let (site, address) = site();
        reader_goes_on(&site, address, full_pipe(is_blocking));
    }
}

fn reader_goes_on(site: &Site, address: SocketAddr, (reader, writer): (PipeReader, PipeWriter)) {
    const SUBMITS: u64 = 400;
    let mut host = spawn(site, writer, "json");
    let mut client = connect(address, &mut host);
    for number in 0..SUBMITS {
        assert_eq!(client.submit(0x03, &long(number)).result, 0);
    }
    // The plugin's lines have filled what is theirs, and leave room for the host's.
    client.send(b"\x00\x00\x00\x00");
    assert_eq!(client.rest().unwrap(), b"");
    let reading = std::thread::spawn(|| read(reader));
    assert_eq!(stop(host).code(), Some(0));
    let log = log(&reading.join().unwrap());
    assert_eq!(happened(&log, "malformed frame, closing"), 1);
    let kept = log
        .iter()
        .filter(|event| event["target"] == "plugin.submit-log")
        .count() as u64;
    let lost: Vec<&Value> = log
        .iter()
        .filter(|event| message(event).starts_with("log lines lost"))
        .collect();
    let sum = |field: &str| lost.iter().filter_map(|event| event[field].as_u64()).sum::<u64>();
    assert!(kept > 50 && !lost.is_empty(), "{kept} kept, {lost:?}");
    assert_eq!((sum("lines"), sum("of_plugins")), (SUBMITS - kept, SUBMITS - kept));
    // Those that were kept are the first ones, in order.
    let payload = |event: &Value| {
        message(event)
            .split("payload=")
            .nth(1)
            .map(|payload| payload[..5].to_owned())
    };
    let kept: Vec<String> = log.iter().filter_map(payload).collect();
    assert_eq!(
        kept[..10],
        (0..10).map(|number| format!("{number:05}")).collect::<Vec<_>>()
    );
    assert!(kept.is_sorted(), "{kept:?}");
}

#[test]
fn who_repeats_himself_is_told_of_by_a_count() {
    const PANICS: usize = 20_000;
    const CONNECTIONS: usize = 200;
    let mut plugin = PluginCrate::new("logging-panics");
    let body = "if submit.payload == b\"thread\" { let _ = std::thread::spawn(|| panic!(\"alone\")).join(); Ack::ok() } \
                else { panic!(\"as ever\") }";
    plugin.source = source("", body);
    let site = Site::with("", &[&plugin.library()]);
    let host = site.start();
    let mut client = host.connect();
    let frames = frame(0x10, b"00000001", b"").repeat(1000);
    for _ in 0..PANICS / 1000 {
        client.send(&frames);
        for _ in 0..1000 {
            assert_eq!(client.ack().result, 0xF1);
        }
    }
    for _ in 0..30 {
        assert_eq!(client.submit(0x10, b"thread").result, 0);
    }
    for _ in 0..CONNECTIONS {
        let mut bad = host.connect();
        bad.send(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(bad.rest().unwrap(), b"");
    }
    // Another reason is another line, and comes at once.
    let mut bad = host.connect();
    bad.send(&[0; 4]);
    host.wait_until("another reason", |log| {
        log.iter().find(|event| event["reason"] == "length too short").cloned()
    });
    let log = host.stop();
    assert!(log.len() < 200, "{}", show(&log));
    assert_eq!(happened(&log, "handler failed"), PANICS as u64);
    assert_eq!(happened(&log, "malformed frame, closing"), CONNECTIONS as u64 + 1);
    let alone = log
        .iter()
        .find(|event| event["target"] == "plugin.logging-panics")
        .unwrap();
    assert_eq!(happened(&log, message(alone)), 30);
    let counts = |event: &&Value| event["like"] == "handler failed" && event["plugin"] == "logging-panics";
    let count = log.iter().find(counts).unwrap_or_else(|| panic!("{}", show(&log)));
    assert_eq!((&count["level"], &count["version"]), (&"ERROR".into(), &"1.0.0".into()));
}

#[test]
fn a_payload_forges_no_line_and_moves_no_cursor() {
    let (site, address) = site();
    let (reader, writer) = pipe().unwrap();
    let mut host = spawn(&site, writer, "text");
    let reading = std::thread::spawn(|| read(reader));
    let mut client = connect(address, &mut host);
    let payload = "x\r\n2026-01-01T00:00:00Z ERROR host: forged\u{1b}[2J\u{9b}2J\u{2028}\u{202e}";
    assert_eq!(client.submit(0x03, payload.as_bytes()).result, 0);
    let long = [b"a\n".repeat(LONG), b"the end".to_vec()].concat();
    assert_eq!(client.submit(0x03, &long).result, 0);
    assert_eq!(stop(host).code(), Some(0));
    let text = String::from_utf8(reading.join().unwrap()).unwrap();
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text}");
    let forged: Vec<&str> = text.lines().filter(|line| line.contains("forged")).collect();
    let shown = r"payload=x\r\n2026-01-01T00:00:00Z ERROR host: forged\u{1b}[2J\u{9b}2J\u{2028}\u{202e} version=1.0.0";
    assert!(forged.len() == 1 && forged[0].ends_with(shown), "{forged:?}");
    let cut = text.lines().find(|line| line.contains(r"payload=a\na\n")).unwrap();
    assert!(
        cut.ends_with(" bytes more) version=1.0.0") && !cut.contains("the end"),
        "{cut}"
    );
}

#[test]
fn a_configuration_forges_no_line_and_moves_no_cursor() {
    for (text, shown) in [
        (
            "\"a\\nFORGED: all is well\\u001b[2J\" = 1",
            r"a\nFORGED: all is well\u{1b}[2J",
        ),
        ("server.listen = \"\\u001b[2J\"", r"\u{1b}[2J"),
        ("listen = \u{1b}[2J", "`listen`: not a value: text stands in quotes"),
    ] {
        let site = Site::default();
        fs::write(site.configuration(), text).unwrap();
        let (code, _, stderr) = site.with_configuration(&["serve"]);
        assert_eq!(code, 78, "{stderr}");
        let last = stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("host: ") && last.contains(shown), "{stderr}");
        assert!(!stderr.contains('\u{1b}') && !stderr.contains("\nFORGED"), "{stderr}");
    }
}

/// A site with `submit-log`, and its address: the log that says it may not be readable.
fn site() -> (Site, SocketAddr) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let drain = DRAIN.as_secs();
    let site = Site::new(&format!(
        "[server]\nlisten = \"{address}\"\ndrain_timeout = \"{drain}s\"\n"
    ));
    site.install(&sample("submit-log"));
    (site, address)
}

/// A pipe that takes nothing more.
fn full_pipe(is_blocking: bool) -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    ioctl_fionbio(&writer, true).unwrap();
    while writer.write(FILLING).is_ok() {}
    ioctl_fionbio(&writer, !is_blocking).unwrap();
    (reader, writer)
}

fn spawn(site: &Site, stderr: PipeWriter, format: &str) -> Child {
    let mut command: Command = site.command();
    command
        .args(["--log-format", format, "--plugins"])
        .arg(site.configuration())
        .stdout(Stdio::null())
        .stderr(stderr);
    command.spawn().unwrap()
}

/// A connection, once the host serves.
#[track_caller]
fn connect(address: SocketAddr, host: &mut Child) -> Client {
    let since = Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        let ended = host.try_wait().unwrap();
        assert!(
            since.elapsed() < PATIENCE && ended.is_none(),
            "no host at {address}: {ended:?}"
        );
        std::thread::yield_now();
    }
    Client::connect(&address.to_string())
}

fn stop(mut host: Child) -> ExitStatus {
    kill_process(Pid::from_child(&host), Signal::TERM).unwrap();
    host.wait().unwrap()
}

fn read(mut reader: PipeReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Each line must be an event.
#[track_caller]
fn log(bytes: &[u8]) -> Vec<Value> {
    let lines = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| *line != FILLING);
    let event = |line: &[u8]| match (line.ends_with(b"\n"), serde_json::from_slice(line)) {
        (true, Ok(event)) => event,
        outcome => panic!("{outcome:?}: {}", String::from_utf8_lossy(line)),
    };
    lines.map(event).collect()
}

fn message(event: &Value) -> &str {
    event["message"].as_str().unwrap_or_default()
}

/// A payload that no other one equals.
fn long(number: u64) -> Vec<u8> {
    format!("{number:05}{}", "x".repeat(LONG)).into_bytes()
}
