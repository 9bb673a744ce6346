//! Libraries that take static TLS, of which a process has little and gets nothing back: how much is told, and the one that finds
//! too little is refused for just that, with a cure that works; what serves goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tests::cargo::{scratch, succeed, text};
use tests::crates::{PluginCrate, source, write};
use tests::files::with_identity;
use tests::host::{Host, Site, show};
use tests::report::{codes, named};

/// The reserve of glibc, by default.
const RESERVE: u64 = 1664;

/// Start-up code that ends the process if there is a file to remove, once.
const CONSTRUCTOR: &str = r#"
unsafe extern "C" { safe fn touch(i: i32) -> i32; }

#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static CONSTRUCTOR: extern "C" fn() = construct;

extern "C" fn construct() {
    if std::env::var_os("STATIC_TLS_MARK").is_some_and(|mark| std::fs::remove_file(mark).is_ok()) {
        std::process::abort();
    }
}
"#;

// Long: one story, whose steps need each other.
#[test]
fn a_version_that_finds_too_little_is_refused_and_the_cure_makes_room() {
    let (site, library) = (Site::default(), library());
    let size = site.inspect(library)["static_tls"]["size"].as_u64().unwrap();
    let fitting = RESERVE / size;
    bring(&site, 'a', 0);
    let host = site.start();
    for version in 1..fitting {
        bring(&site, 'a', version);
        wait_for_upgrade(&host, version);
    }
    let warning = "too little static TLS is left for another version of this plugin, by estimate: restart the host, which frees \
                   what older ones hold, or raise glibc.rtld.optional_static_tls in GLIBC_TUNABLES";
    assert_eq!(host.wait_for(warning)["total"], RESERVE);
    bring(&site, 'a', fitting);
    let refused = host.wait_for_change("refused");
    let said = |key: &str| refused[key].as_str().unwrap().to_owned();
    assert_eq!(
        (said("code"), said("field")),
        ("static-tls".into(), "static TLS".into())
    );
    assert!(
        said("found").starts_with(&format!("needs {size} bytes, aligned to ")),
        "{refused:#}"
    );
    assert!(
        said("host").ends_with(&format!(" of {RESERVE} bytes left")),
        "{refused:#}"
    );
    // The process that tried it out had no more than the host: which has opened nothing for it.
    assert_eq!(host.changes("opening").len() as u64, fitting, "{}", show(&host.log()));
    assert_eq!(host.connect().submit(0x10, b"").result, 0);

    let (code, report) = site.check(&[]);
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(report["plugins"].as_array().unwrap().len(), 1, "{report:#}");
    let beside = &report["plugins"][0];
    assert_eq!(
        (
            &beside["plugin"],
            &beside["refusal"]["code"],
            &beside["refusal"]["cure"]
        ),
        (&"static-tls-a".into(), &"static-tls".into(), &refused["cure"])
    );
    let (_, table, _) = site.with_configuration(&["check"]);
    assert!(
        table.contains(&format!("static TLS: {size} bytes, aligned to")),
        "{table}"
    );
    host.stop();
    let (code, report) = site.check(&[]);
    assert_eq!(
        (code, &report["plugins"]),
        (0, &json!([])),
        "a start has room for one: {report:#}"
    );

    let line = format!("{}\nprintf %s \"$GLIBC_TUNABLES\"", said("cure"));
    let tunables = text(&succeed(
        Command::new("sh").env_remove("GLIBC_TUNABLES").args(["-c", &line]),
    ));
    let host = site.spawn(&[("GLIBC_TUNABLES", &tunables)]);
    host.wait_for("listening");
    for version in fitting + 1..fitting + 8 {
        bring(&site, 'a', version);
        wait_for_upgrade(&host, version);
    }
    assert_eq!(host.changes("refused"), Vec::<Value>::new());
    host.stop();
}

/// What takes the room in the host may not open a second time. That is not the newcomer's fault: what it finds in the host
/// counts.
#[test]
fn start_up_code_that_works_only_once_is_not_blamed_on_a_newcomer() {
    let (site, size) = (Site::default(), size());
    let mark = site.path().join("mark");
    bring(&site, 'a', 0);
    let host = site.spawn(&[("STATIC_TLS_MARK", mark.to_str().unwrap())]);
    host.wait_for("listening");
    let fitting = RESERVE / size;
    for version in 1..fitting {
        bring(&site, 'a', version);
        wait_for_upgrade(&host, version);
    }
    fs::write(&mark, "").unwrap();
    bring(&site, 'a', fitting);
    let refused = host.wait_for_change("refused");
    assert_eq!(refused["code"], "static-tls", "{refused:#}");
    host.wait_for("what takes static TLS here can't be opened in the child as well: tried out without it");
    assert_eq!(
        host.changes("opening").len() as u64,
        fitting + 1,
        "{}",
        show(&host.log())
    );
    assert!(!mark.exists());
    assert_eq!(host.connect().submit(0x10, b"").result, 0);
    host.stop();
}

