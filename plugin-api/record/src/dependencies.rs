//! Compares what host and plugin link: every package that both have in one compatibility line, by version and content.
//! Pure; what a difference means is the policy's to say.

use crate::graph::Paths;
use crate::policy::is_harmless;
use crate::refusal::quoted;
use crate::{Code, Identity, Line, Package, PackagePolicy, Policy, Record, Refusal};

/// The author's crate: the abi checks judge it, by rules of its own. Its content is not compared: host and plugin may have
/// different minor versions of it, so that a host can be newer than its plugins, and the other way round.
const PLUGIN_API: &str = "plugin-api";

/// So many packages of a chain are shown, half at each end: one that a file makes up can have thousands.
const SHOWN: usize = 8;

/// A package that the two sides have in different versions or contents.
#[derive(Debug)]
pub(crate) struct Difference<'a> {
    /// The host's.
    pub(crate) host: Side<'a>,
    /// The plugin's.
    pub(crate) plugin: Side<'a>,
}

/// One side of a difference.
#[derive(Debug)]
pub(crate) struct Side<'a> {
    /// The package.
    pub(crate) package: &'a Package,
    /// The shortest chain of packages by which the side needs it, its own name first; without its middle where it is
    /// longer than [`SHOWN`].
    pub(crate) path: Vec<&'a str>,
}

/// Every package that both link in the same compatibility line and that differs. Other lines are other packages.
pub(crate) fn differences<'a>(host: &'a Record, plugin: &'a Record) -> Vec<Difference<'a>> {
    let mut differences = Vec::new();
    let (our_paths, their_paths) = (Paths::of(host), Paths::of(plugin));
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
                    path: names(host, &our_paths, *ours_index),
                },
                plugin: Side {
                    package: theirs,
                    path: names(plugin, &their_paths, index),
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

fn names<'a>(record: &'a Record, paths: &Paths, index: usize) -> Vec<&'a str> {
    let path = paths.to(index);
    let name = |at: &usize| record.packages[*at].name.as_str();
    if path.len() <= SHOWN {
        return path.iter().map(name).collect();
    }
    let (start, end) = (&path[..SHOWN / 2], &path[path.len() - SHOWN / 2..]);
    start
        .iter()
        .map(name)
        .chain(["..."])
        .chain(end.iter().map(name))
        .collect()
}

impl Side<'_> {
    /// The side as one line: version, identity, and who needs it.
    fn describe(&self) -> String {
        let package = self.package;
        let needed_by = match self.path.split_last() {
            Some((_, path)) if !path.is_empty() => format!(", needed by {}", path.join(" > ")),
            _ => String::new(),
        };
        format!("{} ({}){needed_by}", package.version, package.identity)
    }
}

