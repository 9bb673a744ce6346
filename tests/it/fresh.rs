//! A record needs nothing but what `cargo build -p NAME` itself needs: it is gathered on a machine that has downloaded no
//! more than that plugin's packages, and without the network once they are there.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tests::cargo::{cargo, root, run, skipped_without_registry, text};
use tests::crates::copy_folder;
use tests::host::Site;

// Long: one story, whose steps need each other.
#[test]
fn one_plugin_builds_on_a_fresh_machine_with_a_complete_record_and_then_offline() {
    let machine = TempDir::new().unwrap();
    let repository = machine.path().join("repository");
    copy_folder(root(), &repository, is_no_source);
    let build = |arguments: &[&str]| {
        let mut cargo: Command = cargo();
        cargo
            .current_dir(&repository)
            .args(["build", "--package", "submit-echo"]);
        cargo.args(arguments).env("CARGO_HOME", machine.path().join("home"));
        // Without debug information half of the time is saved, and nothing else changes.
        cargo
            .env("CARGO_TARGET_DIR", machine.path().join("target"))
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        run(&mut cargo)
    };

    let output = build(&[]);
    let printed = text(&output);
    if !output.status.success() && skipped_without_registry(&printed) {
        return;
    }
    assert!(output.status.success(), "{printed}");
    assert!(
        !machine
            .path()
            .join("home/registry/src")
            .read_dir()
            .unwrap()
            .any(|index| {
                let mut packages = index.unwrap().path().read_dir().unwrap();
                packages.any(|package| package.unwrap().file_name().to_string_lossy().starts_with("mio-"))
            }),
        "the host's packages were downloaded as well: this shows nothing"
    );
    let library = machine.path().join("target/debug/libsubmit_echo.so");
    let first = Site::default().inspect(&library);
    let packages = first["packages"].as_array().unwrap();
    assert!(packages.len() > 20, "{packages:#?}");
    for package in packages {
        let known = |identity: &Value| {
            let digest = identity["registry"]["checksum"]
                .as_str()
                .or(identity["path"]["digest"].as_str());
            digest.is_some_and(|digest| digest.len() == 64)
        };
        assert!(
            known(&package["identity"]) && package["native"].is_boolean(),
            "{package:#}"
        );
    }
    let lock = fs::read(root().join("Cargo.lock")).unwrap();
    assert_eq!(
        fs::read(repository.join("Cargo.lock")).unwrap(),
        lock,
        "the build changed Cargo.lock"
    );

    // The record is gathered once more, without the network; a new description shows that it was.
    let manifest = repository.join("plugins/submit-echo/Cargo.toml");
    let changed = fs::read_to_string(&manifest)
        .unwrap()
        .replace("description = \"", "description = \"Offline. ");
    fs::write(&manifest, changed).unwrap();
    let output = build(&["--offline"]);
    assert!(output.status.success(), "{}", text(&output));
    let second = Site::default().inspect(&library);
    assert!(
        second["description"].as_str().unwrap().starts_with("Offline. "),
        "{second:#}"
    );
    assert_eq!(second["packages"].as_array().unwrap()[1..], packages[1..]);
    assert_ne!(second["packages"][0]["identity"], packages[0]["identity"]);
}

/// Whether a clone would not have it: git's own files and build output.
fn is_no_source(path: &Path) -> bool {
    path.ends_with(".git") || path.ends_with("target") || path.join("CACHEDIR.TAG").exists()
}
