//! What a running host says of itself is what is so and what has happened: later statuses are waited for, events are numbered and
//! bounded, and the log says the same.

use std::fs;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tests::cargo::{root, sample, succeed, text};
use tests::control::status;
use tests::follow::quiet;
use tests::host::{Site, show};
use tests::scene::{NAME, SONAME, bring, point};

use crate::control::socket;

#[test]
fn a_later_status_is_waited_for() {
    let site = Site::with("", &[&sample("submit-echo")]);
    let host = site.start();
    let path = socket(&site);
    quiet(&host, 0);
    let before = host.status();
    let revision = before["revision"].as_u64().unwrap();
    assert_eq!(status(&path, Some(0)).unwrap(), before, "there is a later one already");
    let waiting = std::thread::spawn({
        let path = path.clone();
        move || status(&path, Some(revision))
    });
    site.copy(&sample("submit-log"), "libsubmit_log.so.1.0.0");
    let later = waiting.join().unwrap().unwrap();
    assert!(later["revision"].as_u64().unwrap() > revision, "{later:#}");
    // The end is a change as well: who waits learns of it.
    quiet(&host, 0);
    host.wait_for_event("added", |event| event["plugin"] == "submit-log");
    let revision = host.status()["revision"].as_u64().unwrap();
    let last = std::thread::spawn(move || status(&path, Some(revision)));
    host.signal(Signal::TERM);
    // None where the host had ended before it was asked.
    if let Some(last) = last.join().unwrap() {
        assert_eq!(last["host"]["phase"], "stopping");
    }
    assert!(host.wait().0.success());
}