impl Difference<'_> {
    /// The difference with both sides and its cure. Whether it refuses is the policy's to say.
    pub(crate) fn refusal(&self, policy: &Policy) -> Refusal {
        let name = &self.plugin.package.name;
        let host = match policy.packages.get(name) {
            Some(PackagePolicy::Requirement(requirement)) => {
                format!("{}; the policy asks for {requirement}", self.host.describe())
            }
            _ => self.host.describe(),
        };
        Refusal::new(
            Code::Dependency,
            format!("dependency {name}"),
            host,
            self.plugin.describe(),
            format!("{} {}", self.align(), self.accept(policy)),
        )
    }

    /// What makes the plugin's side like the host's: a command for the plugin's folder, or what to do there.
    fn align(&self) -> String {
        let (ours, theirs) = (self.host.package, self.plugin.package);
        let name = &ours.name;
        match (&ours.identity, &theirs.identity) {
            (Identity::Registry { .. }, Identity::Registry { .. }) if ours.version != theirs.version => {
                let spec = quoted(&format!("{name}@{}", theirs.version));
                format!(
                    "cargo update -p {spec} --precise {} #",
                    quoted(&ours.version.to_string())
                )
            }
            (Identity::Registry { checksum: None }, Identity::Registry { .. }) => format!(
                "# rebuild the host with a Cargo.lock that has a checksum for {name} {}: without one nothing is known to equal \
                 it;",
                ours.version
            ),
            (Identity::Registry { .. }, Identity::Registry { .. }) => {
                format!(
                    "# take {name} {} from the registry that the host takes it from;",
                    ours.version
                )
            }
            (Identity::Registry { .. }, _) => format!(
                "# take {name} {} from the registry, as the host does: remove its path or git key in Cargo.toml, or its \
                 [patch] there or in cargo's configuration;",
                ours.version
            ),
            (Identity::Git { revision }, _) => {
                format!("# take {name} from git, as the host does, with `rev = \"{revision}\"` in Cargo.toml;")
            }
            (Identity::Path { .. }, _) => {
                format!("# build with the same sources of {name} {} as the host;", ours.version)
            }
        }
    }

    /// The line of a policy that lets it through, and what that risks.
    fn accept(&self, policy: &Policy) -> String {
        let name = &self.plugin.package.name;
        let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let key = match name.chars().all(is_bare) {
            true => name.clone(),
            false => format!("{name:?}"),
        };
        // What stands there goes before `dependencies`.
        if policy.packages.contains_key(name) {
            return format!(
                "or accept it: `{key} = \"ignore\"` under [policy.packages], in place of what stands there"
            );
        }
        if is_harmless(self.host.package, self.plugin.package) {
            return format!(
                "or accept it, which is harmless (each side links its own {name}, none of its types crosses): \
                 `dependencies = \"interface\"` under [policy]"
            );
        }
        let risk = match name.as_str() {
            "abi_stable" => "the two sides meet in it, and only the layout check when opening stands behind",
            _ => "it brings native code, of which two copies in one process may share symbols and state",
        };
        format!("or accept it at a risk ({risk}): `{key} = \"ignore\"` under [policy.packages]")
    }
}

