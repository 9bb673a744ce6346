//! Compares what host and plugin link: every package that both have in one compatibility line, by version and content.
//! Pure; what a difference means is the policy's to say.

use plugin_record::{Identity, Line, Package, Record, path_to};

/// The author's crate: the abi checks judge it, by rules of its own.
const PLUGIN_API: &str = "plugin-api";

/// A package that the two sides have in different versions or contents.
#[derive(Debug)]
pub struct Difference<'a> {
    /// The host's.
    pub host: Side<'a>,
    /// The plugin's.
    pub plugin: Side<'a>,
}

/// One side of a difference.
#[derive(Debug)]
pub struct Side<'a> {
    /// The package.
    pub package: &'a Package,
    /// The shortest chain of packages by which the side needs it, its own name first.
    pub path: Vec<&'a str>,
}

/// Every package that both link in the same compatibility line and that differs. Other lines are other packages.
pub fn differences<'a>(host: &'a Record, plugin: &'a Record) -> Vec<Difference<'a>> {
    let mut differences = Vec::new();
    for (index, theirs) in linked(plugin) {
        let line = Line::of(&theirs.version);
        let ours: Vec<_> = linked(host)
            .filter(|(_, ours)| ours.name == theirs.name && Line::of(&ours.version) == line)
            .collect();
        if ours.iter().any(|(_, ours)| same(ours, theirs)) {
            continue;
        }
        if let Some((ours_index, ours)) = ours.first() {
            differences.push(Difference {
                host: Side {
                    package: ours,
                    path: names(host, *ours_index),
                },
                plugin: Side {
                    package: theirs,
                    path: names(plugin, index),
                },
            });
        }
    }
    differences
}

/// What a record's own package links; the package itself is not compared.
fn linked(record: &Record) -> impl Iterator<Item = (usize, &Package)> {
    record
        .packages
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, package)| package.name != PLUGIN_API)
}

fn same(a: &Package, b: &Package) -> bool {
    a.version == b.version && a.identity.proves_equal(&b.identity)
}

fn names(record: &Record, index: usize) -> Vec<&str> {
    path_to(record, index)
        .iter()
        .map(|at| record.packages[*at].name.as_str())
        .collect()
}

impl Side<'_> {
    /// The side as one line: version, identity, and who needs it.
    pub fn describe(&self) -> String {
        let package = self.package;
        let needed_by = match self.path.split_last() {
            Some((_, path)) if !path.is_empty() => format!(", needed by {}", path.join(" > ")),
            _ => String::new(),
        };
        format!("{} ({}){needed_by}", package.version, package.identity)
    }
}

impl Difference<'_> {
    /// What makes the plugin's side like the host's, as a command or line for the plugin's workspace.
    pub fn cure(&self) -> String {
        let (ours, theirs) = (self.host.package, self.plugin.package);
        let name = &ours.name;
        let align = match (&ours.identity, &theirs.identity) {
            (Identity::Registry { .. }, Identity::Registry { .. }) if ours.version != theirs.version => {
                format!("cargo update -p {name}@{} --precise {}", theirs.version, ours.version)
            }
            (Identity::Registry { .. }, Identity::Registry { .. }) => {
                format!(
                    "take {name} {} from the registry that the host takes it from",
                    ours.version
                )
            }
            (Identity::Registry { .. }, _) => format!(
                "take {name} {} from the registry, as the host does (remove its [patch], path or git key in Cargo.toml)",
                ours.version
            ),
            (Identity::Git { revision }, _) => {
                format!("take {name} from git as the host does, with `rev = \"{revision}\"` in Cargo.toml")
            }
            (Identity::Path { .. }, _) => {
                format!("build with the same sources of {name} {} as the host", ours.version)
            }
        };
        format!(
            "{align}; or accept it: `dependencies = \"any\"` under [policy] (each side has its own copy of {name}, none \
             of its types crosses)"
        )
    }
}

#[cfg(test)]
mod tests {
    use plugin_record::{Build, Compiler};

    use super::*;

