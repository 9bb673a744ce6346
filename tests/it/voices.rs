//! All that a plugin can say arrives in the log, as what it is: events with their fields, records of the `log` crate, and what
//! it prints. In the JSON format each line is JSON, whoever wrote it, and no plugin passes for the host.

use std::io::{PipeReader, Read, pipe};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tests::crates::PluginCrate;
use tests::host::{Host, Site, fatal, show};

const TARGET: &str = "plugin.voices";

#[test]
fn fields_arrive_with_their_types_and_pass_for_nothing_of_the_host() {
    let site = site();
    let host = site.start();
    say(&host, "fields");
    let event = host.wait_for("with fields");
    let fields = json!({
        "count": u64::MAX, "negative": -7, "ratio": 0.5, "nothing": "NaN", "wide": u128::MAX.to_string(), "on": true,
        "text": "x \"y\"\n\u{1b}[2J", "shown": "Some(\"z\")", "error": "no good", "level": "forged", "target": "forged",
        "timestamp": "forged", "version": "9.9.9", "plugin": "forged",
    });
    assert_eq!(event["fields"], fields);
    assert_eq!(
        [&event["level"], &event["target"], &event["version"]],
        ["WARN", TARGET, "1.0.0"]
    );
    let keys: Vec<&String> = event.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["fields", "level", "message", "target", "timestamp", "version"]);
    let alone = host.wait_until("an event without a message", |log| {
        log.iter().find(|event| event["fields"]["alone"] == 1).cloned()
    });
    assert_eq!((&alone["message"], &alone["version"]), (&Value::Null, &"1.0.0".into()));
    let no_text = host.wait_until("a message that is no text", |log| {
        log.iter().find(|event| event["fields"]["beside"] == 8).cloned()
    });
    assert_eq!(
        (&no_text["message"], &no_text["fields"]["message"]),
        (&Value::Null, &7.into())
    );
    say(&host, "many");
    let many = host.wait_for("many");
    let long = many["fields"]["long"].as_str().unwrap();
    assert!(
        long.starts_with("xxx") && long.ends_with(" bytes more)") && long.len() < 16500,
        "{many}"
    );
    assert_eq!(
        (&many["fields"]["first"], &many["fields_left_out"]),
        (&"1".into(), &1.into())
    );
    say(&host, "spans");
    assert_eq!(host.wait_for("within")["fields"], Value::Null);
    lines_are_json(&host.stop());
}

#[test]
fn in_the_text_format_fields_follow_the_message_and_the_version_is_the_host_s() {
    let (_, log) = in_text(&["fields", "print"]);
    let line = log.lines().find(|line| line.contains("with fields")).unwrap();
    let says = "WARN plugin.voices: with fields count=18446744073709551615 negative=-7 ratio=0.5 nothing=NaN \
        wide=340282366920938463463374607431768211455 on=true text=\"x \\\"y\\\"\\n\\u{1b}[2J\" shown=Some(\"z\") error=no good \
        level=\"forged\" target=\"forged\" timestamp=\"forged\" version=\"9.9.9\" plugin=\"forged\" version=1.0.0";
    assert!(line.ends_with(says), "{line}\n{says}");
    for line in ["alone=1", "message=7 beside=8"] {
        assert!(
            log.contains(&format!("INFO plugin.voices: {line} version=1.0.0\n")),
            "{log}"
        );
    }
    assert!(
        log.contains("serving plugin=\"voices\" version=1.0.0 commands=[0x10] digest="),
        "{log}"
    );
}

#[test]
fn records_of_the_log_crate_arrive_as_far_as_the_filter_lets_them() {
    for (filter, expected) in [
        ("info", &["a record in init", "a record 1"][..]),
        (
            "info,plugin.voices=debug",
            &["a record in init", "a record 1", "a record from elsewhere"],
        ),
        ("error", &["a record 1"]),
        ("off", &[]),
    ] {
        let site = site();
        let host = site.spawn(&[("RUST_LOG", &format!("{filter},host=info"))]);
        say(&host, "records");
        let log = host.stop();
        let records: Vec<&Value> = log.iter().filter(|event| event["target"] == TARGET).collect();
        let messages: Vec<&str> = records.iter().filter_map(|event| event["message"].as_str()).collect();
        assert_eq!(messages, expected, "{filter}: {}", show(&log));
        for record in records {
            let (module, level) = match record["message"].as_str() {
                Some("a record from elsewhere") => (json!("library::part"), "DEBUG"),
                Some("a record 1") => (Value::Null, "ERROR"),
                _ => (Value::Null, "INFO"),
            };
            assert_eq!(
                (&record["module"], &record["level"]),
                (&module, &level.into()),
                "{record}"
            );
            assert_eq!(record["version"], "1.0.0");
        }
    }
}

