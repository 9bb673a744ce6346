//! A record says what cargo and rustc say of the same build: each fact is compared with what they print when they are
//! asked from outside. The host's own record is one like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tests::cargo::{cargo, root, rustc, sample, succeed};
use tests::crates::PluginCrate;
use tests::host::Site;

#[test]
fn a_record_says_what_cargo_and_rustc_say() {
    let site = Site::default();
    let outside = PluginCrate::new("records-outside");
    let library = outside.library();
    let compiler = String::from_utf8(succeed(rustc().arg("-vV")).stdout).unwrap();
    for (name, folder, record) in [
        ("submit-echo", root(), site.inspect(&sample("submit-echo"))),
        ("submit-log", root(), site.inspect(&sample("submit-log"))),
        ("records-outside", outside.folder(), site.inspect(&library)),
        ("host", root(), site.json(&["fingerprint"])["record"].take()),
    ] {
        let target = value(&compiler, "host: ");
        let cargo = Cargo::ask(folder, target);
        let package = &cargo.packages[&(name.to_owned(), record["version"].as_str().unwrap().to_owned())];
        assert_eq!(record["name"], name);
        assert_eq!(
            record["description"].as_str(),
            Some(package["description"].as_str().unwrap_or("")),
            "{name}"
        );
        let commands = package.pointer("/metadata/plugin/commands").cloned();
        assert_eq!(record["commands"], commands.unwrap_or(json!([])), "{name}");
        assert_eq!(record["commands"] == json!([]), name == "host");
        assert_eq!(
            record["compiler"],
            json!({
                "release": value(&compiler, "release: "),
                "commit": Some(value(&compiler, "commit-hash: ")).filter(|hash| *hash != "unknown"),
                "channel": value(&compiler, "release: ").split(['-', '.']).nth(3).unwrap_or("stable"),
                "version_line": compiler.lines().next().unwrap(),
            })
        );
        assert_eq!(
            (&record["target"], &record["pointer_width"], &record["panic"]),
            (&json!(target), &json!(usize::BITS), &json!("unwind"))
        );
        let debug = cfg!(debug_assertions) || name == "records-outside";
        let profile = if debug { ("debug", "0") } else { ("release", "3") };
        assert_eq!(
            (&record["build"]["profile"], &record["build"]["opt_level"]),
            (&profile.0.into(), &profile.1.into())
        );
        cargo.compare_packages(name, &record);
    }
}

/// What cargo says about the packages of one workspace.
struct Cargo<'a> {
    folder: &'a Path,
    target: &'a str,
    /// `cargo metadata`'s packages, by name and version.
    packages: BTreeMap<(String, String), Value>,
    lock: toml::Table,
}

impl<'a> Cargo<'a> {
    fn ask(folder: &'a Path, target: &'a str) -> Cargo<'a> {
        let mut metadata = cargo();
        metadata.args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            target,
        ]);
        let metadata: Value = serde_json::from_slice(&succeed(metadata.current_dir(folder)).stdout).unwrap();
        let packages = metadata["packages"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Cargo {
            folder,
            target,
            packages: packages
                .map(|package| ((text(&package["name"]), text(&package["version"])), package.clone()))
                .collect(),
            lock: fs::read_to_string(folder.join("Cargo.lock")).unwrap().parse().unwrap(),
        }
    }

    /// Names, versions and features as `cargo tree` prints them.
    fn tree(&self, name: &str) -> BTreeMap<(String, String), BTreeSet<String>> {
        let mut tree = cargo();
        tree.args([
            "tree",
            "-p",
            name,
            "-e",
            "normal,no-proc-macro",
            "--prefix",
            "none",
            "--format",
            "{p}|{f}|",
        ]);
        let printed = succeed(
            tree.current_dir(self.folder)
                .args(["--locked", "--target", self.target]),
        )
        .stdout;
        let mut packages = BTreeMap::<_, BTreeSet<String>>::new();
        for line in str::from_utf8(&printed).unwrap().lines() {
            let [package, features, _] = line.split('|').collect::<Vec<_>>()[..] else {
                panic!("{line}");
            };
            let mut words = package.split(' ');
            let name = words.next().unwrap().to_owned();
            let version = words.next().unwrap().strip_prefix('v').unwrap().to_owned();
            let features = features
                .split(',')
                .filter(|feature| !feature.is_empty())
                .map(str::to_owned);
            packages.entry((name, version)).or_default().extend(features);
        }
        packages
    }

    /// The package's entry in Cargo.lock.
    fn locked(&self, name: &str, version: &str) -> &toml::Table {
        let entries = self.lock["package"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry.as_table().unwrap());
        let mut entries = entries.filter(|entry| entry["name"].as_str() == Some(name));
        entries
            .find(|entry| entry["version"].as_str() == Some(version))
            .unwrap()
    }

    fn compare_packages(&self, of: &str, record: &Value) {
        let expected = self.tree(of);
        let packages = record["packages"].as_array().unwrap();
        assert_eq!(packages.len(), expected.len(), "{of}: {packages:#?}\n{expected:#?}");
        assert_eq!(
            (&packages[0]["name"], &packages[0]["version"]),
            (&record["name"], &record["version"])
        );
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut needed = BTreeSet::from([0]);
        for package in packages {
            let (name, version) = (text(&package["name"]), text(&package["version"]));
            let case = format!("{of}: {name} {version}");
            let key = (name.clone(), version.clone());
            let features: BTreeSet<String> = package["features"].as_array().unwrap().iter().map(text).collect();
            assert_eq!(Some(&features), expected.get(&key), "{case}");
            assert_eq!(package["native"], !self.packages[&key]["links"].is_null(), "{case}");
            let locked = self.locked(&name, &version);
            match locked.get("checksum").and_then(toml::Value::as_str) {
                Some(checksum) => assert_eq!(
                    package["identity"],
                    json!({"registry": {"checksum": checksum}}),
                    "{case}"
                ),
                None => assert_eq!(
                    package["identity"]["path"]["digest"].as_str().map(str::len),
                    Some(64),
                    "{case}"
                ),
            }
            let may_need = locked
                .get("dependencies")
                .and_then(toml::Value::as_array)
                .cloned()
                .unwrap_or_default();
            for index in package["dependencies"].as_array().unwrap() {
                let index = usize::try_from(index.as_u64().unwrap()).unwrap();
                let dependency = text(&packages[index]["name"]);
                let is_it = |entry: &toml::Value| entry.as_str().unwrap().split(' ').next() == Some(&*dependency);
                assert!(may_need.iter().any(is_it), "{case} does not need {dependency}");
                needed.insert(index);
            }
        }
        assert_eq!(needed.len(), packages.len(), "{of}: somebody needs each package");
    }
}

fn value<'a>(description: &'a str, key: &str) -> &'a str {
    description.lines().find_map(|line| line.strip_prefix(key)).unwrap()
}
