//! The record's list is what `cargo build -p NAME` compiles into the library: no package and no feature more or less,
//! whatever kinds of dependencies there are, in a workspace or outside, vendored or not, with the network or without.

use std::fs;
use std::process::Command;

use serde_json::Value;
use tests::cargo::{run, skipped_without_registry, text};
use tests::crates::write;
use tests::host::Site;
use tests::truth::{Packages, Sample};

#[test]
fn outside_a_workspace_with_features_off() {
    let sample = Sample::new("truth-off");
    let Some(record) = truth(&sample, &[]) else { return };
    assert_linked(
        &record,
        &["truth-helper", "truth-git", "bitflags", "equivalent", "strsim"],
        true,
    );
    // Optional, of another target, of build scripts, of macros, of tests.
    let others = ["utf8parse", "humantime", "semver", "fastrand", "anyhow"];
    assert_linked(&record, &others, false);
    assert_linked(
        &record,
        &["lazy_static", "plugin-build", "truth-macros", "heck", "bytes"],
        false,
    );
    assert_eq!(record.keys().filter(|(name, _)| name == "strsim").count(), 2);
    assert_eq!(
        features(&record, "unicode-width"),
        "",
        "the build script's and the macro's copy have cjk"
    );
    assert_eq!(
        features(&record, "scopeguard"),
        "default,use_std",
        "one target adds a feature"
    );
}

#[test]
fn outside_a_workspace_with_features_on_and_offline() {
    let mut sample = Sample::new("truth-on");
    sample.features = ["on", "humantime", "by-name"].map(str::to_owned).into();
    if !prepared(&sample) {
        return;
    }
    let fetch = run(&mut sample.cargo(&["fetch"]));
    if skipped_without_registry(&text(&fetch)) {
        return;
    }
    assert!(fetch.status.success(), "{}", text(&fetch));
    let Some(record) = compare(&sample, &["--offline"]) else {
        return;
    };
    assert_linked(&record, &["utf8parse", "humantime", "semver", "fastrand"], true);
    assert_eq!(features(&record, "semver"), "std", "a weak feature of what is on");
    assert_eq!(features(&record, &sample.name), "by-name,humantime,on");
}

#[test]
fn inside_a_workspace_and_what_building_two_packages_at_once_adds() {
    let mut sample = Sample::new("truth-member");
    sample.workspace = true;
    let Some(alone) = truth(&sample, &[]) else { return };
    assert_eq!(features(&alone, "unicode-width"), "");
    assert_linked(&alone, &["fastrand"], false);

    let together = sample.build(&[&sample.name, "truth-neighbour"], &[]).unwrap();
    assert_eq!(listed(&sample), alone, "the record is that of the package alone");
    assert_eq!(features(&together, "unicode-width"), "cjk,default");
    assert_eq!(features(&together, "truth-helper"), "extra");
    assert_linked(&together, &["fastrand"], true);
}

#[test]
fn with_the_first_resolver_which_adds_what_others_need() {
    let mut sample = Sample::new("truth-first");
    sample.resolver = 1;
    let Some(record) = truth(&sample, &[]) else { return };
    assert_eq!(features(&record, "unicode-width"), "cjk,default");
    assert_linked(&record, &["anyhow", "heck", "lazy_static", "bytes"], false);
}

#[test]
fn vendored_without_the_network() {
    let sample = Sample::new("truth-vendored");
    let configuration = sample.root().join(".cargo/config.toml");
    let _ = fs::remove_file(&configuration); // from an earlier run: it would vendor what is vendored
    if !prepared(&sample) {
        return;
    }
    let output = run(&mut sample.cargo(&["vendor", "--versioned-dirs"]));
    if skipped_without_registry(&text(&output)) {
        return;
    }
    assert!(output.status.success(), "{}", text(&output));
    write(&configuration, std::str::from_utf8(&output.stdout).unwrap());
    let Some(record) = compare(&sample, &["--offline"]) else {
        return;
    };
    assert_linked(&record, &["truth-git", "bitflags"], true);
    assert_linked(&record, &["utf8parse", "heck"], false);
}

/// What record and cargo agree on; `None` where a machine can't say.
#[track_caller]
fn truth(sample: &Sample, arguments: &[&str]) -> Option<Packages> {
    if prepared(sample) {
        compare(sample, arguments)
    } else {
        None
    }
}

fn prepared(sample: &Sample) -> bool {
    if Command::new("git").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no git here, and a dependency comes from a git repository");
        return false;
    }
    sample.write();
    true
}

#[track_caller]
fn compare(sample: &Sample, arguments: &[&str]) -> Option<Packages> {
    let compiled = match sample.build(&[&sample.name], arguments) {
        Err(log) if skipped_without_registry(&log) => return None,
        built => built.unwrap_or_else(|log| panic!("{} does not build:\n{log}", sample.name)),
    };
    let record = listed(sample);
    assert_eq!(record, compiled, "left: the record, right: what cargo compiled");
    Some(record)
}

/// What the library carries: the record's packages, with the kind of source that audit tools are told.
fn listed(sample: &Sample) -> Packages {
    let library = sample.library();
    let record = Site::default().inspect(&library);
    let packages = record["packages"].as_array().unwrap();
    let audit = auditable_info::audit_info_from_file(&library, auditable_info::Limits::default()).unwrap();
    assert_eq!(audit.packages.len(), packages.len());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let listed: Packages = packages
        .iter()
        .zip(audit.packages)
        .map(|(package, audit)| {
            let key = (text(&package["name"]), text(&package["version"]));
            assert_eq!(key, (audit.name, audit.version.to_string()));
            let source = String::from(audit.source);
            let identity = match &*source {
                "crates.io" => "/identity/registry/checksum",
                "git" => "/identity/git/revision",
                _ => "/identity/path/digest",
            };
            assert!(package.pointer(identity).is_some_and(Value::is_string), "{package:#}");
            let features = package["features"].as_array().unwrap().iter().map(text).collect();
            (key, (source, features))
        })
        .collect();
    assert_eq!(listed.len(), packages.len(), "no package stands twice");
    listed
}

#[track_caller]
fn assert_linked(packages: &Packages, names: &[&str], linked: bool) {
    for name in names {
        assert_eq!(packages.keys().any(|(found, _)| found == name), linked, "{name}");
    }
}

#[track_caller]
fn features(packages: &Packages, name: &str) -> String {
    let (_, (_, features)) = packages.iter().find(|((found, _), _)| found == name).expect(name);
    features.iter().map(String::as_str).collect::<Vec<_>>().join(",")
}
