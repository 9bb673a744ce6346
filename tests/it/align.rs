//! `host align` brings another crate's lock to the host's versions, by cargo; it says what it can't, and which compiler to
//! use. Its output is a script for a shell.

use std::fs;
use std::process::Command;

use tests::cargo::{clean, run, skipped_without_registry, text};
use tests::crates::{PluginCrate, copy_folder, write};
use tests::host::Site;

use crate::dependencies::exact;

/// Crates that the host links, in versions that fit together: clap needs exactly its own version of clap_builder.
const OLDER: &[(&str, &str)] = &[("clap", "4.5.0"), ("serde_json", "1.0.140"), ("utf8parse", "0.2.1")];

#[test]
fn a_crate_with_the_newest_of_everything_fits_after_align() {
    let mut plugin = PluginCrate::new("align-newest");
    plugin.lock = false;
    plugin.dependencies = "clap = { version = \"4\", default-features = false, features = [\"std\"] }\n\
        serde_json = \"1\"\nutf8parse = \"0.2\"\n"
        .to_owned();
    plugin.write();
    let _ = fs::remove_file(plugin.folder().join("Cargo.lock"));
    let output = run(&mut plugin.cargo("generate-lockfile"));
    if !output.status.success() && skipped_without_registry(&text(&output)) {
        return;
    }
    assert!(output.status.success(), "{}", text(&output));
    let site = exact();
    let folder = plugin.folder().to_str().unwrap();

    // The newest may be the host's. So that something is shown, older ones as well, once for each way.
    spoil(&plugin);
    let (code, report) = site.check(&[&plugin.library()]);
    assert_eq!(code, 1, "nothing to align: {report:#}");
    let before = lock(&plugin);
    let (code, script, said) = site.with_configuration(&["align", folder]);
    assert_eq!((code, lock(&plugin)), (0, before), "{script}{said}");
    assert!(script.starts_with(&format!("cd {folder}\n")), "{script}");
    assert!(script.contains("cargo update -p utf8parse@0.2 --precise "), "{script}");
    assert!(script.contains(" # 0.2.1 here\n"), "{script}");
    let output = run(&mut plugin.shell(&format!("set -e\n{script}")));
    assert!(output.status.success(), "{script}\n{}", text(&output));
    let (_, script, _) = site.with_configuration(&["align", folder]);
    assert!(script.starts_with("# no version to change\n"), "{script}");

    spoil(&plugin);
    let (code, applied, said) = site.with_configuration(&["align", folder, "--apply"]);
    assert_eq!(code, 0, "{applied}{said}");
    assert!(applied.contains("# done, was 0.2.1\n"), "{applied}");
    let (code, report) = site.check(&[&plugin.library()]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["files"][0]["differences"], serde_json::json!([]));

    // By default what plugin-api brings is aligned, as the host asks for, and the rest is left alone.
    spoil(&plugin);
    let site = Site::default();
    let (code, report) = site.check(&[&plugin.library()]);
    assert_eq!(code, 1, "nothing to align: {report:#}");
    let applied = text(&site.host(&["align", folder, "--apply"]));
    assert!(applied.contains("cargo update -p serde_json@1 --precise "), "{applied}");
    assert!(!applied.contains("utf8parse"), "{applied}");
    assert!(
        applied.contains("# the policy accepts other differences: "),
        "{applied}"
    );
    let (code, report) = site.check(&[&plugin.library()]);
    assert_eq!(code, 0, "{report:#}");
    assert_ne!(report["files"][0]["differences"], serde_json::json!([]));
}

