//! Host and plugin may be one minor version of plugin-api apart, either way: both serve, and what the older side lacks has
//! its default. Layouts that really differ are refused whichever side is newer, and another major version before anything
//! of the library runs. Shown with real versions of the interface, in changed copies of the repository.

use std::path::{Path, PathBuf};

use tests::crates::{PluginCrate, journal, lines};
use tests::files::with_record;
use tests::host::{Host, Site};
use tests::interface::{OTHER_TYPE, SIXTH_FUNCTION, host_of, repository};
use tests::report::{codes, refused};

#[test]
fn host_and_plugin_may_be_one_minor_version_apart_either_way() {
    let newer = repository("next-minor", "1.1.0", SIXTH_FUNCTION);
    let (old, new) = (
        plugin("interface-old", None, "[0x10]"),
        plugin("interface-new", Some(&newer), "[0x11]"),
    );
    let (version_of_old, version_of_new) = (plugin_api(&old), plugin_api(&new));
    assert_eq!((&*version_of_old, &*version_of_new), ("1.0.0", "1.1.0"));

    // Host 1.0: the newer plugin's sixth function is not asked for.
    let site = site(&[&old, &new]);
    assert_eq!(site.check(&[]).0, 0);
    let host = site.start();
    assert_served(&host);
    host.stop();

    // Host 1.1: the older plugin's sixth function is the default.
    let mut site = self::site(&[&old, &new]);
    site.binary = Some(host_of(&newer));
    let (code, report) = site.check(&[]);
    assert_eq!(code, 0, "{report:#}");
    let host = site.start();
    assert_served(&host);
    let number = |plugin: &str| {
        let events = host.events("number");
        let event = events.iter().find(|event| event["plugin"] == plugin).unwrap();
        event["number"].as_u64().unwrap()
    };
    assert_eq!((number("interface-old"), number("interface-new")), (7, 11));
    host.stop();
}

#[test]
fn a_really_different_layout_is_refused_whichever_side_is_newer() {
    let newer = repository("next-minor", "1.1.0", SIXTH_FUNCTION);
    let same_version = repository("other-type", "1.0.0", OTHER_TYPE);
    let newer_too = repository("other-type-next", "1.1.0", OTHER_TYPE);
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

/// Two plugins, on 0x10 and 0x11.
#[track_caller]
fn assert_served(host: &Host) {
    let mut client = host.connect();
    for command in [0x10, 0x11] {
        assert_eq!(client.submit(command, b"").result, 0, "{command:#x}");
    }
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
