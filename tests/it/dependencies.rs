//! The crates that host and plugin both link in one compatibility line are compared by version and by content. Those that
//! plugin-api brings must be the same; other differences are shown and refuse nothing, unless the policy asks for all
//! (`dependencies = "exact"`). A difference names the crate, both versions and who needs them, and comes with a cure that works
//! as it stands. Shown with a small crate that the host links through its command line parser and plugin-api does not link.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::cargo::{cargo, root, run, scratch, skipped_without_registry, succeed, text};
use tests::crates::{PluginCrate, copy_folder, write};
use tests::host::Site;

pub(super) const CRATE: &str = "utf8parse";
/// In one line with the host's version.
pub(super) const OLD: &str = "0.2.1";

/// A crate that plugin-api brings, and a version in one line with the host's.
const BROUGHT: (&str, &str) = ("serde_json", "1.0.140");

// Long: one story, whose steps need each other.
#[test]
fn by_default_what_plugin_api_brings_must_be_the_same_and_other_differences_are_shown() {
    let native = scratch().join("crates/dependencies-native");
    let manifest = "[package]\nname = \"native\"\nversion = \"1.2.3\"\nedition = \"2024\"\n\
        links = \"dependencies_native\"\n[workspace]\n";
    write(&native.join("Cargo.toml"), manifest);
    write(&native.join("build.rs"), "fn main() {}\n");
    write(&native.join("src/lib.rs"), "");
    let dependencies = format!("native = {{ path = {native:?} }}\nserde_json = \"1\"\n");
    let plugin = plugin("dependencies-default", &dependencies);
    let _ = fs::remove_file(plugin.folder().join("Cargo.lock")); // from an earlier run that failed midway
    if !pinned(&plugin, CRATE, OLD) {
        return;
    }
    let site = Site::default();
    let library = plugin.library();
    let (code, report) = site.check(&[&library]);
    assert_eq!(code, 0, "{report:#}");
    let file = &report["files"][0];
    let [difference] = &file["differences"].as_array().unwrap()[..] else {
        panic!("one difference, found {report:#}")
    };
    assert_eq!(
        (&difference["code"], &difference["field"]),
        (&json!("dependency"), &json!(format!("dependency {CRATE}")))
    );
    let [note] = &file["notes"].as_array().unwrap()[..] else {
        panic!("one note, found {report:#}")
    };
    assert_eq!(
        (&note["code"], &note["plugin"]),
        (&json!("native-code"), &json!("native 1.2.3"))
    );
    assert_eq!(site.inspect(&library)["notes"], json!([note]));
    let (_, table, _) = site.with_configuration(&["check", library.to_str().unwrap()]);
    for says in ["accepted: dependency", "note: native-code", "\nnote native-code: "] {
        assert!(table.contains(says), "no {says:?} in\n{table}");
    }

    let (_, installed, _) = site.with_configuration(&["install", library.to_str().unwrap()]);
    assert!(installed.contains("\nnote native-code: "), "{installed}");
    let host = site.start();
    assert_eq!(host.connect().submit(0x10, b"").result, 0);
    assert_eq!(host.wait_for_change("difference")["field"], difference["field"]);
    assert_eq!(host.wait_for_change("noted")["found"], note["plugin"]);
    let log = host.stop();
    let noted = log.iter().filter(|event| event["message"] == "accepted with a note");
    assert_eq!(noted.count(), 1, "the file and its link are one content");

    // One of the interface refuses, and hides nothing of the rest.
    let (brought, old) = BROUGHT;
    assert!(pinned(&plugin, brought, old));
    let library = plugin.library();
    let refusal = only_refusal(&site, &library);
    assert_eq!(refusal["field"], format!("dependency {brought}"));
    assert!(
        refusal["host"].as_str().unwrap().contains("), needed by host"),
        "{refusal:#}"
    );
    let file = site.check(&[&library]).1["files"][0].take();
    assert_eq!(
        (&file["differences"], &file["notes"]),
        (&json!([difference]), &json!([note]))
    );
    succeed(&mut plugin.shell(refusal["cure"].as_str().unwrap()));
    let (code, report) = site.check(&[&plugin.library()]);
    assert_eq!(code, 0, "{report:#}");
}