#[test]
fn check_opens_together_what_a_start_would_open_and_nothing_else() {
    let fitting = RESERVE / size();
    let tables: String = ('a'..='f')
        .zip(0x20..)
        .map(|(name, command)| format!("[plugin.static-tls-{name}]\ncommands = [{command}]\n"))
        .collect();
    let site = Site::new(&tables);
    let files: Vec<PathBuf> = ('a'..='f').map(|name| bring(&site, name, 0)).collect();
    let verdicts = |site: &Site, files: &[PathBuf]| -> Vec<Vec<String>> {
        let (_, stdout, stderr) = site.with_configuration(&["check", "--load", "--json"]);
        let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
        let codes = |file: &PathBuf| codes(named(&report, file)).into_iter().map(str::to_owned).collect();
        files.iter().map(codes).collect()
    };
    for (number, codes) in verdicts(&site, &files).iter().enumerate() {
        let expected: &[&str] = if (number as u64) < fitting {
            &[]
        } else {
            &["static-tls"]
        };
        assert_eq!(codes, expected, "{number}");
    }
    // One that is refused for something else takes nothing in a host, and nothing from the others.
    site.configure(&tables.replacen("]\n", "]\nconfig.none = 1\n", 1));
    for (number, codes) in verdicts(&site, &files).iter().enumerate() {
        let expected: &[&str] = match number as u64 {
            0 => &["load-config"],
            number if number <= fitting => &[],
            _ => &["static-tls"],
        };
        assert_eq!(codes, expected, "{number}");
    }
    // Of several versions a start opens one.
    let site = Site::default();
    let files: Vec<PathBuf> = (0..=fitting).map(|version| bring(&site, 'a', version)).collect();
    assert!(verdicts(&site, &files).iter().all(Vec::is_empty));
}

#[test]
fn an_alignment_that_no_tunable_gives_is_named() {
    let site = Site::default();
    let file = site.copy(&built("static-tls-wide", "aligned(128)"), "libstatic_tls_wide.so.1.0.0");
    assert_eq!(site.inspect(&file)["static_tls"]["align"], 128);
    let (_, stdout, _) = site.with_configuration(&["check", "--load", "--json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let refusal = &named(&report, &file)["refusals"][0];
    assert_eq!(
        (&refusal["code"], &refusal["host"]),
        (&"static-tls".into(), &"an alignment of at most 64 bytes".into()),
        "{report:#}"
    );
}

/// A plugin, static-tls-a 1.0.0, which takes some of the reserve.
pub(crate) fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| built("static-tls-a", "aligned(1)"))
}

fn size() -> u64 {
    Site::default().inspect(library())["static_tls"]["size"]
        .as_u64()
        .unwrap()
}

fn built(name: &str, attribute: &str) -> PathBuf {
    // Not into the crate's folder: new files there would have it built anew each time.
    let folder = scratch().join("static-tls").join(name);
    let (code, object) = (folder.join("code.c"), folder.join("code.o"));
    write(
        &code,
        &format!(
            "static __thread volatile char buffer[500] __attribute__((tls_model(\"initial-exec\"), {attribute}));\n\
             int touch(int i) {{ return buffer[i % 500]++; }}\n"
        ),
    );
    succeed(
        Command::new("cc")
            .args(["-c", "-fPIC"])
            .arg(&code)
            .arg("-o")
            .arg(&object),
    );
    let mut plugin = PluginCrate::new(name).linked_with(&[object.to_str().unwrap()]);
    plugin.source = source(CONSTRUCTOR, "touch(1); Ack::ok()");
    plugin.library()
}

/// Puts static-tls-NAME 1.0.VERSION into the plugin directory.
fn bring(site: &Site, name: char, version: u64) -> PathBuf {
    let made = site.path().join("made");
    with_identity(
        library(),
        &made,
        &format!("static-tls-{name}"),
        &format!("1.0.{version}"),
    );
    let target: &Path = &site.plugins().join(format!("libstatic_tls_{name}.so.1.0.{version}"));
    fs::rename(made, target).unwrap();
    target.to_owned()
}

#[track_caller]
fn wait_for_upgrade(host: &Host, version: u64) {
    host.wait_for_change_where("upgraded", "version", &format!("1.0.{version}"));
}
