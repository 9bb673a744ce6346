//! The command line: exit codes, results on standard output and nothing else there, and JSON with the fields that
//! are documented. (Reports of `check` are in `check`.)

use std::fs::{self, OpenOptions};
use std::process::{Output, Stdio};

use serde_json::Value;
use tests::cargo::{root, sample};
use tests::host::Site;

/// Arguments, exit code, and what standard output and standard error hold. `FILE` is cargo's submit-echo, `TEXT` a text.
const CALLS: &[(&[&str], i32, &str, &str)] = &[
    (&["--help"], 0, "Exit codes: 0 good", ""),
    (&["--version"], 0, "host 1.", ""),
    (&["-V"], 0, "host 1.", ""),
    (&["-h"], 0, "Usage: host", ""),
    (&["help"], 0, "Usage: host", ""),
    (&["help", "check"], 0, "Usage: host check", ""),
    (&["help", "submit"], 0, "Usage: host submit", ""),
    (&["help", "chek"], 2, "", "'chek'"),
    (&["serve", "--help"], 0, "Usage: host serve", ""),
    (&["check", "--help"], 0, "Usage: host check", ""),
    (&["inspect", "--help"], 0, "Usage: host inspect", ""),
    (&["fingerprint", "--help"], 0, "Usage: host fingerprint", ""),
    (&["align", "--help"], 0, "Usage: host align", ""),
    (&["align"], 2, "", "<CRATE_DIR>"),
    (&["install", "--help"], 0, "Usage: host install", ""),
    (&["submit", "--help"], 0, "Usage: host submit", ""),
    (
        &["submit", "--help"],
        0,
        "each line of the standard input is a payload",
        "",
    ),
    (&["bench", "--help"], 0, "(an open loop)", ""),
    (&["fingerprint"], 0, "compiler    rustc ", ""),
    (&["inspect", "FILE"], 0, "soname      libsubmit_echo.so.1\n", ""),
    (
        &["check", "FILE"],
        0,
        "submit-echo 1.1.0 admitted; layout: at load |",
        "",
    ),
    (&["check", "TEXT"], 1, "file-format", ""),
    (&["check", "FILE", "TEXT"], 1, "admitted; layout: at load |", ""),
    (&["check", "nowhere.so"], 1, "refused", ""),
    (&["inspect", "TEXT"], 1, "", "not "),
    (&["inspect", "nowhere.so"], 1, "", "nowhere.so"),
    (
        &["submit", "--addr", "127.0.0.1:1", "x"],
        1,
        "",
        "can't reach a host at 127.0.0.1:1; does it run?",
    ),
    (&["--log-format", "json", "check", "FILE"], 0, "admitted", ""),
    (&["check", "FILE", "--log-format", "json"], 0, "admitted", ""),
    (&[], 2, "", "Usage: host"),
    (
        &["--plugins", "plugins.toml", "fingerprint"],
        2,
        "",
        "name --plugins after the subcommand: host fingerprint --plugins plugins.toml",
    ),
    (
        &["--plugins", "a b.toml", "check", "--json"],
        2,
        "",
        "host check --plugins 'a b.toml'",
    ),
    (
        &["--plugins", "plugins.toml", "check"],
        2,
        "",
        "host check --plugins plugins.toml",
    ),
    (
        &["--log-format", "json", "--plugins", "plugins.toml", "install"],
        2,
        "",
        "host install --plugins plugins.toml",
    ),
    (
        &["--plugins", "plugins.toml", "submit"],
        2,
        "",
        "host submit takes no --plugins",
    ),
    (
        &["--plugins", "plugins.toml", "check", "--help"],
        0,
        "Usage: host check",
        "",
    ),
    (&["serve"], 2, "", "--plugins <FILE>"),
    (&["--plugins"], 2, "", "'--plugins <FILE>'"),
    (&["check", "--plugins"], 2, "", "'--plugins <FILE>'"),
    (&["--plugin", "plugins.toml"], 2, "", "'--plugins'"),
    (&["chek"], 2, "", "'check'"),
    (&["check", "--jsn", "FILE"], 2, "", "'--json'"),
    (&["install"], 2, "", "<FILE>"),
    (&["check"], 2, "", "Usage: host check"),
    (&["check", "--json"], 2, "", "Usage: host check"),
    (&["install", "FILE"], 2, "", "--plugins <FILE>"),
    (&["inspect"], 2, "", "<FILE>"),
    (&["frobnicate"], 2, "", "frobnicate"),
    (&["check", "--nonsense"], 2, "", "--nonsense"),
    (
        &["submit", "-c", "0x80", "x"],
        2,
        "",
        "\"0x80\" is no Submit command: 0x02 to 0x7f",
    ),
    (&["submit", "-c", "1", "x"], 2, "", "\"1\" is no Submit command"),
    (&["submit", "-c", "echo", "x"], 2, "", "\"echo\" is no Submit command"),
    (
        &["--log-format", "xml", "fingerprint"],
        2,
        "",
        "[possible values: text, json]",
    ),
    (
        &["--plugins", "nowhere.toml"],
        78,
        "",
        "can't read the configuration nowhere.toml",
    ),
    (
        &["check", "--plugins", "nowhere.toml"],
        78,
        "",
        "can't read the configuration nowhere.toml",
    ),
    (
        &["install", "FILE", "--plugins", "nowhere.toml"],
        78,
        "",
        "can't read the configuration nowhere.toml",
    ),
];