#[test]
fn another_version_of_a_shared_crate_is_refused_with_a_cure_that_works_or_accepted() {
    let ours = hosts_version();
    assert_ne!(ours, OLD, "choose another version for this test");
    // Of strsim the host has a later line: another crate, and no difference.
    let plugin = plugin("dependencies-old", "strsim = \"0.10\"\n");
    if !pinned(&plugin, CRATE, OLD) {
        return;
    }
    let library = plugin.library();
    assert!(packages(&Site::default().inspect(&library)).contains(&("strsim".to_owned(), "0.10.0".to_owned())));

    let site = exact();
    let refusal = only_refusal(&site, &library);
    assert_eq!(refusal["code"], "dependency");
    assert_eq!(refusal["field"], format!("dependency {CRATE}"));
    let (host, found) = (refusal["host"].as_str().unwrap(), refusal["plugin"].as_str().unwrap());
    assert!(host.starts_with(&format!("{ours} (registry ")), "{refusal:#}");
    assert!(host.contains("), needed by host > clap > "), "{refusal:#}");
    assert!(found.starts_with(&format!("{OLD} (registry ")), "{refusal:#}");
    assert!(found.ends_with("), needed by dependencies-old > helper"), "{refusal:#}");

    let accepting = Site::new("[policy]\ndependencies = \"any\"\n");
    let (code, report) = accepting.check(&[&library]);
    assert_eq!(code, 0, "{report:#}");
    let file = &report["files"][0];
    let mut difference = file["differences"][0].clone();
    let cure = difference["cure"].as_str().unwrap();
    assert!(cure.ends_with(" # the policy accepts it as it is"), "{cure}");
    difference["cure"] = refusal["cure"].clone();
    assert_eq!((&file["state"], &difference), (&json!("admitted"), &refusal));
    accepting.install(&library);
    let host = accepting.start();
    let accepted = host.wait_for_change("difference");
    assert_eq!(
        (&accepted["field"], &accepted["host"], &accepted["found"]),
        (&refusal["field"], &refusal["host"], &refusal["plugin"])
    );
    assert_eq!(host.connect().submit(0x10, b"").result, 0);
    host.stop();

    // The cure, as a person would paste it into the plugin's folder.
    let line = refusal["cure"].as_str().unwrap();
    assert!(line.starts_with("cargo update -p "), "{line}");
    succeed(&mut plugin.shell(line));
    assert_admitted(&site, &plugin.library());
}

#[test]
fn the_same_version_from_a_changed_copy_is_refused() {
    let copy = scratch().join("crates/dependencies-copy");
    copy_folder(&sources_of(CRATE), &copy, |_| false);
    let source = fs::read_to_string(copy.join("src/lib.rs")).unwrap();
    fs::write(
        copy.join("src/lib.rs"),
        format!("{source}\n// A comment is a change.\n"),
    )
    .unwrap();
    let mut plugin = plugin("dependencies-patched", "");
    plugin.manifest = format!("[patch.crates-io]\n{CRATE} = {{ path = {copy:?} }}\n");
    let library = match plugin.try_library() {
        Err(log) if skipped_without_registry(&log) => return,
        built => built.unwrap(),
    };
    let ours = hosts_version();
    let refusal = only_refusal(&exact(), &library);
    assert_eq!(
        (&refusal["code"], &refusal["field"]),
        (&json!("dependency"), &json!(format!("dependency {CRATE}")))
    );
    for (side, start) in [
        ("host", format!("{ours} (registry ")),
        ("plugin", format!("{ours} (path ")),
    ] {
        assert!(refusal[side].as_str().unwrap().starts_with(&start), "{refusal:#}");
    }
    assert!(refusal["cure"].as_str().unwrap().contains("[patch]"), "{refusal:#}");
}

