//! What is said to cargo on its command line decides what is linked, so it counts for the record as well. A build script is
//! not told of it: on Linux it is read from the process, and where it can't be, the build says so.

use std::fs;
use std::path::Path;

use tests::cargo::{run, scratch, skipped_without_registry, text};
use tests::crates::{PluginCrate, copy_folder, write};
use tests::host::Site;

use crate::dependencies::{CRATE, sources_of};

const COPY: &str = "cargo-arguments-copy";

#[test]
fn a_patch_of_the_command_line_is_in_the_record() {
    let mut plugin = plugin("cargo-arguments");
    let by_value = format!("patch.crates-io.{CRATE}.path=\"../{COPY}\"");
    // In a file, paths are relative to the folder above the file's.
    let by_file = "../cargo-arguments-config/patch.toml";
    let table = format!("[patch.crates-io]\n{CRATE} = {{ path = {COPY:?} }}\n");
    write(&plugin.folder().join(by_file), &table);
    for arguments in [
        vec!["--config", &by_value],
        vec!["--config", by_file],
        // Of the folders that cargo is told of, none is the one that it is asked in again.
        vec![
            "--config",
            &by_value,
            "--config",
            "build.build-dir=\"../cargo-arguments-other\"",
        ],
    ] {
        plugin.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let library = match plugin.try_library() {
            Err(printed) if skipped_without_registry(&printed) => return,
            built => built.unwrap(),
        };
        let record = Site::default().inspect(&library);
        let packages = record["packages"].as_array().unwrap();
        let package = packages.iter().find(|package| package["name"] == CRATE).unwrap();
        assert!(package["identity"]["path"].is_object(), "{arguments:?}: {package:#}");
    }
}

#[test]
fn what_an_alias_says_to_cargo_is_an_error_that_names_the_cure() {
    let plugin = plugin("cargo-arguments-alias");
    plugin.write();
    let patch = format!("patch.crates-io.{CRATE}.path=\"../{COPY}\"");
    let alias = format!("[alias]\npatched = [\"build\", \"--config\", {patch:?}]\n");
    write(&plugin.folder().join(".cargo/config.toml"), &alias);
    let output = run(plugin.cargo("patched").env("CARGO_TARGET_DIR", plugin.target()));
    let printed = text(&output);
    if skipped_without_registry(&printed) && !printed.contains("a build script is not told") {
        return;
    }
    assert!(!output.status.success(), "{printed}");
    for part in [
        "those that an alias holds can't be seen",
        "write what they say into .cargo/config.toml",
    ] {
        assert!(printed.contains(part), "{part:?} is not in\n{printed}");
    }

    // The cure.
    let table = format!("[patch.crates-io]\n{CRATE} = {{ path = \"../{COPY}\" }}\n");
    write(&plugin.folder().join(".cargo/config.toml"), &table);
    plugin.library();
}

/// A plugin that links the crate of which there is a changed copy beside it.
fn plugin(name: &str) -> PluginCrate {
    let copy = scratch().join("crates").join(COPY);
    if !copy.exists() {
        let new = copy.with_extension(name);
        copy_folder(&sources_of(CRATE), &new, |path: &Path| path.ends_with(".cargo-ok"));
        write(&new.join("src/more.rs"), "// A new file is other content.\n");
        let _ = fs::rename(new, copy); // another test may have been faster
    }
    let mut plugin = PluginCrate::new(name);
    plugin.dependencies = format!("{CRATE} = \"0.2\"\n");
    plugin
}