#[test]
fn exit_codes_and_streams_are_as_documented() {
    let site = Site::default();
    let file = sample("submit-echo");
    let text = site.path().join("libtext.so");
    fs::write(&text, "not a library").unwrap();
    for (call, code, in_stdout, in_stderr) in CALLS {
        let arguments = call.iter().map(|argument| match *argument {
            "FILE" => file.to_str().unwrap(),
            "TEXT" => text.to_str().unwrap(),
            other => other,
        });
        let output = site.host(&arguments.collect::<Vec<_>>());
        let (stdout, stderr) = streams(&output);
        assert_eq!(output.status.code(), Some(*code), "{call:?}:\n{stdout}\n{stderr}");
        for (name, found, expected) in [("stdout", &stdout, in_stdout), ("stderr", &stderr, in_stderr)] {
            assert!(
                found.contains(expected),
                "{call:?}: expected {expected:?} on {name}, found {found:?}"
            );
            assert!(
                !expected.is_empty() || found.is_empty(),
                "{call:?}: expected nothing on {name}, found {found:?}"
            );
            assert!(
                !found.contains('\x1b'),
                "{call:?}: colour on {name}, which is no terminal: {found:?}"
            );
        }
    }
}

#[test]
fn a_records_json_has_the_documented_fields() {
    let site = Site::default();
    let echo = sample("submit-echo");
    for (call, name) in [
        (&["inspect", "--json", echo.to_str().unwrap()][..], "submit-echo"),
        (&["fingerprint", "--json"], "host"),
    ] {
        let mut record: Value = serde_json::from_slice(&site.host(call).stdout).unwrap();
        if name == "host" {
            assert_eq!(keys(&record), "policy record");
            assert_eq!(keys(&record["policy"]), "compiler dependencies packages");
            record = record["record"].take();
        }
        assert_eq!(record["name"], name, "{call:?}");
        let fields = "build commands compiler description name packages panic pointer_width target version";
        assert_eq!(keys(&record), fields, "{call:?}");
        assert_eq!(
            keys(&record["compiler"]),
            "channel commit release version_line",
            "{call:?}"
        );
        let fields = "dependencies features identity name native version";
        assert_eq!(keys(&record["packages"][0]), fields, "{call:?}");
        assert_eq!(keys(&record["build"]), "git opt_level profile", "{call:?}");
        assert_eq!(
            (&record["packages"][0]["name"], &record["panic"]),
            (&name.into(), &"unwind".into()),
            "{call:?}"
        );
    }
}

/// Runs `host ARGUMENTS` with this as its standard output; gives exit code and standard error.
fn with_output(site: &Site, arguments: &[&str], stdout: impl Into<Stdio>) -> (Option<i32>, String) {
    let mut command = site.command();
    command.args(arguments).stdout(stdout).stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_reader_that_goes_away_and_a_full_disk_are_told_apart() {
    let site = Site::default();
    let file = sample("submit-echo");
    let file = file.to_str().unwrap();
    for (call, no_reader) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["help", "check"], 0),
        (&["check", "--help"], 0),
        (&["inspect", file], 141),
        (&["inspect", "--json", file], 141),
        (&["check", file], 141),
        (&["check", "--json", file], 141),
        (&["check", "nowhere.so"], 141),
        (&["fingerprint"], 141),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(
            with_output(&site, call, writer),
            (Some(no_reader), String::new()),
            "{call:?}: nobody reads"
        );
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (code, stderr) = with_output(&site, call, full);
        assert_eq!(code, Some(1), "{call:?}: {stderr}");
        assert!(
            stderr.starts_with("host: can't write the output: No space left on device") && stderr.lines().count() == 1,
            "{call:?}: {stderr}"
        );
    }
}

#[test]
fn help_lists_the_commands_that_the_readme_lists() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let listed = readme
        .split("\n## Commands\n")
        .nth(1)
        .unwrap()
        .split("```")
        .nth(1)
        .unwrap();
    let listed = listed
        .lines()
        .filter_map(|line| line.strip_prefix("host ")?.split(' ').next());
    let listed: Vec<&str> = listed
        .map(|word| if word == "--plugins" { "serve" } else { word })
        .collect();
    let help = streams(&Site::default().host(&["help"])).0;
    let shown = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let shown = shown.lines().filter_map(|line| line.split_whitespace().next());
    let shown: Vec<&str> = shown.filter(|word| *word != "help").collect();
    assert_eq!(shown, listed, "left: `host help`, right: the README");
}

#[test]
fn the_log_is_text_or_json_and_never_on_standard_output() {
    for (format, is_json) in [("text", false), ("json", true)] {
        // A required plugin that is missing: the host logs and ends by itself.
        let site = Site::new("[plugin.absent]\nrequired = true\n");
        let (code, stdout, stderr) = site.with_configuration(&["serve", "--log-format", format]);
        assert_eq!((code, &*stdout), (78, ""), "{stderr}");
        assert!(!stderr.contains('\x1b'), "{format}: {stderr}");
        let refusal = stderr.lines().find(|line| line.contains("plugin-missing"));
        let refusal = refusal.unwrap_or_else(|| panic!("{format}: {stderr}"));
        assert_eq!(serde_json::from_str::<Value>(refusal).is_ok(), is_json, "{refusal}");
        assert!(is_json || refusal.contains(" ERROR host::"), "{refusal}");
    }
}

fn streams(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// The keys of an object, sorted.
pub(crate) fn keys(object: &Value) -> String {
    let mut keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys.join(" ")
}