#[cfg(test)]
mod tests {
    use crate::{Build, Compiler};

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
        let refusal = difference.refusal(&Policy::default());
        assert_eq!(refusal.host, "1.0.0 (registry a), needed by host");
        assert_eq!(refusal.plugin, "1.0.1 (registry b), needed by plugin");
        assert!(
            refusal
                .cure
                .starts_with("cargo update -p dep@1.0.1 --precise 1.0.0 # or accept it at a risk")
        );
    }

    #[test]
    fn a_cure_is_one_that_the_policy_follows() {
        let cure = |host: &[(&str, &str, Identity)], plugin: &[(&str, &str, Identity)], policy: &str| {
            let mut sides = [record("host", host), record("plugin", plugin)];
            sides.iter_mut().for_each(|side| side.packages[1].native = Some(false));
            let policy: Policy = serde_json::from_str(policy).expect("a policy");
            let refusals = crate::compare(&sides[0], &sides[1], &policy).refusals;
            let refusal = refusals.into_iter().find(|refusal| refusal.code == Code::Dependency);
            refusal.expect("a difference").cure
        };
        let unknown = Identity::Registry { checksum: None };
        let path = Identity::Path { digest: "a".into() };
        for (ours, theirs, policy, start, end) in [
            (
                ("dep", "1.2.1+x.1", registry("a")),
                ("dep", "1.2.0+x.1", registry("b")),
                "{}",
                "cargo update -p dep@1.2.0+x.1 --precise 1.2.1+x.1 # or accept it, which is harmless",
                "`dependencies = \"interface\"` under [policy]",
            ),
            (
                ("dep", "1.2.1", registry("a")),
                ("dep", "1.2.0", registry("b")),
                r#"{"packages": {"dep": "exact"}}"#,
                "cargo update -p dep@1.2.0 --precise 1.2.1 # or accept it: ",
                "`dep = \"ignore\"` under [policy.packages], in place of what stands there",
            ),
            (
                ("d\u{e9}p", "1.2.1", registry("a")),
                ("d\u{e9}p", "1.2.0", registry("b")),
                r#"{"packages": {"d\u00e9p": ">=2"}}"#,
                "cargo update -p 'd\u{e9}p@1.2.0' --precise 1.2.1 # or accept it: ",
                "`\"d\u{e9}p\" = \"ignore\"` under [policy.packages], in place of what stands there",
            ),
            (
                ("dep", "1.2.1", unknown.clone()),
                ("dep", "1.2.1", unknown),
                "{}",
                "# rebuild the host with a Cargo.lock that has a checksum for dep 1.2.1: ",
                "under [policy]",
            ),
            (
                ("dep", "1.2.1", registry("a")),
                ("dep", "1.2.1", path),
                "{}",
                "# take dep 1.2.1 from the registry, as the host does: remove its path or git key in Cargo.toml, or its [patch]",
                "under [policy]",
            ),
        ] {
            let cure = cure(&[ours], &[theirs], policy);
            assert!(cure.starts_with(start) && cure.ends_with(end), "{cure}");
        }
    }

    #[test]
    fn policies_let_through_what_they_say() {
        let accepted = |policy: &str, name: &str, native: Option<bool>| {
            let policy: Policy = serde_json::from_str(policy).expect("a policy");
            let mut host = record("host", &[(name, "1.2.0", registry("a"))]);
            let mut plugin = record("plugin", &[(name, "1.3.0", registry("b"))]);
            host.packages[1].native = Some(false);
            plugin.packages[1].native = native;
            let comparison = crate::compare(&host, &plugin, &policy);
            comparison
                .accepted
                .iter()
                .any(|difference| difference.code == Code::Dependency)
        };
        let (pure, native, unknown) = (Some(false), Some(true), None);
        for (policy, name, kind, expected) in [
            ("{}", "dep", pure, false),
            (r#"{"dependencies": "any"}"#, "dep", native, true),
            (r#"{"dependencies": "any"}"#, "abi_stable", pure, true),
            (r#"{"dependencies": "interface"}"#, "dep", pure, true),
            (r#"{"dependencies": "interface"}"#, "dep", native, false),
            (r#"{"dependencies": "interface"}"#, "dep", unknown, false),
            (r#"{"dependencies": "interface"}"#, "abi_stable", pure, false),
            (
                r#"{"dependencies": "any", "packages": {"dep": "exact"}}"#,
                "dep",
                pure,
                false,
            ),
            (r#"{"packages": {"dep": "ignore"}}"#, "dep", native, true),
            (r#"{"packages": {"other": "ignore"}}"#, "dep", pure, false),
            (r#"{"packages": {"dep": ">=1.2, <2"}}"#, "dep", pure, true),
            (
                r#"{"dependencies": "any", "packages": {"dep": "=1.2.0"}}"#,
                "dep",
                pure,
                false,
            ),
        ] {
            assert_eq!(accepted(policy, name, kind), expected, "{policy} {name} {kind:?}");
        }
        assert!(serde_json::from_str::<Policy>(r#"{"packages": {"dep": "newest"}}"#).is_err());
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

    /// plugin-api is in no registry of ours, and abi_stable no dependency of an author's: a command that adds one of them
    /// would bring a stranger's package, or one that changes nothing.
    #[test]
    fn no_cure_adds_a_package() {
        let host = record(
            "host",
            &[
                ("plugin-api", "1.4.0", registry("a")),
                ("abi_stable", "0.11.3", registry("a")),
            ],
        );
        for packages in [
            vec![],
            vec![
                ("plugin-api", "2.0.0", registry("b")),
                ("abi_stable", "0.12.0", registry("b")),
            ],
        ] {
            let refusals = crate::compare(&host, &record("plugin", &packages), &Policy::default()).refusals;
            let abi: Vec<_> = refusals
                .iter()
                .filter(|refusal| [Code::AbiPluginApi, Code::AbiStable].contains(&refusal.code))
                .collect();
            assert_eq!(abi.len(), 2, "{refusals:?}");
            for refusal in abi {
                let start = "cargo build --release -p plugin # after taking plugin-api and plugin-build from the sources of \
                             this host (version 1.4.0), by path or git in Cargo.toml: ";
                assert!(refusal.cure.starts_with(start), "{}", refusal.cure);
            }
        }
    }
}