#[test]
fn an_unchanged_vendored_copy_is_no_difference() {
    // A folder of its own, because the other crates of the tests would be compiled again after this one.
    let mut plugin = plugin("dependencies-vendored", "");
    plugin.other_target = Some(plugin.folder().join("target"));
    plugin.write();
    let configuration = plugin.folder().join(".cargo/config.toml");
    let _ = fs::remove_file(&configuration); // from an earlier run: it would vendor what is vendored
    let output = run(plugin.cargo("vendor").arg("--versioned-dirs"));
    if skipped_without_registry(&text(&output)) {
        return;
    }
    assert!(output.status.success(), "{}", text(&output));
    write(&configuration, std::str::from_utf8(&output.stdout).unwrap());
    plugin.arguments = vec!["--offline".to_owned(), "-v".to_owned()];
    let library = plugin.library();
    let copied = plugin
        .folder()
        .join(format!("vendor/{CRATE}-{}/src/lib.rs", hosts_version()));
    let compiled = plugin.target().join("debug/deps").read_dir().unwrap().any(|entry| {
        let path = entry.unwrap().path();
        path.extension().is_some_and(|kind| kind == "d")
            && fs::read_to_string(path)
                .unwrap()
                .contains(copied.to_str().unwrap().rsplit_once("vendor").unwrap().1)
    });
    assert!(compiled, "the vendored copy was not used");
    assert_admitted(&exact(), &library);
}

/// A host that compares every crate that both sides link.
pub(super) fn exact() -> Site {
    Site::new("[policy]\ndependencies = \"exact\"\n")
}

/// Puts a crate to another version in the plugin's lock; says so where the registry can't be reached.
pub(super) fn pinned(plugin: &PluginCrate, name: &str, version: &str) -> bool {
    plugin.write();
    // Where an earlier run has pinned it already, this is no change.
    let output = run(plugin.cargo("update").args(["-p", name, "--precise", version]));
    if !output.status.success() && skipped_without_registry(&text(&output)) {
        return false;
    }
    assert!(output.status.success(), "{}", text(&output));
    true
}

/// A plugin that needs [`CRATE`] through a crate of its own, so that there is a way to it to be told.
pub(super) fn plugin(name: &str, dependencies: &str) -> PluginCrate {
    let helper = scratch().join("crates").join(format!("{name}-helper"));
    let manifest =
        "[package]\nname = \"helper\"\nedition = \"2024\"\n[dependencies]\nutf8parse = \"0.2\"\n[workspace]\n";
    write(&helper.join("Cargo.toml"), manifest);
    write(&helper.join("src/lib.rs"), "pub use utf8parse::Parser;\n");
    let mut plugin = PluginCrate::new(name);
    plugin.dependencies = format!("helper = {{ path = {helper:?} }}\n{dependencies}");
    plugin
}

#[track_caller]
pub(super) fn only_refusal(site: &Site, library: &Path) -> Value {
    let (code, report) = site.check(&[library]);
    assert_eq!(code, 1, "{report:#}");
    match &report["files"][0]["refusals"].as_array().unwrap()[..] {
        [refusal] => refusal.clone(),
        _ => panic!("one refusal, found {report:#}"),
    }
}

#[track_caller]
pub(super) fn assert_admitted(site: &Site, library: &Path) {
    let (code, report) = site.check(&[library]);
    let file = &report["files"][0];
    assert_eq!((code, &file["differences"]), (0, &json!([])), "{report:#}");
    let shared = (CRATE.to_owned(), hosts_version());
    assert!(
        packages(&site.inspect(library)).contains(&shared),
        "nothing was compared"
    );
}

pub(super) fn hosts_version() -> String {
    let packages = packages(&Site::default().json(&["fingerprint"])["record"]);
    packages.into_iter().find(|(name, _)| name == CRATE).expect(CRATE).1
}

/// Names and versions.
fn packages(record: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = record["packages"].as_array().unwrap().iter();
    packages
        .map(|package| (text(&package["name"]), text(&package["version"])))
        .collect()
}

/// Where cargo unpacked the version of a crate that the repository uses.
pub(super) fn sources_of(name: &str) -> PathBuf {
    let mut locate = cargo();
    locate
        .current_dir(root())
        .args(["metadata", "--format-version", "1", "--locked"]);
    let metadata: Value = serde_json::from_slice(&succeed(&mut locate).stdout).unwrap();
    let package = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|package| package["name"] == name);
    let manifest = Path::new(package.unwrap()["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().to_owned()
}
