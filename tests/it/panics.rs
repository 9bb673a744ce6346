//! What an author's code does wrong fails that Submit alone, or that plugin's start, with a line in the log that says
//! what and where. The host and everybody else go on.

use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;
use tests::cargo::sample;
use tests::client::{frame, id};
use tests::crates::PluginCrate;
use tests::host::{Host, Site, happened, show};

const SOURCE: &str = include_str!("../plugins/panics.rs");

/// A payload, its result, and what the log's line says; none is expected if this is empty. `PLACE` is where SOURCE says
/// `LINE` and the payload.
const HANDLED: &[(&str, u8, &str)] = &[
    ("good", 0, ""),
    ("text", 0xF1, "panicked at PLACE: just text"),
    ("formatted", 0xF1, "panicked at PLACE: 1 of 2"),
    ("value", 0xF1, "panicked at PLACE: a value that is not text"),
    ("drop", 0xF1, "panicked at PLACE: a value that is not text"),
    ("resumed", 0xF1, "panicked: resumed text"),
    (
        "index",
        0xF1,
        "panicked at PLACE: index out of bounds: the len is 1 but the index is 5",
    ),
    ("nested", 0, ""),
    ("result ef", 0xEF, ""),
    (
        "result f0",
        0xF1,
        "result 0xf0 is the host's, a handler may use 0x00 to 0xef",
    ),
    (
        "result ff",
        0xF1,
        "result 0xff is the host's, a handler may use 0x00 to 0xef",
    ),
    ("body fits", 0, ""),
    (
        "body is too long",
        0xF1,
        "an ack body of 65523 bytes, the most is 65522",
    ),
];

#[test]
fn a_failing_handler_fails_its_submit_alone() {
    let (_site, host) = serve("");
    let mut client = host.connect();
    // All in one write, each between two good neighbours.
    let mut bytes = Vec::new();
    for (number, (payload, ..)) in HANDLED.iter().enumerate() {
        for (part, payload) in ["before", payload, "after"].into_iter().enumerate() {
            bytes.extend(frame(0x10, &id(number * 3 + part), payload.as_bytes()));
        }
    }
    client.send(&bytes);
    for (number, (payload, result, _)) in HANDLED.iter().enumerate() {
        for (part, expected) in [0, *result, 0].into_iter().enumerate() {
            let ack = client.ack();
            assert_eq!(
                (ack.command, ack.id, ack.result),
                (0x8F, id(number * 3 + part), expected),
                "{payload}"
            );
            assert!(ack.body.is_empty() || *payload == "body fits", "{payload}");
        }
    }
    let log = host.stop();
    let mut failures = log.iter().filter(|event| event["message"] == "handler failed");
    for (number, (payload, _, says)) in HANDLED.iter().enumerate().filter(|(_, (.., says))| !says.is_empty()) {
        let failure = failures
            .next()
            .unwrap_or_else(|| panic!("{payload}: no line in\n{}", show(&log)));
        assert_eq!(
            failure["reason"],
            says.replace("PLACE", &place(payload)),
            "{payload}: {failure}"
        );
        assert_eq!(
            failure["id"],
            *String::from_utf8_lossy(&id(number * 3 + 1)),
            "{payload}: {failure}"
        );
        assert_eq!(
            (&failure["plugin"], &failure["command"]),
            (&"panics".into(), &0x10.into()),
            "{failure}"
        );
        assert_eq!(
            (&failure["level"], &failure["version"]),
            (&"ERROR".into(), &"1.0.0".into()),
            "{failure}"
        );
    }
    assert_eq!(failures.next(), None);
}

#[test]
fn thousands_of_panics_do_no_more_than_one() {
    const EACH: usize = 1000;
    let (_site, host) = serve("");
    let address = host.address();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = tests::client::Client::connect(&address);
                for number in 0..EACH {
                    let payload = ["text", "drop", "good"][number % 3];
                    client.send(&frame(0x10, &id(number), payload.as_bytes()));
                    let ack = client.ack();
                    let expected = if payload == "good" { 0 } else { 0xF1 };
                    assert_eq!((ack.id, ack.result), (id(number), expected));
                }
            });
        }
    });
    let log = host.stop();
    let failures = 4 * (0..EACH).filter(|number| number % 3 != 2).count();
    assert_eq!(happened(&log, "handler failed"), failures as u64);
}

#[test]
fn a_panic_before_there_is_a_handler_is_a_load_failure_that_says_where() {
    for (config, how, code) in [
        ("careless = true", "careless", "load-config"),
        ("init = \"text\"", "text", "load-init"),
        ("init = \"value\"", "value", "load-init"),
        ("init = \"drop\"", "drop", "load-init"),
    ] {
        let (_site, host) = serve(&format!("[plugin.panics.config]\n{config}\n"));
        assert_eq!(host.connect().submit(0x10, b"good").result, 0xF0, "{config}");
        let log = host.stop();
        let refusal = log.iter().find(|event| event["code"] == code);
        let refusal = refusal.unwrap_or_else(|| panic!("{config}:\n{}", show(&log)));
        let found = refusal["found"].as_str().unwrap();
        assert!(
            found.starts_with(&format!("panicked at {}: ", place(how))),
            "{config}: {found}"
        );
        // Nothing went past the log.
        assert!(log.iter().all(Value::is_object), "{config}:\n{}", show(&log));
    }
}

