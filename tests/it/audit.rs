//! Audit tools read plugins and the host: both carry their dependency list in cargo-auditable's section too, and it says
//! what the record says.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use tests::cargo::{host_binary, sample};
use tests::files::stripped;
use tests::host::Site;

#[test]
fn audit_tools_read_the_records_packages_also_after_strip() {
    let site = Site::default();
    let folder = TempDir::new().unwrap();
    for (file, record) in [
        (sample("submit-echo"), site.inspect(&sample("submit-echo"))),
        (sample("submit-log"), site.inspect(&sample("submit-log"))),
        (host_binary().to_owned(), site.json(&["fingerprint"])["record"].take()),
    ] {
        let name = record["name"].as_str().unwrap();
        assert_same(name, &file, &record);
        let copy = folder.path().join(name);
        stripped(&file, &copy);
        assert!(
            copy.metadata().unwrap().len() < file.metadata().unwrap().len(),
            "{name}"
        );
        assert_same(name, &copy, &record);
    }
}

/// Compares names, versions, kinds of source and edges.
#[track_caller]
fn assert_same(name: &str, file: &Path, record: &Value) {
    let info = auditable_info::audit_info_from_file(file, auditable_info::Limits::default())
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let packages = record["packages"].as_array().unwrap();
    assert_eq!(info.packages.len(), packages.len(), "{name}");
    for (index, (listed, package)) in info.packages.iter().zip(packages).enumerate() {
        let dependencies: Vec<_> = listed.dependencies.iter().map(|index| Value::from(*index)).collect();
        assert_eq!(
            (
                listed.name.as_str().into(),
                listed.version.to_string().into(),
                dependencies.into()
            ),
            (
                package["name"].clone(),
                package["version"].clone(),
                package["dependencies"].clone()
            ),
            "{name}"
        );
        let identity = package["identity"].as_object().unwrap().keys().next().unwrap();
        let source = match String::from(listed.source.clone()).as_str() {
            "crates.io" => "registry",
            "local" => "path",
            other => panic!("{name}: {} from {other}", listed.name),
        };
        assert_eq!(source, identity, "{name}: {}", listed.name);
        assert_eq!(listed.root, index == 0, "{name}: {}", listed.name);
    }
    let sources: BTreeSet<_> = info.packages.iter().map(|package| package.source.clone()).collect();
    assert_eq!(sources.len(), 2, "{name}: registry and folders");
}
