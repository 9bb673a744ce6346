//! A configuration that can't be used is exit 78 and one line that says where and what: file, line, key, and the nearest
//! key that exists. Leaving everything out is fine.

use std::fs;

use serde_json::Value;
use tests::host::{Site, show};

/// A broken plugins.toml, the line that is wrong, and what is said about it.
const BROKEN: &[(&str, usize, &str)] = &[
    (
        "[server]\nlisen = \"127.0.0.1:1\"",
        2,
        "unknown key `lisen`; did you mean `listen`?",
    ),
    ("\n\n[sever]", 3, "unknown key `sever`; did you mean `server`?"),
    ("[protocol]\nak = \"go\"", 2, "unknown key `ak`; did you mean `ack`?"),
    (
        "[plugins]\n\ndiscovery = false",
        3,
        "unknown key `discovery`; did you mean `discover`?",
    ),
    (
        "[policy]\ncompilers = \"any\"",
        2,
        "unknown key `compilers`; did you mean `compiler`?",
    ),
    (
        "[plugin.x]\nrequire = true",
        2,
        "unknown key `require`; did you mean `required`?",
    ),
    (
        "[plugin.x]\nqqq = 1",
        2,
        "unknown key `qqq`; known here: version, commands, required, enabled, config",
    ),
    ("[server]\nlisten = \"here\"", 2, "listen = \"here\""),
    (
        "[server]\nmax_frame = \"13\"",
        2,
        "a frame of 13 bytes is out of range: 14 bytes to 64 MiB",
    ),
    ("[server]\nmax_frame = \"65MiB\"", 2, "out of range: 14 bytes to 64 MiB"),
    ("[server]\nmax_connections = 0", 2, "0 is out of range: at least 1"),
    ("[server]\nidle_timeout = \"soon\"", 2, "\"soon\" is not a duration"),
    ("[server]\ndrain_timeout = \"0s\"", 2, "a duration of 0 is out of range"),
    ("[server]\nwrite_timeout = 30", 2, "write_timeout = 30"),
    (
        "[protocol]\nack = \"rust\"",
        2,
        "unknown variant `rust`, expected `go` or `documented`",
    ),
    (
        "[policy]\ncompiler = \"same\"",
        2,
        "unknown variant `same`, expected `exact` or `any`",
    ),
    (
        "[plugins]\nreplace = \"yes\"",
        2,
        "unknown variant `yes`, expected `refuse` or `allow`",
    ),
    (
        "[plugin.x]\ncommands = [0x80]",
        2,
        "command 0x80 is out of range: 0x02 to 0x7f",
    ),
    ("[plugin.x]\ncommands = [1]", 2, "command 0x1 is out of range"),
    ("[plugin.x]\ncommands = [2, 0x02]", 2, "command 0x02 is listed twice"),
    (
        "[plugin.x]\ncommands = []",
        2,
        "no command is listed; to keep a plugin out, write `enabled = false`",
    ),
    (
        "[plugin.x]\nversion = \"1.0\"",
        2,
        "\"1.0\" is not a compatibility line",
    ),
    ("[plugin.x]\nversion = 1", 2, "version = 1"),
    ("[plugin.x]\n[plugin.x]", 2, "duplicate key"),
    ("[server\n", 1, "[server"),
];

#[test]
fn a_broken_configuration_names_file_line_and_key() {
    let site = Site::default();
    for (text, line, says) in BROKEN {
        fs::write(site.configuration(), text).unwrap();
        for command in [&["serve"][..], &["check"], &["install", "any.so"]] {
            let (code, stdout, stderr) = site.with_configuration(command);
            assert_eq!(code, 78, "{command:?} {text:?}: {stdout}{stderr}");
            let place = format!("host: {}:{line}: ", site.configuration().display());
            assert!(
                stderr.starts_with(&place),
                "{command:?} {text:?}: expected {place}\n{stderr}"
            );
            assert!(stderr.contains(says), "{command:?} {text:?}: expected {says}\n{stderr}");
            assert_eq!(stdout, "", "{command:?} {text:?}");
        }
    }
}

#[test]
fn a_configuration_that_can_not_be_read_is_named() {
    let site = Site::default();
    for (case, prepare) in [
        (
            "no file",
            (|site| fs::remove_file(site.configuration()).unwrap()) as fn(&Site),
        ),
        ("a directory", |site| fs::create_dir(site.configuration()).unwrap()),
    ] {
        prepare(&site);
        let (code, _, stderr) = site.with_configuration(&["serve"]);
        assert_eq!(code, 78, "{case}: {stderr}");
        let named = format!("can't read the configuration {}", site.configuration().display());
        assert!(stderr.contains(&named), "{case}: {stderr}");
    }
}

#[test]
fn nothing_at_all_will_do() {
    let site = Site::default();
    fs::remove_dir(site.plugins()).unwrap();
    let host = site.start();
    let mut client = host.connect();
    client.send(&tests::client::frame(0x01, b"00000001", b""));
    assert_eq!(client.ack().command, 0x80);
    assert_eq!(client.submit(0x02, b"").result, 0xF0);
    let missing = host.wait_for("the plugin directory does not exist: no plugins");
    assert_eq!(missing["directory"], site.plugins().to_str().unwrap());
    host.stop();

    // An empty file, whose address may be in use on this machine: then that address is what it complains of.
    fs::write(site.configuration(), "").unwrap();
    let host = site.spawn(&[]);
    let in_use = host.wait_until("what became of 127.0.0.1:8888", |log| {
        log.iter().find_map(|event| match event {
            Value::String(text) if text.contains("can't listen on 127.0.0.1:8888") => Some(true),
            _ => (event["address"] == "127.0.0.1:8888").then_some(false),
        })
    });
    if in_use {
        eprintln!("SKIPPED: port 8888 is in use, so the host with an empty configuration could not serve there");
        let (status, log) = host.wait();
        assert_eq!(status.code(), Some(78), "{}", show(&log));
    } else {
        host.stop();
    }
}
