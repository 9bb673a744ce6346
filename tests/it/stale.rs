//! A record is gathered again when, and only when, one of its facts may have changed.

use std::fs;

use serde_json::{Value, json};
use tests::cargo::{run, skipped_without_registry, succeed, text};
use tests::crates::{PluginCrate, write};
use tests::host::Site;

// Long: one story, whose steps need each other.
#[test]
fn a_record_is_never_stale_and_nothing_is_rebuilt_without_need() {
    let mut plugin = PluginCrate::new("stale-plugin");
    let helper = plugin.folder().with_file_name("stale-helper");
    let manifest = helper.join("Cargo.toml");
    // From the start, whatever an earlier run has left.
    let _ = fs::remove_dir_all(&helper);
    let _ = fs::remove_file(plugin.folder().join("Cargo.lock"));
    write(
        &manifest,
        "[package]\nname = \"helper\"\nedition = \"2024\"\n[dependencies]\nutf8parse = \"0.2\"\n[workspace]\n",
    );
    write(&helper.join("src/lib.rs"), "pub fn answer() -> u8 { 0 }\n");
    plugin.dependencies = format!("helper = {{ path = {helper:?} }}\n");
    plugin.manifest = "[features]\nextra = []\n".to_owned();
    let site = Site::default();
    let mut before = site.inspect(&plugin.library());

    type Change<'a> = &'a dyn Fn(&mut PluginCrate) -> Result<(), String>;
    let changes: [(&str, &str, Change<'_>); 7] = [
        ("a path dependency's source", "helper", &|_| {
            replace(&helper.join("src/lib.rs"), "{ 0 }", "{ 1 }")
        }),
        ("a path dependency's manifest", "helper", &|_| {
            replace(&manifest, "[workspace]", "[features]\nnew = []\n[workspace]")
        }),
        ("a path dependency's new file", "helper", &|_| {
            replace(&helper.join("src/module.rs"), "", "// new")
        }),
        ("a path dependency's feature", "helper", &|plugin| {
            plugin.dependencies = plugin.dependencies.replace(" }", ", features = [\"new\"] }");
            Ok(())
        }),
        ("the plugin's own source", "stale-plugin", &|plugin| {
            plugin.source.push_str("// changed\n");
            Ok(())
        }),
        ("the plugin's own feature", "stale-plugin", &|plugin| {
            plugin.arguments = vec!["--features".to_owned(), "extra".to_owned()];
            Ok(())
        }),
        ("the lock", "utf8parse", &|plugin| {
            let output = run(plugin.cargo("update").args(["-p", "utf8parse", "--precise", "0.2.1"]));
            output.status.success().then_some(()).ok_or(text(&output))
        }),
    ];
    for (change, package, apply) in changes {
        match apply(&mut plugin) {
            Err(printed) if skipped_without_registry(&printed) => continue,
            applied => applied.unwrap(),
        }
        let after = site.inspect(&plugin.library());
        assert_ne!(
            facts(&after, package),
            facts(&before, package),
            "{change}: the record says nothing of it"
        );
        before = after;
        let mut again = plugin.cargo("build");
        again
            .env("CARGO_TARGET_DIR", plugin.target())
            .args(&plugin.arguments)
            .arg("--verbose");
        let printed = text(&succeed(&mut again));
        let worked = printed.lines().find(|line| {
            ["Compiling ", "Dirty ", "Running "]
                .iter()
                .any(|word| line.contains(word))
        });
        assert_eq!(worked, None, "{change}: nothing has changed since");
        assert!(printed.contains("Fresh stale-plugin "), "{printed}");
    }
}

/// What a record says of one package's content.
fn facts(record: &Value, package: &str) -> Value {
    let packages = record["packages"].as_array().unwrap().iter();
    let mut fitting = packages.filter(|entry| entry["name"] == package);
    let entry = fitting.next().unwrap();
    json!([entry["version"], entry["identity"], entry["features"]])
}

/// Replaces text in a file; in one that is not there, nothing.
fn replace(path: &std::path::Path, from: &str, to: &str) -> Result<(), String> {
    let content = fs::read_to_string(path).unwrap_or_default();
    assert!(content.contains(from));
    fs::write(path, content.replacen(from, to, 1)).map_err(|error| error.to_string())
}
