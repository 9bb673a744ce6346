//! Cargo's configuration files that apply to the package. Source of the places: the Cargo book,
//! "Hierarchical structure".

use std::path::PathBuf;

use crate::env::Env;

/// Those that exist, the nearest first.
pub(crate) fn files(env: &Env) -> Vec<PathBuf> {
    let folders = env.manifest_dir.ancestors().map(|folder| folder.join(".cargo"));
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in folders.chain(env.cargo_home.clone()) {
        // The name without extension is older, and wins where both exist.
        let found = ["config", "config.toml"].map(|name| folder.join(name)).into_iter();
        files.extend(found.filter(|path| path.is_file()).take(1));
    }
    // Cargo's home often lies above the package.
    let mut seen = Vec::new();
    files.retain(|file| {
        let new = !seen.contains(file);
        seen.push(file.clone());
        new
    });
    files
}