#[test]
fn what_cant_be_aligned_is_named_unless_it_is_not_linked() {
    let site = exact();
    let copy = tests::cargo::scratch().join("crates/align-copy");
    write(
        &copy.join("Cargo.toml"),
        "[package]\nname = \"utf8parse\"\nversion = \"0.2.2\"\n[workspace]\n",
    );
    write(&copy.join("src/lib.rs"), "");
    let pinned = "utf8parse = \"=0.2.1\"\n";
    // Where it is needed; further lines; exit code; what is said.
    for (name, dependencies, manifest, code, says) in [
        (
            "align-pinned",
            pinned,
            "",
            1,
            "# can't be aligned: utf8parse 0.2.1: the host has 0.2.",
        ),
        (
            "align-unlinked",
            "",
            "[dev-dependencies]\nutf8parse = \"=0.2.1\"\n",
            0,
            "# not linked, so it may differ: utf8parse 0.2.1: ",
        ),
        (
            "align-path",
            "utf8parse = \"0.2\"\n",
            &format!("[patch.crates-io]\nutf8parse = {{ path = {copy:?} }}\n"),
            1,
            "(a folder); take it from the registry: remove its [patch], path or git key",
        ),
    ] {
        let mut plugin = PluginCrate::new(name);
        (plugin.dependencies, plugin.manifest) = (dependencies.to_owned(), manifest.to_owned());
        plugin.write();
        let output = run(plugin.cargo("metadata").args(["--format-version", "1"]));
        if skipped_without_registry(&text(&output)) {
            return;
        }
        assert!(output.status.success(), "{}", text(&output));
        let folder = plugin.folder().to_str().unwrap();
        let (found, printed, said) = site.with_configuration(&["align", folder, "--apply"]);
        assert_eq!(found, code, "{name}: {printed}{said}");
        assert!(printed.contains(says), "{name}: {printed}");
        // A host that would accept it asks for nothing.
        let output = site.host(&["align", folder]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output));
    }
}

#[test]
fn the_compiler_to_use_is_said() {
    let site = Site::default();
    let plugin = PluginCrate::new("align-compiler");
    plugin.write();
    let folder = plugin.folder().to_str().unwrap();
    let same = text(&site.host(&["align", folder]));
    assert!(
        same.contains("# compiler: rustc ") && same.contains(", as the host\n"),
        "{same}"
    );

    // A copy, in which rustup finds another toolchain.
    let other = site.path().join("crate");
    copy_folder(plugin.folder(), &other, |_| false);
    let file = other.join("rust-toolchain.toml");
    write(&file, "[toolchain]\nchannel = \"nightly\"\n");
    let mut rustc = clean(Command::new("rustc"));
    let rustc = rustc
        .arg("-vV")
        .current_dir(&other)
        .env_remove("RUSTUP_TOOLCHAIN")
        .output();
    let theirs = rustc.map(|output| text(&output)).unwrap_or_default();
    if !theirs.starts_with("rustc ") || same.contains(theirs.lines().next().unwrap()) {
        eprintln!("SKIPPED: no rustup with a nightly compiler here (rustup toolchain install nightly)");
        return;
    }
    let output = run(site
        .command()
        .env_remove("RUSTUP_TOOLCHAIN")
        .args(["align", other.to_str().unwrap()]));
    let said = format!(
        "here {} (from {}); build with: cargo +",
        theirs.lines().next().unwrap(),
        file.display()
    );
    assert!(text(&output).contains(&said), "{said}\n{}", text(&output));
}

#[test]
fn a_folder_without_a_crate_or_a_lock_is_an_error() {
    let site = Site::default();
    let mut plugin = PluginCrate::new("align-unlocked");
    plugin.lock = false;
    plugin.write();
    let _ = fs::remove_file(plugin.folder().join("Cargo.lock"));
    for (folder, says) in [
        (site.path(), "is no crate's folder"),
        (plugin.folder(), "`cargo generate-lockfile` makes it"),
        (&site.path().join("gone"), "can't run cargo in "),
    ] {
        let output = site.host(&["align", folder.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output).contains(says), "{}", text(&output));
    }
}

/// Moves the crate's lock to older versions.
#[track_caller]
fn spoil(plugin: &PluginCrate) {
    for (name, version) in OLDER {
        let output = run(plugin.cargo("update").args(["-p", name, "--precise", version]));
        assert!(output.status.success(), "{}", text(&output));
    }
}

fn lock(plugin: &PluginCrate) -> String {
    fs::read_to_string(plugin.folder().join("Cargo.lock")).unwrap()
}
