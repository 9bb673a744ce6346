//! When the record is gathered again: what cargo has to watch.
//!
//! Cargo reruns a build script when its own package changes, but not when a path dependency does:
//! that only links the plugin anew, around a stale record. Any `rerun-if-changed` also ends cargo's
//! own watch over the package, so everything is listed: what decides the resolution (the lock, the
//! manifests, the configuration) and the files of every package in a folder, the plugin's included.
//! Only paths that exist are printed; cargo would rerun for a missing one at every build.
//!
//! What is said on cargo's command line (`--config`, `-Z`) is not watched: there is nothing to watch it by. A build that says
//! something else there than the last one, and changes nothing else, keeps the last one's record.
//!
//! The repository's HEAD is not watched: the commit is shown and decides nothing, and a new commit
//! is no reason to build. The record has it as of the last gathering.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use toml::Value;

use crate::{
    config::{Config, LOCKFILE_VARIABLE},
    identity::Origins,
    manifest::Manifest,
};

/// Tells cargo what the record depends on.
pub(crate) fn print(root: &Path, lock: &Path, configs: &[Config], origins: &Origins) {
    // They decide where downloaded manifests and the lock are looked for. All other variables that are read are
    // cargo's own, and it reruns the script when they change.
    for variable in ["CARGO_HOME", LOCKFILE_VARIABLE] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    for path in paths(root, lock, configs, origins) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

fn paths(root: &Path, lock: &Path, configs: &[Config], origins: &Origins) -> BTreeSet<PathBuf> {
    let mut paths = BTreeSet::from([root.to_owned(), lock.to_owned()]);
    paths.extend(configs.iter().filter_map(|config| config.file.clone()));
    for folder in origins.0.iter().filter_map(|origin| origin.folder.as_ref()) {
        paths.extend(folder.sources.watch.iter().cloned());
        paths.extend(workspace_manifest(&folder.path));
    }
    paths.retain(|path| path.exists());
    paths
}

/// The workspace that a package may inherit from: the one it names, else the nearest above it.
fn workspace_manifest(folder: &Path) -> Option<PathBuf> {
    let own = Manifest::read(folder).ok()?;
    if let Some(named) = own.get(&["package", "workspace"]).and_then(Value::as_str) {
        return Some(folder.join(named).join("Cargo.toml"));
    }
    let mut manifests = folder.ancestors().filter_map(|above| Manifest::read(above).ok());
    manifests
        .find(|manifest| manifest.get(&["workspace"]).is_some())
        .map(|found| found.path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use plugin_record::Identity;

    use super::*;
    use crate::{
        identity::{Folder, Origin},
        sources::Sources,
    };

    #[test]
    fn only_what_exists_is_watched_and_nothing_is_missing() {
        let top = std::env::temp_dir().join(format!("plugin-build-{}-watch", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = top.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        write("Cargo.toml", "[workspace]");
        write("Cargo.lock", "");
        write("near/Cargo.toml", "[package]\nname = 'near'");
        write("far/Cargo.toml", "[workspace]");
        write("named/Cargo.toml", "[package]\nname = 'named'\nworkspace = '../far'");
        let origin = |name: &str| Origin {
            identity: Identity::Path { digest: String::new() },
            folder: Some(Folder {
                path: top.join(name),
                sources: Sources {
                    files: vec![],
                    watch: vec![top.join(name).join("src")],
                },
            }),
        };
        let origins = Origins(vec![origin("near"), origin("named")]);
        write("near/src/lib.rs", "");
        let found = paths(&top.join("Cargo.toml"), &top.join("Cargo.lock"), &[], &origins);
        let expected = ["Cargo.lock", "Cargo.toml", "named/../far/Cargo.toml", "near/src"].map(|p| top.join(p));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
        fs::remove_dir_all(top).expect("removed");
    }
}