#[test]
fn events_are_bounded_and_numbered_without_gaps() {
    const FILES: usize = 1100;
    let site = Site::default();
    for number in 0..FILES {
        fs::write(site.plugins().join(format!("libbad_{number}.so.1.0.0")), "bad").unwrap();
    }
    let host = site.start();
    let status = host.status();
    let events = status["events"].as_array().unwrap();
    assert_eq!(events.len(), 1024);
    let numbers: Vec<u64> = events.iter().map(|event| event["number"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    assert!(numbers[1023] >= FILES as u64);
    let times: Vec<&str> = events.iter().map(|event| event["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(
        status["files"].as_array().unwrap().len(),
        FILES,
        "what is so now is there whole"
    );
    host.stop();
}

/// The kinds of events, and the log's messages.
const MESSAGES: [(&str, &str); 28] = [
    ("serving", "serving"),
    ("added", "added"),
    ("upgraded", "upgraded"),
    ("rolled-back", "rolled back"),
    ("replaced", "replaced"),
    ("reconfigured", "reconfigured"),
    ("other-commands", "other commands"),
    ("removed", "removed"),
    ("opening", "opening"),
    ("still-draining", "still draining: calls into it have not returned"),
    ("drained", "drained"),
    ("not-paused", "in standby, but not paused"),
    ("retired", "retired"),
    ("refused", "refused"),
    ("unavailable", "unavailable, trying again"),
    ("difference", "accepted with a difference"),
    ("noted", "accepted with a note"),
    ("not-served", "does not serve"),
    ("unversioned", "a library without a version in its name is not served"),
    ("misnamed", "a library whose name is no plugin's is not served"),
    ("other-content", "other content"),
    (
        "directory-unreadable",
        "the plugin directory can't be read; what serves goes on",
    ),
    ("link-created", "link created"),
    ("link-moved", "link moved"),
    ("staging-renewed", "the staging directory was removed, made anew"),
    ("configuration-reread", "configuration reread"),
    ("configuration-refused", "configuration unusable, the running one stays"),
    ("next-start", "takes effect at the next start"),
];

// Long: one scene, and its comparison.
#[test]
fn the_history_has_what_the_log_has() {
    let site = Site::new("");
    let host = site.start();
    bring(&site, NAME, "1.0.0");
    host.wait_for_event("added", |event| event["version"] == "1.0.0");
    bring(&site, NAME, "1.1.0");
    host.wait_for_event("upgraded", |event| event["version"] == "1.1.0");
    point(&site, "1.0.0");
    host.wait_for_event("rolled-back", |event| event["version"] == "1.0.0");
    site.copy(&sample("submit-echo"), "libsubmit_echo.so");
    fs::write(site.plugins().join("libsubmit_log.so.1.0.0"), "bad").unwrap();
    host.wait_for_event("refused", |event| {
        event["file"].as_str().unwrap().ends_with("libsubmit_log.so.1.0.0")
    });
    site.configure("server.threads = 3\n[plugin.hot-probe.config]\nfail = true\n");
    host.wait_for_event("refused", |event| event["refusal"]["code"] == "load-init");
    site.configure("rubbish = 1\n");
    host.wait_for_event("configuration-refused", |_| true);
    assert!(host.wait_for_status("its error", |status| {
        status["configuration_error"]
            .as_str()
            .map(|error| error.contains("rubbish"))
    }));
    site.configure("[plugin.hot-probe.config]\nnumber = 7\n");
    host.wait_for_event("reconfigured", |_| true);
    fs::remove_file(site.plugins().join(SONAME)).unwrap();
    host.wait_for_event("removed", |_| true);
    host.wait_for_event("retired", |event| event["reason"].is_string());
    quiet(&host, 0);
    let status = host.status();
    assert_eq!(status["configuration_error"], Value::Null);
    assert!(
        status["instances"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["state"] != "serving")
    );
    crate::schema::status().accepts(&status);
    let log = host.stop();

    let field = |of: &Value, name: &str| of[name].as_str().map(str::to_owned);
    let lines = log.iter().filter_map(|line| {
        let kind = MESSAGES.iter().find(|(_, message)| line["message"] == *message)?.0;
        let code = field(line, "code");
        Some((
            kind.to_owned(),
            field(line, "plugin"),
            field(line, "version"),
            field(line, "digest"),
            code,
        ))
    });
    let events = status["events"].as_array().unwrap().iter().map(|event| {
        let code = ["refusal", "unavailable", "note"]
            .iter()
            .find_map(|part| field(&event[part], "code"));
        let kind = field(event, "kind").unwrap();
        (
            kind,
            field(event, "plugin"),
            field(event, "version"),
            field(event, "digest"),
            code,
        )
    });
    let events: Vec<_> = events.collect();
    let lines: Vec<_> = lines.take(events.len()).collect();
    assert_eq!(events, lines, "{}", show(&log));
    assert_eq!(
        events.len(),
        status["events"].as_array().unwrap().last().unwrap()["number"]
            .as_u64()
            .unwrap() as usize
    );
}

#[test]
fn the_schema_and_the_page_know_each_kind_of_event() {
    let schema = fs::read_to_string(root().join("host/schema/status.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let kinds = schema["$defs"]["event"]["oneOf"].as_array().unwrap().iter();
    let kinds: Vec<&str> = kinds
        .map(|event| event["properties"]["kind"]["const"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, MESSAGES.map(|(kind, _)| kind));
    let page = fs::read_to_string(root().join("host/docs/control-socket.md")).unwrap();
    for (kind, message) in MESSAGES {
        let row = format!("| `{kind}` | `{message}` |");
        assert!(page.contains(&row), "{row}");
    }
}

/// `curl` as the page prints it, with a place of its own.
#[test]
fn the_page_s_commands_work_as_printed() {
    let page = fs::read_to_string(root().join("host/docs/control-socket.md")).unwrap();
    let blocks: Vec<&str> = page
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(!blocks.is_empty());
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("SKIPPED: no curl");
        return;
    }
    let site = Site::with("", &[&sample("submit-echo")]);
    let host = site.start();
    for block in blocks {
        let mut shell = Command::new("sh");
        shell
            .args(["-euc", block])
            .current_dir(site.path())
            .env("XDG_RUNTIME_DIR", site.runtime_directory());
        let output = succeed(&mut shell);
        let answer: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
        assert_eq!(answer["host"]["pid"], host.pid());
    }
    host.stop();
}
