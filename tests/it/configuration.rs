//! A configuration that can't be used is exit 78 and one line for each error, in the order of the file: file, line, key, and
//! the nearest key that exists. Leaving everything out is fine; the plugin directory has to be there, or to be made.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tests::cargo::sample;
use tests::host::{Site, fatal, show};

/// A broken plugins.toml, and what is said about it: the line and the beginning of what follows.
const BROKEN: &[(&str, &[(usize, &str)])] = &[
    (
        "[server]\nlisen = \"127.0.0.1:1\"",
        &[(2, "`server.lisen`: unknown key; did you mean `listen`?")],
    ),
    ("\n\n[sever]", &[(3, "`sever`: unknown key; did you mean `server`?")]),
    (
        "[plugins]\n\ndiscovery = false",
        &[(3, "`plugins.discovery`: unknown key; did you mean `discover`?")],
    ),
    (
        "[plugin.x]\nqqq = 1",
        &[(
            2,
            "`plugin.x.qqq`: unknown key; known here: version, commands, required, enabled, config",
        )],
    ),
    (
        "[server]\nwrite_timeout = 30",
        &[(
            2,
            "`server.write_timeout`: expected a string such as \"30s\" or \"5m\", found an integer",
        )],
    ),
    (
        "[plugin.x]\nversion = 1",
        &[(
            2,
            "`plugin.x.version`: expected a string such as \"1\" or \"0.3\", found an integer",
        )],
    ),
    (
        "[plugin.x]\ncommands = [1]",
        &[(2, "`plugin.x.commands`: command 0x01 is out of range: 0x02 to 0x7f")],
    ),
    (
        "[plugin.x]\ncommands = []",
        &[(
            2,
            "`plugin.x.commands`: no command is listed; to keep a plugin out, write `enabled = false`",
        )],
    ),
    ("[plugin.x]\n[plugin.x]", &[(2, "`x`: duplicate key")]),
    ("[server\n", &[(1, "unclosed table, expected `]`")]),
    // Everything at once.
    (
        "\
[server]
listen = here
lisen = 1
max_frame = \"13\"
max_frame = \"14\"
max_connections = 0
[plugins]
replace = \"yes\"
poll = 10
[plugin.\"a b\"]
commands = [2, 0x80]
[plugin.x.config]
ratio = inf
password = s3cret
[plugin.x]
required = \"s3cret\"
",
        &[
            (2, "`server.listen`: not a value: text stands in quotes"),
            (3, "`server.lisen`: unknown key; did you mean `listen`?"),
            (
                4,
                "`server.max_frame`: a frame of 13 bytes is out of range: 14 bytes to 64 MiB",
            ),
            (5, "`max_frame`: duplicate key"),
            (6, "`server.max_connections`: 0 is out of range: at least 1"),
            (8, "`plugins.replace`: \"yes\" is not \"refuse\" or \"allow\""),
            (9, "`plugins.poll`: expected a string such as"),
            (10, "`plugin.\"a b\"`: \"a b\" is no plugin's name"),
            (
                11,
                "`plugin.\"a b\".commands`: command 0x80 is out of range: 0x02 to 0x7f",
            ),
            (13, "`plugin.x.config.ratio`: is inf"),
            (14, "`plugin.x.config`: not a value: text stands in quotes"),
            (16, "`plugin.x.required`: expected true or false, found a string"),
        ],
    ),
];

#[test]
fn a_broken_configuration_names_file_line_and_key_of_each_error() {
    let site = Site::default();
    for (text, errors) in BROKEN {
        fs::write(site.configuration(), text).unwrap();
        for command in [&["serve"][..], &["check"], &["install", "any.so"]] {
            let (code, stdout, stderr) = site.with_configuration(command);
            assert_eq!(code, 78, "{command:?} {text:?}: {stdout}{stderr}");
            assert_eq!(stderr.lines().count(), errors.len(), "{command:?} {text:?}:\n{stderr}");
            for ((line, says), found) in errors.iter().zip(stderr.lines()) {
                let expected = format!("host: {}:{line}: {says}", site.configuration().display());
                assert!(
                    found.starts_with(&expected),
                    "{command:?} {text:?}: expected {expected}\n{found}"
                );
            }
            assert!(stdout.is_empty() && !stderr.contains("s3cret"), "{stdout}{stderr}");
        }
    }
}

#[test]
fn a_running_host_says_all_errors_in_one_line() {
    let site = Site::default();
    let host = site.start();
    let (text, errors) = BROKEN.last().unwrap();
    site.configure(text);
    let said = host.wait_for_change("configuration-refused");
    let said = said["error"].as_str().unwrap();
    let mut rest = said;
    for (line, says) in *errors {
        let expected = format!("{}:{line}: {says}", site.configuration().display());
        rest = &rest[rest.find(&expected).unwrap_or_else(|| panic!("{expected}\n{said}"))..];
    }
    assert!(!said.contains("s3cret"), "{said}");
    host.stop();
}

/// Each key that only a start reads is named when its value changes, and not again.
#[test]
fn what_the_next_start_changes_is_named_once() {
    let site = Site::new("plugins.poll = \"1h\"\n");
    let host = site.start();
    let mut named: Vec<String> = Vec::new();
    for (number, (text, news)) in [
        (
            "server.max_frame = 100\nprotocol.ack = \"documented\"",
            &["server.max_frame", "protocol.ack"][..],
        ),
        (
            "server.max_frame = \"100 B\"\nprotocol.ack = \"documented\"\nplugins.discover = false",
            &[],
        ),
        (
            "server.max_frame = 101\nprotocol.ack = \"documented\"",
            &["server.max_frame"],
        ),
        ("protocol.ack = \"documented\"", &[]),
        (
            "server.max_frame = 101\nplugins.dir = \"elsewhere\"",
            &["server.max_frame", "plugins.dir"],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let listen = "server.listen = \"127.0.0.1:0\"\n";
        fs::write(site.configuration(), format!("{listen}{text}\n")).unwrap();
        host.wait_for_nth_change("configuration-reread", number + 1);
        named.extend(news.iter().map(|key| (*key).to_owned()));
        let events = host.changes("next-start");
        let keys: Vec<&str> = events.iter().map(|event| event["key"].as_str().unwrap()).collect();
        assert_eq!(keys, named, "{text}");
    }
    host.stop();
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
    let host = site.start();
    let mut client = host.connect();
    client.send(&tests::client::frame(0x01, b"00000001", b""));
    assert_eq!(client.ack().command, 0x80);
    assert_eq!(client.submit(0x02, b"").result, 0xF0);
    host.stop();

    // An empty file, whose address may be in use on this machine: then that address is what it complains of.
    fs::write(site.configuration(), "").unwrap();
    let host = site.spawn(&[]);
    let in_use = host.wait_until("what became of 127.0.0.1:8888", |log| {
        let is_refused = fatal(log).contains("can't listen on 127.0.0.1:8888");
        let serves = log.iter().any(|event| event["address"] == "127.0.0.1:8888");
        (is_refused || serves).then_some(is_refused)
    });
    if in_use {
        eprintln!("SKIPPED: port 8888 is in use, so the host with an empty configuration could not serve there");
        let (status, log) = host.wait();
        assert_eq!(status.code(), Some(78), "{}", show(&log));
    } else {
        host.stop();
    }
}

#[test]
fn a_plugin_directory_that_is_missing_is_named_and_made_only_when_that_is_asked_for() {
    let site = Site::default();
    let directory = site.path().join("a b/plugins");
    let missing = format!("the plugin directory {} does not exist", directory.display());
    let cure = format!("make it (mkdir -p '{}')", directory.display());
    site.configure("plugins.dir = \"a b/plugins\"\n");
    for command in [&["serve"][..], &["check"], &["check", "--json"]] {
        let (code, stdout, stderr) = site.with_configuration(command);
        assert_eq!((code, &*stdout), (78, ""), "{command:?}: {stderr}");
        assert!(
            stderr.contains(&missing) && stderr.contains(&cure),
            "{command:?}: {stderr}"
        );
        assert!(stderr.contains("create = true"), "{stderr}");
        assert!(!directory.exists(), "{command:?}");
    }
    // A file is judged before there is a place for it.
    let file = sample("submit-echo");
    let (code, stdout, stderr) = site.with_configuration(&["check", file.to_str().unwrap()]);
    assert!(code == 0 && stdout.contains("admitted"), "{stdout}{stderr}");

    site.configure("plugins.dir = \"a b/plugins\"\nplugins.create = true\n");
    let (code, stdout, stderr) = site.with_configuration(&["check"]);
    assert!(code == 0 && stdout.ends_with("\nno plugins\n"), "{stdout}{stderr}");
    assert!(!directory.exists(), "check makes nothing");
    // Never writable by others, whatever the umask.
    let host = site.spawn_after("umask 0");
    host.wait_for("listening");
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o7777, 0o755);
    // It is followed like any other.
    fs::copy(&file, directory.join(".new")).unwrap();
    fs::rename(directory.join(".new"), directory.join("libsubmit_echo.so.1.1.0")).unwrap();
    host.wait_for_change("added");
    host.stop();
    site.start().stop();

    // What can't be made is no empty directory either.
    fs::write(site.path().join("file"), "").unwrap();
    site.configure("plugins.dir = \"file/plugins\"\nplugins.create = true\n");
    let (code, _, stderr) = site.with_configuration(&["serve"]);
    assert!(
        code == 78 && stderr.contains("can't make the plugin directory") && stderr.contains("file/plugins"),
        "{code} {stderr}"
    );
}
