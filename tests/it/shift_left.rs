//! A plugin's build can be told of the host that it is meant for: then it fails with what that host's `check` would say,
//! and warns of what its policy lets through.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::cargo::{run, skipped_without_registry, text};
use tests::crates::PluginCrate;
use tests::host::Site;

use crate::dependencies::exact;

#[test]
fn a_build_fails_with_the_texts_of_host_check() {
    let mut plugin = PluginCrate::new("shift-left-old");
    plugin.dependencies = "utf8parse = \"0.2\"\n".to_owned();
    plugin.write();
    let output = run(plugin.cargo("update").args(["-p", "utf8parse", "--precise", "0.2.1"]));
    if skipped_without_registry(&text(&output)) {
        return;
    }
    assert!(output.status.success(), "{}", text(&output));
    let site = exact();
    let (code, report) = site.check(&[&plugin.library()]);
    let refusals = report["files"][0]["refusals"].as_array().unwrap();
    assert_eq!((code, refusals.len()), (1, 1), "{report:#}");

    plugin.environment = vec![told(&fingerprint(&site))];
    let printed = plugin.try_library().unwrap_err();
    for refusal in refusals {
        let value = |key: &str| refusal[key].as_str().unwrap();
        for line in [
            format!("{}: {}\n", value("code"), value("field")),
            format!("  host: {}\n", value("host")),
            format!("  plugin: {}\n", value("plugin")),
            format!("  cure: {}\n", value("cure")),
        ] {
            assert!(printed.contains(&line), "{line:?} is not in\n{printed}");
        }
    }

    // The same policy as the host's: what it accepts there, it accepts here, and says so.
    let accepting = Site::default();
    plugin.environment = vec![told(&fingerprint(&accepting))];
    let library = plugin.library();
    let (code, report) = accepting.check(&[&library]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["files"][0]["differences"][0]["code"], "dependency");
    let printed = build(&plugin);
    assert!(printed.contains("accepted by the host of "), "{printed}");
    assert!(printed.contains(": dependency: dependency utf8parse"), "{printed}");
}

#[test]
fn what_the_policy_lets_through_is_a_warning_and_a_changed_host_is_noticed() {
    let site = Site::default();
    let host = fingerprint(&site);
    let mut plugin = PluginCrate::new("shift-left-warned");
    plugin.environment = vec![told(&host)];
    plugin.library();

    change(&host, |host| {
        host["record"]["compiler"]["version_line"] = json!("rustc 1.2.3 (of long ago)")
    });
    change(&host, |host| host["record"]["compiler"]["release"] = json!("1.2.3"));
    let printed = plugin.try_library().unwrap_err();
    assert!(printed.contains("compiler: compiler\n"), "{printed}");
    assert!(printed.contains("  host: rustc 1.2.3 (of long ago)\n"), "{printed}");
    assert!(
        printed.contains("  cure: cargo +1.2.3 build --release -p shift-left-warned # "),
        "{printed}"
    );

    change(&host, |host| host["policy"]["compiler"] = json!("any"));
    let printed = build(&plugin);
    assert!(printed.contains("accepted by the host of "), "{printed}");
    assert!(printed.contains("  host: rustc 1.2.3 (of long ago)\n"), "{printed}");

    // The environment goes before the manifest, and set to nothing it ends the comparison.
    change(&host, |host| host["policy"]["compiler"] = json!("exact"));
    plugin.commands = Some(format!("[0x10]\nhost = {:?}", relative(plugin.folder(), &host)));
    plugin.environment.clear();
    assert!(plugin.try_library().unwrap_err().contains("compiler: compiler\n"));
    plugin.environment = vec![("PLUGIN_HOST".to_owned(), String::new())];
    plugin.library();
}

#[test]
fn a_file_that_is_no_fingerprint_is_an_error_that_says_how_to_make_one() {
    let folder = TempDir::new().unwrap();
    let (missing, other) = (folder.path().join("gone.json"), folder.path().join("other.json"));
    fs::write(&other, "{\"name\": \"host\"}").unwrap();
    let mut plugin = PluginCrate::new("shift-left-mistake");
    for (file, says) in [(&missing, "can't be read"), (&other, "is no host's fingerprint")] {
        plugin.environment = vec![told(file)];
        let printed = plugin.try_library().unwrap_err();
        assert!(printed.contains(&format!("{} {says}", file.display())), "{printed}");
        assert!(
            printed.contains("host fingerprint --json --plugins plugins.toml > host.json"),
            "{printed}"
        );
    }
    plugin.environment.clear();
    plugin.commands = Some("[0x10]\nhost = true".to_owned());
    let printed = plugin.try_library().unwrap_err();
    assert!(
        printed.contains("must be a path relative to it, found true"),
        "{printed}"
    );
}

/// The site's fingerprint as a file.
fn fingerprint(site: &Site) -> PathBuf {
    let (code, json, said) = site.with_configuration(&["fingerprint", "--json"]);
    assert_eq!(code, 0, "{said}");
    let file = site.path().join("host.json");
    fs::write(&file, json).unwrap();
    file
}

fn told(file: &Path) -> (String, String) {
    ("PLUGIN_HOST".to_owned(), file.to_str().unwrap().to_owned())
}

fn change(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    change(&mut value);
    fs::write(file, value.to_string()).unwrap();
}

/// What a build that works prints.
#[track_caller]
fn build(plugin: &PluginCrate) -> String {
    let output = run(plugin.cargo("build").env("CARGO_TARGET_DIR", plugin.target()));
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

/// A path as it is written from a folder: up to the root, then down.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let up: PathBuf = from
        .canonicalize()
        .unwrap()
        .components()
        .skip(1)
        .map(|_| "..")
        .collect();
    up.join(to.canonicalize().unwrap().strip_prefix("/").unwrap())
}
