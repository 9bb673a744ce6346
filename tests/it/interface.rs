//! Host and plugin may be one minor version of plugin-api apart, either way: both serve, and what the older side lacks has
//! its default. Layouts that really differ are refused whichever side is newer, and another major version before anything
//! of the library runs. Shown with real versions of the interface, in changed copies of the repository.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::client::frame;
use tests::crates::{PluginCrate, journal, lines};
use tests::files::with_record;
use tests::host::{Host, Site};
use tests::interface::{host_of, next_minor, other_type, repository};
use tests::report::{codes, refused};

#[test]
fn host_and_plugin_may_be_one_minor_version_apart_either_way() {
    let newer = repository("next-minor", "1.1.0", &next_minor());
    let (old, new) = (
        plugin("interface-old", None, "[0x10]"),
        plugin("interface-new", Some(&newer), "[0x11]"),
    );
    let (version_of_old, version_of_new) = (plugin_api(&old), plugin_api(&new));
    assert_eq!((&*version_of_old, &*version_of_new), ("1.0.0", "1.1.0"));

    // Host 1.0: the newer plugin misses what each of the host's structs will have, and what it has itself is not asked for.
    let site = site(&[&old, &new]);
    assert_eq!(site.check(&[]).0, 0);
    let host = site.start();
    assert_served(&host);
    let none = "None, None, None";
    let of_init = format!("init saw (Some(None), None, None, [{none}, None])");
    let of_batch = format!("a batch saw (None, None, [{none}], [{none}])");
    let log = host.stop();
    assert_eq!(said(&log, "interface-new"), [of_init, of_batch]);
    assert_eq!(said(&log, "interface-old"), [""; 0]);

    // Host 1.1: the newer plugin has it all, in each Submit of a batch, and the host all of the newer plugin. The older one
    // has nothing of it and serves.
    let mut site = self::site(&[&old, &new]);
    site.binary = Some(host_of(&newer));
    let (code, report) = site.check(&[]);
    assert_eq!(code, 0, "{report:#}");
    let host = site.start();
    assert_served(&host);
    let of_init = "init saw (Some(Some(101)), Some(102), Some(103), [Some(104), Some(105), Some(106), Some(107)])";
    let of_batch = "a batch saw (Some(108), Some(109), [Some(110), Some(110), Some(110)], \
                    [Some(111), Some(112), Some(112)])";
    let log = host.stop();
    assert_eq!(said(&log, "interface-new"), [of_init, of_batch]);
    assert_eq!(said(&log, "interface-old"), [""; 0]);
    let seen = |message: &str, key: &str, plugin: &str| {
        let events = log
            .iter()
            .filter(|event| event["message"] == message && event[key] == plugin);
        let seen = events.map(|event| event["seen"].as_str().unwrap().to_owned());
        seen.collect::<BTreeSet<String>>().into_iter().collect::<Vec<String>>()
    };
    assert_eq!(seen("module", "plugin", "interface-old"), ["None"]);
    assert_eq!(seen("module", "plugin", "interface-new"), ["Some(113)"]);
    // What the plugin's author says has one thing about it, and what plugin-api says by itself has none.
    assert_eq!(seen("event", "of", "interface_old"), ["(None, [None])"]);
    assert_eq!(
        seen("event", "of", "interface_new"),
        ["(Some(114), [Some(115)])", "(Some(114), [])"]
    );
}

