//! Where the manifests of linked packages lie, for what neither `cargo tree` nor Cargo.lock say: whether a package brings
//! native code (a `links` key), and whether it is a plugin.
//!
//! They are looked up where cargo unpacks packages or where they are vendored. That layout is not promised by cargo; a
//! manifest that is not found makes the answer "unknown", never a failure.

use std::{
    fs,
    path::{Path, PathBuf},
};

use plugin_record::Identity;
use toml::Value;

use crate::{
    config::{self, Config},
    env::Env,
    identity::Origin,
    manifest::Manifest,
    tree::{Node, Source},
};

/// How deep in a repository a package is looked for.
const REPOSITORY_DEPTH: usize = 5;

/// Where cargo keeps the packages that are in no folder of the author's.
#[derive(Debug)]
pub(crate) struct Places {
    /// Folders with one folder per vendored package.
    vendored: Vec<PathBuf>,
    /// Folders with one folder per unpacked package, one for each registry.
    registries: Vec<PathBuf>,
    /// Folders with one checkout per revision, one for each repository.
    repositories: Vec<PathBuf>,
}

impl Places {
    pub(crate) fn of(env: &Env, configs: &[Config]) -> Places {
        let below = |path: &str| {
            env.cargo_home
                .as_ref()
                .map(|home| folders(&home.join(path)))
                .unwrap_or_default()
        };
        Places {
            vendored: config::vendored(configs),
            registries: below("registry/src"),
            repositories: below("git/checkouts"),
        }
    }

    /// The package's manifest, if it is found.
    pub(crate) fn manifest(&self, node: &Node, origin: &Origin) -> Option<Manifest> {
        if let Source::Path(path) = &node.source {
            return Manifest::read(path).ok();
        }
        let vendored = || {
            let names = [format!("{}-{}", node.name, node.version), node.name.clone()];
            let folders = self.vendored.iter();
            let mut folders = folders.flat_map(|at| names.iter().map(|name| at.join(name)));
            folders.find_map(|folder| manifest_of(&folder, node))
        };
        let fetched = || match &origin.identity {
            Identity::Git { revision } => self.checked_out(node, revision),
            _ => {
                let name = format!("{}-{}", node.name, node.version);
                self.registries.iter().find_map(|at| manifest_of(&at.join(&name), node))
            }
        };
        vendored().or_else(fetched)
    }

    /// A checkout's folder is named by the first digits of its revision; the package may lie
    /// anywhere in it.
    fn checked_out(&self, node: &Node, revision: &str) -> Option<Manifest> {
        let is_checkout = |folder: &PathBuf| {
            let name = folder.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.len() >= 7 && revision.starts_with(name))
        };
        let checkouts = self.repositories.iter().flat_map(|at| folders(at)).filter(is_checkout);
        checkouts
            .into_iter()
            .find_map(|checkout| search(&checkout, node, REPOSITORY_DEPTH))
    }
}

/// The manifest in a folder if it is that package's. A version that is inherited from a workspace
/// is taken on trust: one revision of a repository has one package of a name.
fn manifest_of(folder: &Path, node: &Node) -> Option<Manifest> {
    let manifest = Manifest::read(folder).ok()?;
    let name = manifest.get(&["package", "name"])?.as_str()?;
    let version = manifest.get(&["package", "version"]).and_then(Value::as_str);
    let fits = version.is_none_or(|version| version == node.version.to_string());
    (name == node.name && fits).then_some(manifest)
}

fn search(folder: &Path, node: &Node, depth: usize) -> Option<Manifest> {
    manifest_of(folder, node).or_else(|| {
        let deeper = depth.checked_sub(1)?;
        folders(folder).iter().find_map(|folder| search(folder, node, deeper))
    })
}

/// The folders in a folder, sorted and without hidden ones and links; none if it can't be read.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut folders: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn manifest(name: &str, more: &str) -> String {
        format!("[package]\nname = \"{name}\"\n{more}")
    }

    #[test]
    fn manifests_are_found_where_cargo_puts_them() {
        let home = std::env::temp_dir().join(format!("plugin-build-{}-home", std::process::id()));
        write(
            home.join("work/.cargo/config.toml"),
            "[source.v]\ndirectory = \"vendor\"\n[source.x]\nreplace-with = 'v'",
        );
        let links = "version = \"1.0.0\"\nlinks = \"x\"";
        write(
            home.join("registry/src/index-1/a-1.0.0/Cargo.toml"),
            &manifest("a", links),
        );
        write(
            home.join("git/checkouts/r-1/0123456/crates/b/Cargo.toml"),
            &manifest("b", "version.workspace = true\nlinks = \"b\""),
        );
        // Vendoring adds the version to the name only where two versions meet.
        write(
            home.join("work/vendor/c/Cargo.toml"),
            &manifest("c", "version = \"2.0.0\""),
        );
        write(home.join("work/vendor/c-1.0.0/Cargo.toml"), &manifest("c", links));

        let mut env = Env::sample();
        (env.manifest_dir, env.cargo_home) = (home.join("work"), Some(home.clone()));
        let places = Places::of(&env, &config::read(&env));
        let git = Identity::Git {
            revision: "0123456789abcdef".into(),
        };
        let registry = Identity::Registry { checksum: None };
        let other = Identity::Git {
            revision: "fffffff".into(),
        };
        for (name, version, identity, native) in [
            ("a", "1.0.0", &registry, Some(true)),
            ("a", "1.0.1", &registry, None),
            ("b", "1.0.0", &git, Some(true)),
            ("b", "1.0.0", &other, None),
            ("c", "1.0.0", &registry, Some(true)),
            ("c", "2.0.0", &registry, Some(false)),
            ("c", "3.0.0", &registry, None),
        ] {
            let node = Node {
                name: name.into(),
                version: version.parse().expect("a version"),
                source: Source::CratesIo,
                features: vec![],
                dependencies: vec![],
            };
            let origin = Origin {
                identity: identity.clone(),
                folder: None,
            };
            let links = places.manifest(&node, &origin).map(|manifest| manifest.links());
            assert_eq!(links, native, "{name} {version}");
        }
        fs::remove_dir_all(home).expect("removed");
    }
}
