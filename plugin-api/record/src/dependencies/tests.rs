//! Which dependencies are differences, and what a policy lets through: case by case.

use crate::{Build, Compiler};

use super::*;

/// A record whose own package needs all others, and these nothing.
pub(crate) fn record(name: &str, packages: &[(&str, &str, Identity)]) -> Record {
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

pub(crate) fn registry(checksum: &str) -> Identity {
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

/// Has a record's plugin-api, its second package after its own, need the first one.
fn of_interface(mut record: Record) -> Record {
    record.packages[2].dependencies = vec![1];
    record
}

#[test]
fn tells_who_needs_it_and_how_to_align_it() {
    let host = of_interface(record(
        "host",
        &[("dep", "1.0.0", registry("a")), ("plugin-api", "1.0.0", registry("a"))],
    ));
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
            .starts_with("cargo update -p dep@1.0.1 --precise 1.0.0 # or accept it at a risk (plugin-api brings it"),
        "{}",
        refusal.cure
    );
}

#[test]
fn a_cure_is_one_that_the_policy_follows() {
    const EXACT: &str = r#"{"dependencies": "exact"}"#;
    let cure = |host: &[(&str, &str, Identity)], plugin: &[(&str, &str, Identity)], policy: &str| {
        let policy: Policy = serde_json::from_str(policy).expect("a policy");
        let comparison = crate::compare(&record("host", host), &record("plugin", plugin), &policy);
        let mut found = comparison.refusals.into_iter().chain(comparison.accepted);
        let refusal = found.find(|refusal| refusal.code == Code::Dependency);
        refusal.expect("a difference").cure
    };
    let unknown = Identity::Registry { checksum: None };
    let path = Identity::Path { digest: "a".into() };
    for (ours, theirs, policy, start, end) in [
        (
            ("dep", "1.2.1+x.1", registry("a")),
            ("dep", "1.2.0+x.1", registry("b")),
            EXACT,
            "cargo update -p dep@1.2.0+x.1 --precise 1.2.1+x.1 # or accept it (each side links its own dep, ",
            "`dependencies = \"interface\"` under [policy]",
        ),
        (
            ("dep", "1.2.1", registry("a")),
            ("dep", "1.2.0", registry("b")),
            "{}",
            "cargo update -p dep@1.2.0 --precise 1.2.1 # ",
            "# the policy accepts it as it is",
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
            EXACT,
            "# rebuild the host with a Cargo.lock that has a checksum for dep 1.2.1: ",
            "under [policy]",
        ),
        (
            ("dep", "1.2.1", registry("a")),
            ("dep", "1.2.1", path),
            EXACT,
            "# take dep 1.2.1 from the registry, as the host does: remove its path or git key in Cargo.toml, or its [patch]",
            "under [policy]",
        ),
    ] {
        let cure = cure(&[ours], &[theirs], policy);
        assert!(cure.starts_with(start) && cure.ends_with(end), "{cure}");
    }
}

// Long: a table of cases.
#[test]
fn policies_let_through_what_they_say() {
    let accepted = |policy: &str, name: &str, is_interface: bool, native: Option<bool>| {
        let policy: Policy = serde_json::from_str(policy).expect("a policy");
        let api = ("plugin-api", "1.0.0", registry("a"));
        let mut host = record("host", &[(name, "1.2.0", registry("a")), api.clone()]);
        if is_interface {
            host = of_interface(host);
        }
        // Whatever way leads to it on the plugin's side.
        let mut plugin = record("plugin", &[(name, "1.3.0", registry("b")), api]);
        host.packages[1].native = native;
        plugin.packages[1].native = native;
        let comparison = crate::compare(&host, &plugin, &policy);
        let is_of_it = |list: &[Refusal]| list.iter().any(|difference| difference.code == Code::Dependency);
        let (refused, accepted) = (is_of_it(&comparison.refusals), is_of_it(&comparison.accepted));
        assert!(refused != accepted, "a difference is told once: {comparison:?}");
        accepted
    };
    for (policy, name, is_interface, expected) in [
        ("{}", "dep", false, true),
        ("{}", "dep", true, false),
        (r#"{"dependencies": "interface"}"#, "dep", false, true),
        (r#"{"dependencies": "interface"}"#, "dep", true, false),
        (r#"{"dependencies": "exact"}"#, "dep", false, false),
        (r#"{"dependencies": "exact"}"#, "dep", true, false),
        (r#"{"dependencies": "any"}"#, "dep", true, true),
        (r#"{"dependencies": "any"}"#, "abi_stable", true, true),
        (r#"{"packages": {"dep": "exact"}}"#, "dep", false, false),
        (
            r#"{"dependencies": "any", "packages": {"dep": "exact"}}"#,
            "dep",
            true,
            false,
        ),
        (r#"{"packages": {"dep": "ignore"}}"#, "dep", true, true),
        (
            r#"{"dependencies": "exact", "packages": {"other": "ignore"}}"#,
            "dep",
            false,
            false,
        ),
        (r#"{"packages": {"dep": ">=1.2, <2"}}"#, "dep", true, true),
        (r#"{"packages": {"dep": "=1.2.0"}}"#, "dep", false, false),
        (
            r#"{"dependencies": "any", "packages": {"dep": "=1.2.0"}}"#,
            "dep",
            true,
            false,
        ),
    ] {
        // Native code decides nothing here.
        for native in [Some(false), Some(true), None] {
            assert_eq!(
                accepted(policy, name, is_interface, native),
                expected,
                "{policy} {name} {is_interface} {native:?}"
            );
        }
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