#[test]
fn a_really_different_layout_is_refused_whichever_side_is_newer() {
    let newer = repository("next-minor", "1.1.0", &next_minor());
    let same_version = repository("other-type", "1.0.0", &other_type());
    let newer_too = repository("other-type-next", "1.1.0", &other_type());
    let same = plugin("interface-other", Some(&same_version), "[0x10]");
    let next = plugin("interface-other-next", Some(&newer_too), "[0x10]");
    // A record that claims more than the library has.
    let lying = scratch_file("libinterface_old.so");
    with_record(&plugin("interface-old", None, "[0x10]"), &lying, |record| {
        let mut packages = record.packages.iter_mut();
        let plugin_api = packages.find(|package| package.name == "plugin-api");
        plugin_api.unwrap().version.minor = 1;
    });

    let next_host = host_of(&newer);
    let cases: [(&str, &Path, Option<&PathBuf>); 5] = [
        ("the same version", &same, None),
        ("a newer plugin", &next, None),
        ("an older plugin", &same, Some(&next_host)),
        ("the same newer version", &next, Some(&next_host)),
        ("an older plugin that calls itself newer", &lying, Some(&next_host)),
    ];
    for (what, library, binary) in cases {
        let mut site = site(&[library]);
        site.binary = binary.cloned();
        let host = site.start();
        assert_eq!(host.connect().submit(0x10, b"").result, 0xF0, "{what}");
        let refusals = refused(&host);
        let found: Vec<&str> = refusals.iter().map(|[_, code, ..]| &**code).collect();
        assert_eq!(found, ["load-layout"], "{what}: {refusals:#?}");
        host.stop();
    }
}

#[test]
fn another_major_version_is_refused_before_anything_of_the_library_runs() {
    let major = repository("next-major", "2.0.0", &[]);
    let library = plugin("interface-major", Some(&major), "[0x10]");
    let site = Site::default();
    let constructed = site.path().join("constructed");
    site.copy(&library, "libinterface_major.so.1.0.0");
    let (code, report) = site.check(&[]);
    assert_eq!(
        (code, codes(&report["files"][0])),
        (1, vec!["abi-plugin-api"]),
        "{report:#}"
    );
    let host = site.spawn(&[("CONSTRUCTED", constructed.to_str().unwrap())]);
    assert_eq!(host.connect().submit(0x10, b"").result, 0xF0);
    let refusals = refused(&host);
    host.stop();
    assert!(!constructed.exists(), "the library's constructor ran");
    let [[_, code, _, ours, theirs, _]] = &refusals.into_iter().collect::<Vec<_>>()[..] else {
        panic!("one refusal");
    };
    assert_eq!((&**code, &**theirs), ("abi-plugin-api", "2.0.0"));
    assert!(ours.starts_with("1.0.0 "), "{ours}");

    // The same source is loaded with the host's own interface, and then its constructor does leave its mark.
    let site = self::site(&[&plugin("interface-old", None, "[0x10]")]);
    let host = site.spawn(&[("CONSTRUCTED", constructed.to_str().unwrap())]);
    assert_eq!(host.connect().submit(0x10, b"").result, 0);
    assert_eq!(lines(&constructed), ["constructed"]);
    host.stop();
}

fn plugin(name: &str, repository: Option<&Path>, commands: &str) -> PathBuf {
    let mut plugin: PluginCrate = journal(name);
    plugin.commands = Some(commands.to_owned());
    if let Some(repository) = repository {
        plugin.repository = repository.to_owned();
    }
    plugin.library()
}

fn site(libraries: &[&Path]) -> Site {
    let site = Site::default();
    for library in libraries {
        let file = library.file_name().unwrap().to_str().unwrap();
        site.copy(library, &format!("{file}.1.0.0"));
    }
    site
}

/// Two plugins, on 0x10 and 0x11, each with three Submits in a read.
#[track_caller]
fn assert_served(host: &Host) {
    let mut client = host.connect();
    for command in [0x10, 0x11] {
        client.send(&frame(command, b"00000001", b"payload").repeat(3));
        for _ in 0..3 {
            let ack = client.ack();
            assert_eq!((ack.id, ack.result), (*b"00000001", 0), "{command:#x}");
        }
    }
}

/// What a plugin of the next version says that it sees.
fn said(log: &[Value], plugin: &str) -> Vec<String> {
    let target = format!("plugin.{plugin}");
    let said = log.iter().filter(|event| event["target"] == target);
    let said = said.map(|event| event["message"].as_str().unwrap().to_owned());
    said.filter(|message| message.contains(" saw ")).collect()
}

/// The version of the interface that a library was built with.
fn plugin_api(library: &Path) -> String {
    let record = Site::default().inspect(library);
    let packages = record["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "plugin-api").unwrap();
    package["version"].as_str().unwrap().to_owned()
}

fn scratch_file(name: &str) -> PathBuf {
    let folder = tests::cargo::scratch().join("built/interface-lying");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}
