//! Which of the package's features are on, in the spelling that cargo takes on its command line.
//!
//! Cargo tells a build script only `CARGO_FEATURE_A_B`, upper case and with `_` for `-`. The
//! spelling comes from the manifest: the keys of `[features]`, and the optional dependencies that
//! no feature names with `dep:`, which are features of their own (the Cargo book, "Optional
//! dependencies").

use std::{collections::BTreeSet, ffi::OsString};

use toml::{Table, Value};

use crate::manifest::Manifest;

/// The active features among those that the manifest knows, sorted.
///
/// A variable that fits none is passed over: it comes from the caller's environment, since cargo
/// sets these for known features only. Two features that differ in `-` and `_` alone can't be told
/// apart, both count as on.
pub(crate) fn active(manifest: &Manifest, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<String> {
    let set: BTreeSet<String> = variables
        .into_iter()
        .filter_map(|(name, _)| Some(name.to_str()?.strip_prefix("CARGO_FEATURE_")?.to_owned()))
        .collect();
    let mut features = known(manifest);
    features.retain(|feature| set.contains(&feature.to_uppercase().replace('-', "_")));
    features.into_iter().collect()
}

fn known(manifest: &Manifest) -> BTreeSet<String> {
    let empty = Table::new();
    let features = manifest.get(&["features"]).and_then(Value::as_table).unwrap_or(&empty);
    let hidden: BTreeSet<&str> = features
        .values()
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(|value| value.as_str()?.strip_prefix("dep:"))
        .collect();
    let targets = manifest.get(&["target"]).and_then(Value::as_table).unwrap_or(&empty);
    let implicit = std::iter::once(&manifest.table)
        .chain(targets.values().filter_map(Value::as_table))
        .flat_map(optional_dependencies)
        .filter(|name| !hidden.contains(name.as_str()));
    features.keys().chain(implicit).cloned().collect()
}

/// The optional dependencies of one level of the manifest, by the name they have in this package.
/// That one is inherited from the workspace makes no difference: `optional` can only stand here.
fn optional_dependencies(level: &Table) -> impl Iterator<Item = &String> {
    ["dependencies", "build-dependencies"]
        .into_iter()
        .filter_map(|kind| level.get(kind)?.as_table())
        .flatten()
        .filter(|(_, value)| value.get("optional").and_then(Value::as_bool) == Some(true))
        .map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_comes_from_the_manifest() {
        let manifest = Manifest {
            path: "Cargo.toml".into(),
            table: r#"
                [features]
                default = ["Fast-path"]
                Fast-path = []
                with_log = ["dep:log", "mem?/std"]
                unused = []
                [dependencies]
                log = { version = "0.4", optional = true }
                serde = { workspace = true, optional = true }
                anyhow = "1"
                [target.'cfg(unix)'.dependencies]
                my-libc = { package = "libc", version = "0.2", optional = true }
                [build-dependencies]
                gen = { version = "1", optional = true }
            "#
            .parse()
            .expect("TOML"),
        };
        let names = [
            "DEFAULT",
            "FAST_PATH",
            "WITH_LOG",
            "LOG",
            "SERDE",
            "ANYHOW",
            "MY_LIBC",
            "GEN",
            "X",
        ];
        let mut variables: Vec<(OsString, OsString)> = names
            .iter()
            .map(|name| (format!("CARGO_FEATURE_{name}").into(), "1".into()))
            .collect();
        variables.push(("UNUSED".into(), "1".into()));
        let expected = ["Fast-path", "default", "gen", "my-libc", "serde", "with_log"];
        assert_eq!(active(&manifest, variables), expected);
    }
}
