//! Every crate that host and plugin both link in one compatibility line must be the same on both sides, by version and by
//! content. A difference names the crate, both versions and who needs them, and comes with a cure that works as it
//! stands; the policy may let it through. Shown with a small crate that the host links through its command line parser
//! and plugin-api does not link.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::cargo::{cargo, root, run, scratch, skipped_without_registry, succeed, text};
use tests::crates::{PluginCrate, copy_folder, write};
use tests::host::Site;

pub(super) const CRATE: &str = "utf8parse";
/// In one line with the host's version.
pub(super) const OLD: &str = "0.2.1";

#[test]
fn another_version_of_a_shared_crate_is_refused_with_a_cure_that_works_or_accepted() {
    let ours = hosts_version();
    assert_ne!(ours, OLD, "choose another version for this test");
    // Of strsim the host has a later line: another crate, and no difference.
    let plugin = plugin("dependencies-old", "strsim = \"0.10\"\n");
    plugin.write();
    let mut update = plugin.cargo("update");
    let output = run(update.args(["-p", CRATE, "--precise", OLD]));
    if skipped_without_registry(&text(&output)) {
        return;
    }
    assert!(output.status.success(), "{}", text(&output));
    let library = plugin.library();
    assert!(packages(&Site::default().inspect(&library)).contains(&("strsim".to_owned(), "0.10.0".to_owned())));

    let site = Site::default();
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
    assert_eq!(
        (&file["state"], &file["differences"]),
        (&json!("admitted"), &json!([refusal]))
    );
    accepting.install(&library);
    let host = accepting.start();
    let accepted = host.wait_for("accepted with a difference");
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
    let refusal = only_refusal(&Site::default(), &library);
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
    assert_admitted(&Site::default(), &library);
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