#[test]
fn a_panic_at_the_end_is_logged_and_the_exit_is_good() {
    for (end, message) in [
        ("shutdown text", "shutdown failed"),
        ("shutdown drop", "shutdown failed"),
        ("drop text", "dropping the handler failed"),
        ("drop drop", "dropping the handler failed"),
    ] {
        let (_site, host) = serve(&format!("[plugin.panics.config]\nend = {end:?}\n"));
        assert_eq!(host.connect().submit(0x10, b"good").result, 0, "{end}");
        let log = host.stop(); // asserts exit 0
        let event = log.iter().find(|event| event["message"] == message);
        let event = event.unwrap_or_else(|| panic!("{end}: no {message:?} in\n{}", show(&log)));
        let how = end.rsplit_once(' ').unwrap().1;
        assert!(
            event["reason"].as_str().unwrap().contains(&place(how)),
            "{end}: {event}"
        );
        assert_eq!(
            (&event["plugin"], &event["version"]),
            (&"panics".into(), &"1.0.0".into()),
            "{end}"
        );
    }
}

#[test]
fn a_panic_on_a_thread_of_the_plugin_is_logged() {
    let (_site, host) = serve("");
    assert_eq!(host.connect().submit(0x10, b"thread").result, 0);
    let log = host.stop();
    let event = log.iter().find(|event| {
        event["message"]
            .as_str()
            .is_some_and(|text| text.contains("on my own thread"))
    });
    let event = event.unwrap_or_else(|| panic!("nothing in\n{}", show(&log)));
    assert!(
        event["message"]
            .as_str()
            .unwrap()
            .starts_with("panicked at src/lib.rs:"),
        "{event}"
    );
    assert_eq!(
        (&event["target"], &event["level"]),
        (&"plugin.panics".into(), &"ERROR".into())
    );
}

#[test]
fn events_of_a_plugin_reach_the_log_under_its_name_as_far_as_rust_log_lets_them() {
    let texts = [
        ("ERROR", "at error"),
        ("WARN", "at warn"),
        ("INFO", "at info"),
        ("DEBUG", "at debug"),
        ("TRACE", "at trace"),
    ];
    for (filter, count) in [
        ("", 3),
        ("info,plugin.panics=debug", 4),
        ("info,plugin.panics=trace", 5),
        ("info,plugin=error", 1),
        ("info,plugin.panics=off", 0),
        ("info,plugin.other=trace", 3),
    ] {
        let site = site("");
        let host = site.spawn(&[("RUST_LOG", filter)][..usize::from(!filter.is_empty())]);
        assert_eq!(host.connect().submit(0x10, b"events").result, 0, "{filter:?}");
        let log = host.stop();
        let of_plugin = log.iter().filter(|event| event["target"] == "plugin.panics");
        let found: Vec<(&str, &str)> = of_plugin
            .map(|event| (text(event, "level"), text(event, "message")))
            .collect();
        assert_eq!(found, texts[..count], "{filter:?}");
        let mut of_plugin = log.iter().filter(|event| event["target"] == "plugin.panics");
        assert!(of_plugin.all(|event| event["version"] == "1.0.0"), "{}", show(&log));
    }
}

#[test]
fn submit_log_writes_what_the_original_server_printed() {
    let site = Site::with("", &[&sample("submit-log")]);
    let host = site.start();
    assert_eq!(host.connect().submit(0x03, b"hello").result, 0);
    let event = host.wait_for("recv submit: id = 00000001, payload=hello");
    assert_eq!(
        (&event["target"], &event["level"]),
        (&"plugin.submit-log".into(), &"INFO".into())
    );
    host.stop();
}

fn site(configuration: &str) -> Site {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let mut plugin = PluginCrate::new("panics");
        plugin.dependencies = "serde = { version = \"1\", features = [\"derive\"] }\ntracing = \"0.1\"".to_owned();
        plugin.source = SOURCE.to_owned();
        plugin.library()
    });
    Site::with(configuration, &[library])
}

#[track_caller]
fn serve(configuration: &str) -> (Site, Host) {
    let site = site(configuration);
    let host = site.start();
    (site, host)
}

/// Where SOURCE goes wrong in that way, as a panic writes it.
fn place(how: &str) -> String {
    let line = SOURCE
        .lines()
        .position(|line| line.ends_with(&format!("// LINE {how}")));
    line.map_or_else(String::new, |line| format!("src/lib.rs:{}", line + 1))
}

fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event[key].as_str().unwrap_or_default()
}
