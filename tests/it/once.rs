//! A plugin is initialised once and its library's start-up code runs once, however many names lead to it; and judging a
//! file runs nothing of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tests::cargo::{run, text};
use tests::crates::{journal, life, lines};
use tests::files::{with_identity, with_record};
use tests::host::{Site, show};

const NAME: &str = "once-probe";
const REAL: &str = "libonce_probe.so.1.0.0";

/// What is put into the plugin directory beside [`REAL`], and the refusals that it gives.
type Way = (&'static str, fn(&Path), &'static [&'static str]);

const WAYS: &[Way] = &[
    ("its real name alone", |_| {}, &[]),
    (
        "a copy under a second real name",
        |dir| copy(dir, "libonce_probe.so.1.0"),
        &[],
    ),
    (
        "a hard link under a second real name",
        |dir| hard_link(dir, "libonce_probe.so.1.0"),
        &[],
    ),
    (
        "a symlink under a second real name",
        |dir| link(dir, REAL, "libonce_probe.so.1.0"),
        &[],
    ),
    ("a copy at the soname", |dir| copy(dir, "libonce_probe.so.1"), &[]),
    (
        "a hard link at the soname",
        |dir| hard_link(dir, "libonce_probe.so.1"),
        &[],
    ),
    ("its link", |dir| link(dir, REAL, "libonce_probe.so.1"), &[]),
    (
        "a chain of links",
        |dir| {
            link(dir, REAL, "libonce_probe.so.1.0");
            link(dir, "libonce_probe.so.1.0", "libonce_probe.so.1");
        },
        &[],
    ),
    (
        "every real name, and the link",
        |dir| {
            copy(dir, "libonce_probe.so.1.0");
            link(dir, "libonce_probe.so.1.0", "libonce_probe.so.1");
        },
        &[],
    ),
    (
        "a symlink under another plugin's name",
        |dir| link(dir, REAL, "libother.so.1"),
        &["link-soname"],
    ),
    (
        "a copy under another plugin's name",
        |dir| copy(dir, "libother.so.1.0.0"),
        &["name-record", "soname-file"],
    ),
    (
        "a hard link under another plugin's name",
        |dir| hard_link(dir, "libother.so.1.0.0"),
        &["name-record", "soname-file"],
    ),
    (
        "a copy under another version's name",
        |dir| copy(dir, "libonce_probe.so.1.2.0"),
        &["version-record"],
    ),
    (
        "a newer version beside it",
        |dir| with_identity(&dir.join(REAL), &dir.join("libonce_probe.so.1.1.0"), NAME, "1.1.0"),
        &[],
    ),
    (
        "other content of the same version beside it",
        |dir| with_record(&dir.join(REAL), &dir.join("libonce_probe.so.1.0"), |_| {}),
        &[],
    ),
];

#[test]
fn a_plugin_is_initialised_once_however_it_is_reached() {
    let library = journal(NAME).library();
    for (way, prepare, refusals) in WAYS {
        let site = Site::default();
        site.copy(&library, REAL);
        prepare(&site.plugins());
        let constructed = site.path().join("constructed");
        let host = site.spawn(&[("CONSTRUCTED", constructed.to_str().unwrap())]);
        assert_eq!(host.connect().submit(0x10, b"").result, 0, "{way}");
        let log = host.stop();
        // Once in the process that tries it out, and once in the host.
        for journal in [&constructed.with_extension("trial"), &constructed] {
            assert_eq!(lines(journal), ["constructed"], "{way}:\n{}", show(&log));
        }
        assert_eq!(
            life(&site.plugins(), NAME),
            ["init", "shutdown", "drop"],
            "{way}:\n{}",
            show(&log)
        );
        let serving = log.iter().filter(|event| event["message"] == "serving").count();
        assert_eq!(serving, 1, "{way}:\n{}", show(&log));
        let refused: Vec<&str> = log.iter().filter_map(|event| event["code"].as_str()).collect();
        assert_eq!(refused, *refusals, "{way}:\n{}", show(&log));
    }
}

#[test]
fn judging_a_file_runs_nothing_of_it() {
    let library = journal(NAME).library();
    let site = Site::default();
    let constructed = site.path().join("constructed");
    let file = library.to_str().unwrap();
    for arguments in [&["inspect", file][..], &["check", file], &["install", file], &["check"]] {
        let mut command = site.command();
        command.env("CONSTRUCTED", &constructed).args(arguments);
        if arguments[0] != "inspect" {
            command.arg("--plugins").arg(site.configuration());
        }
        let output = run(&mut command);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        assert!(!constructed.exists(), "{arguments:?} ran the library's constructor");
    }
    // The same library does write there when it is loaded, so the file would have shown it.
    let host = site.spawn(&[("CONSTRUCTED", constructed.to_str().unwrap())]);
    host.wait_for("listening");
    assert_eq!(lines(&constructed), ["constructed"]);
    host.stop();
}

#[test]
fn a_restart_begins_a_life_of_its_own() {
    let library = journal(NAME).library();
    let site = Site::with("", &[&library]);
    for start in 1..=2 {
        let host = site.start();
        assert_eq!(host.connect().submit(0x10, b"").result, 0);
        host.stop();
        assert_eq!(
            life(&site.plugins(), NAME),
            ["init", "shutdown", "drop"].repeat(start),
            "start {start}"
        );
    }
}

fn copy(directory: &Path, name: &str) {
    fs::copy(directory.join(REAL), directory.join(name)).unwrap();
}

fn hard_link(directory: &Path, name: &str) {
    fs::hard_link(directory.join(REAL), directory.join(name)).unwrap();
}

fn link(directory: &Path, target: &str, name: &str) {
    symlink(target, directory.join(name)).unwrap();
}