    fn record(name: &str, packages: &[(&str, &str, Identity)]) -> Record {
        let package = |name: &str, version: &str, identity: &Identity, dependencies| Package {
            name: name.to_owned(),
            version: version.parse().expect("a version"),
            identity: identity.clone(),
            features: Vec::new(),
            native: None,
            dependencies,
        };
        let own = Identity::Path {
            digest: name.to_owned(),
        };
        let mut all = vec![package(name, "1.0.0", &own, (1..=packages.len()).collect())];
        all.extend(
            packages
                .iter()
                .map(|(name, version, identity)| package(name, version, identity, vec![])),
        );
        Record {
            name: name.to_owned(),
            version: "1.0.0".parse().expect("a version"),
            description: String::new(),
            commands: vec![2],
            compiler: Compiler {
                release: "1".into(),
                commit: None,
                channel: "stable".into(),
                version_line: "rustc 1".into(),
            },
            target: "t".into(),
            pointer_width: 64,
            panic: "unwind".into(),
            packages: all,
            build: Build::default(),
        }
    }

    fn registry(checksum: &str) -> Identity {
        Identity::Registry {
            checksum: Some(checksum.to_owned()),
        }
    }

    /// Whether (version, identity) on both sides counts as a difference.
    fn differ(host: (&str, Identity), plugin: (&str, Identity)) -> bool {
        let host = record("host", &[("dep", host.0, host.1)]);
        let plugin = record("plugin", &[("dep", plugin.0, plugin.1)]);
        !differences(&host, &plugin).is_empty()
    }

    #[test]
    fn every_kind_of_identity_against_every_other() {
        let git = |revision: &str| Identity::Git {
            revision: revision.to_owned(),
        };
        let path = |digest: &str| Identity::Path {
            digest: digest.to_owned(),
        };
        let unknown = Identity::Registry { checksum: None };
        let kinds = [
            registry("a"),
            registry("b"),
            git("a"),
            git("b"),
            path("a"),
            path("b"),
            unknown.clone(),
        ];
        for (i, ours) in kinds.iter().enumerate() {
            for (j, theirs) in kinds.iter().enumerate() {
                let equal = i == j && *ours != unknown;
                assert_eq!(
                    differ(("1.2.3", ours.clone()), ("1.2.3", theirs.clone())),
                    !equal,
                    "{ours:?} against {theirs:?}"
                );
            }
        }
    }

    #[test]
    fn versions_of_one_line_differ_and_other_lines_are_other_packages() {
        for (ours, theirs, expected) in [
            ("1.0.0", "1.0.1", true),
            ("1.0.0", "1.9.0", true),
            ("1.0.0", "2.0.0", false),
            ("0.3.1", "0.3.2", true),
            ("0.3.1", "0.4.0", false),
            ("0.0.1", "0.0.2", false),
            ("1.0.0", "1.0.0", false),
        ] {
            assert_eq!(
                differ((ours, registry("a")), (theirs, registry("a"))),
                expected,
                "{ours} {theirs}"
            );
        }
    }

    #[test]
    fn tells_who_needs_it_and_how_to_align_it() {
        let host = record("host", &[("dep", "1.0.0", registry("a"))]);
        let plugin = record("plugin", &[("dep", "1.0.1", registry("b"))]);
        let differences = differences(&host, &plugin);
        let [difference] = differences.as_slice() else {
            panic!("one difference")
        };
        assert_eq!(difference.host.describe(), "1.0.0 (registry a), needed by host");
        assert_eq!(difference.plugin.describe(), "1.0.1 (registry b), needed by plugin");
        assert!(
            difference
                .cure()
                .starts_with("cargo update -p dep@1.0.1 --precise 1.0.0")
        );
    }

    #[test]
    fn plugin_api_and_the_package_itself_are_judged_elsewhere() {
        let host = record(
            "host",
            &[("plugin-api", "1.0.0", registry("a")), ("same", "1.0.0", registry("a"))],
        );
        let plugin = record("same", &[("plugin-api", "1.0.1", registry("b"))]);
        assert!(differences(&host, &plugin).is_empty());
    }
}