#[test]
fn what_is_wrong_in_the_filter_is_an_event_and_the_rest_of_it_counts() {
    for (filter, is_info) in [
        ("info,plugin.x=loud", true),
        ("plugin.x=loud", true),
        ("off, plugin.x=loud", false),
    ] {
        let site = Site::new("[server]\nlisten = 7\n");
        let log = site.spawn(&[("RUST_LOG", filter)]).wait().1;
        lines_are_json(&log);
        let wrong: Vec<&Value> = log
            .iter()
            .filter(|event| event["directive"] == "plugin.x=loud")
            .collect();
        assert!(
            wrong.len() == 1 && wrong[0]["level"] == "WARN",
            "{filter}: {}",
            show(&log)
        );
        let reason = wrong[0]["reason"].as_str().unwrap();
        assert!(reason.contains("expected one of \"off\", \"error\""), "{reason}");
        let (_, log) = in_text_with(&[("RUST_LOG", filter)], &["fields"]);
        let wrong: Vec<&str> = log.lines().filter(|line| line.contains("plugin.x=loud")).collect();
        assert!(
            wrong.len() == 1 && wrong[0].contains(" WARN host::logging"),
            "{filter}: {log}"
        );
        assert_eq!(log.contains("INFO host"), is_info, "{filter}: {log}");
    }
}

#[test]
fn a_host_that_does_not_start_says_why_as_an_event() {
    let required = "[plugin.not-there]\nrequired = true\n";
    for (configuration, code, says) in [
        ("[server]\nlisten = 7\n", 78, "listen"),
        (required, 78, "required plugins do not serve: not-there"),
        ("server.listen = \"192.0.2.1:1\"\n", 78, "can't listen on 192.0.2.1:1"),
        ("[plugins]\nstaging = \"/proc/nothing\"\n", 78, "/proc/nothing"),
    ] {
        let site = Site::new(configuration);
        // Whatever the filter lets through.
        let host = site.spawn(&[("RUST_LOG", "off")]);
        let (status, log) = host.wait();
        assert_eq!(status.code(), Some(code), "{}", show(&log));
        assert!(
            log.len() == 1 && fatal(&log).contains(says),
            "{configuration}: {}",
            show(&log)
        );
        assert!(!fatal(&log).starts_with("host: "), "{}", show(&log));
        lines_are_json(&log);
    }
    let site = Site::default();
    for arguments in [
        &["inspect", "nothing-there"][..],
        &["check", "--plugins", "nothing-there"],
    ] {
        let output = site.host(&[arguments, &["--log-format", "json"]].concat());
        let log: Vec<Value> = output
            .stderr
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap_or_else(|error| panic!("{error}: {line:?}")))
            .collect();
        assert!(
            !fatal(&log).is_empty() && !output.status.success(),
            "{arguments:?}: {output:?}"
        );
    }
}

pub(crate) fn site() -> Site {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let mut plugin = PluginCrate::new("voices");
        plugin.dependencies = "log = \"0.4\"\ntracing = \"0.1\"".to_owned();
        plugin.source = include_str!("../plugins/voices.rs").to_owned();
        plugin.library()
    });
    let site = Site::default();
    site.copy(library, "libvoices.so.1.0.0");
    site
}

#[track_caller]
pub(crate) fn say(host: &Host, payload: &str) {
    assert_eq!(host.connect().submit(0x10, payload.as_bytes()).result, 0, "{payload}");
}

#[track_caller]
pub(crate) fn lines_are_json(log: &[Value]) {
    let is_event = |event: &Value| {
        ["timestamp", "level", "target"]
            .iter()
            .all(|key| event[key].is_string())
    };
    assert!(log.iter().all(is_event), "{}", show(log));
}

/// What a host in the text format wrote to its standard output and error while a plugin was asked to say these.
pub(crate) fn in_text(payloads: &[&str]) -> (String, String) {
    in_text_with(&[], payloads)
}

/// The same with further environment.
fn in_text_with(environment: &[(&str, &str)], payloads: &[&str]) -> (String, String) {
    let site = site();
    let ((out, stdout), (err, stderr)) = (pipe().unwrap(), pipe().unwrap());
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    site.configure(&format!("server.listen = \"{address}\"\n"));
    let mut command = site.command();
    command.arg("--plugins").arg(site.configuration());
    command.envs(environment.iter().copied());
    let mut host = command
        .stdout(Stdio::from(stdout))
        .stderr(Stdio::from(stderr))
        .spawn()
        .unwrap();
    drop(command); // and with it our ends
    let (out, err) = (reading(out), reading(err));
    while std::net::TcpStream::connect(address).is_err() {
        assert!(host.try_wait().unwrap().is_none(), "no host at {address}");
        std::thread::yield_now();
    }
    for payload in payloads {
        let mut client = tests::client::Client::connect(&address.to_string());
        client.send(&tests::client::frame(0x10, b"00000001", payload.as_bytes()));
        let _ = client.stream.read(&mut [0; 14]); // the ack, or nothing of it
    }
    let _ = kill_process(Pid::from_child(&host), Signal::TERM);
    host.wait().unwrap();
    (out.join().unwrap(), err.join().unwrap())
}

fn reading(mut pipe: PipeReader) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
