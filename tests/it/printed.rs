//! What a plugin prints is heard: as lines of the JSON log, whatever its filter, up to the last words before an abort; and who
//! prints waits for nobody there.

use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;
use serde_json::Value;
use tests::host::{happened, show};

use crate::voices::{in_text, lines_are_json, say, site};

#[test]
fn what_is_printed_is_a_line_of_the_json_log() {
    let site = site();
    let host = site.start();
    for payload in ["print", "long", "again", "unfinished"] {
        say(&host, payload);
    }
    // Nobody ends it: it is told after a while.
    let lines = |log: &[Value]| -> Vec<(String, String)> {
        let of_output = log.iter().filter(|event| event["target"] == "output");
        let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
        of_output
            .map(|event| (text(event, "stream"), text(event, "message")))
            .collect()
    };
    host.wait_for("unfinished");
    let log = host.stop();
    lines_are_json(&log);
    let printed = lines(&log);
    for (stream, message) in [
        ("stderr", "in start-up code"),
        ("stdout", "in init"),
        ("stdout", "printed"),
        ("stderr", "printed as an error 1"),
        ("stdout", "native"),
        ("stdout", "binary \u{fffd}\0\u{1b}[2J"),
        ("stderr", "{\"level\":\"ERROR\",\"message\":\"forged\"}"),
        ("stdout", "on a thread"),
        ("stderr", "by a process"),
        ("stdout", "unfinished"),
        ("stdout", "at the end, without an end"),
    ] {
        let count = printed
            .iter()
            .filter(|line| **line == (stream.to_owned(), message.to_owned()))
            .count();
        assert_eq!(count, 1, "{stream}: {message}\n{}", show(&log));
    }
    assert!(printed.iter().all(|(_, message)| !message.is_empty()), "{}", show(&log));
    let long = printed.iter().find(|(_, message)| message.starts_with("yyy")).unwrap();
    assert!(long.1.ends_with("... (23616 bytes more)"), "{}", &long.1[16_000..]);
    assert_eq!(happened(&log, "again"), 500);
    assert!(
        log.iter().filter(|event| event["message"] == "again").count() <= 20,
        "{}",
        show(&log)
    );
}

#[test]
fn what_is_printed_is_not_filtered() {
    for filter in ["error", "off", "output=off"] {
        let site = site();
        let filter = [("RUST_LOG", &*format!("{filter},host=info"))];
        let host = site.spawn(&filter);
        say(&host, "print");
        say(&host, "again");
        let mut log = host.stop();
        assert_eq!(happened(&log, "again"), 500, "{}", show(&log));
        let host = site.spawn(&filter);
        host.connect().send(&tests::client::frame(0x10, b"00000001", b"abort"));
        log.append(&mut host.wait().1);
        lines_are_json(&log);
        for (message, stream, level) in [
            ("printed", "stdout", "INFO"),
            ("printed as an error 1", "stderr", "WARN"),
            ("last words", "stderr", "WARN"),
        ] {
            let line = log.iter().find(|event| event["message"] == message);
            let line = line.unwrap_or_else(|| panic!("{filter:?}: no {message}: {}", show(&log)));
            let heard = ["stream", "level", "target"].map(|key| line[key].as_str().unwrap_or_default());
            assert_eq!(heard, [stream, level, "output"], "{line}");
        }
    }
}

#[test]
fn who_prints_does_not_wait_for_the_log_s_reader() {
    let site = site();
    let host = site.start();
    let mut client = host.connect();
    host.read_log(false);
    // Some 3 MB: more than pipes hold, and than the log keeps of plugins.
    for _ in 0..15 {
        assert_eq!(client.submit(0x10, b"flood").result, 0);
    }
    host.read_log(true);
    let log = host.stop();
    lines_are_json(&log);
    let of_output = log.iter().filter(|event| event["target"] == "output").count() as u64;
    let lost = log.iter().filter(|event| {
        event["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("log lines lost"))
    });
    let lost: u64 = lost.filter_map(|event| event["of_plugins"].as_u64()).sum();
    let left_out: u64 = log
        .iter()
        .filter(|event| event["like"].as_str().is_some_and(|like| like.starts_with("flood")))
        .filter_map(|event| event["lines"].as_u64())
        .sum();
    assert!(lost > 0, "{of_output} lines, {left_out} left out");
    assert!(of_output + lost + left_out >= 300_000, "{of_output} {lost} {left_out}");
}

#[test]
fn closed_streams_end_what_is_heard_of_them_and_nothing_else() {
    let site = site();
    let host = site.start();
    let mut client = host.connect();
    for payload in ["close", "fields"] {
        assert_eq!(client.submit(0x10, payload.as_bytes()).result, 0);
    }
    host.wait_for("with fields");
    lines_are_json(&host.stop());
}

#[test]
fn the_last_words_before_an_abort_are_heard_in_either_format() {
    for (payload, words) in [
        ("abort", "last words"),
        ("abort in a line", "last words without an end"),
        ("abort in a line", "on the other stream"),
        ("overflow", "has overflowed its stack"),
        ("double panic", "thread caused non-unwinding panic"),
    ] {
        let site = site();
        let host = site.start();
        let mut client = host.connect();
        client.send(&tests::client::frame(0x10, b"00000001", payload.as_bytes()));
        let (status, log) = host.wait();
        assert_eq!(
            status.signal(),
            Some(Signal::ABORT.as_raw()),
            "{payload}: {}",
            show(&log)
        );
        lines_are_json(&log);
        let heard = log.iter().filter(|event| event["target"] == "output");
        let heard: Vec<&str> = heard.filter_map(|event| event["message"].as_str()).collect();
        assert!(
            heard.iter().any(|text| text.contains(words)),
            "{payload}: {}",
            show(&log)
        );
        let (out, log) = in_text(&[payload]);
        assert!(log.contains(words) || out.contains(words), "{payload}: {log}");
    }
}
