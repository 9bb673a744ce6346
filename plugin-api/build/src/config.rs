//! Cargo's configuration that applies to the package, as far as it says where files lie; all else is cargo's to follow.
//! Source of the places and their order: the Cargo book, "Hierarchical structure" and "Command-line overrides".

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::{env::Env, text};

/// Names another lock file than the one beside the workspace's manifest; cargo 1.97 and later follow it.
pub(crate) const LOCKFILE_VARIABLE: &str = "CARGO_RESOLVER_LOCKFILE_PATH";

/// One part of the configuration.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where it stands, if in a file.
    pub(crate) file: Option<PathBuf>,
    /// What its relative paths are relative to.
    base: PathBuf,
    table: Table,
}

/// All parts, those that win first: the command line, the environment, then the folders from the nearest. What can't be read
/// is left out: cargo would have failed at it.
pub(crate) fn read(env: &Env) -> Vec<Config> {
    let mut configs = Vec::new();
    // On the command line the last one wins.
    for value in env.outer.iter().flat_map(|outer| outer.configs.iter().rev()) {
        // A file where there is one of that name, as cargo decides it.
        let path = env.folder().join(value);
        configs.extend(match (path.exists(), value.to_str()) {
            (true, _) => of_file(path),
            (false, Some(text)) => of_text(env.folder(), text),
            (false, None) => None,
        });
    }
    if let Ok(path) = crate::env::text(LOCKFILE_VARIABLE) {
        let key = format!("resolver.lockfile-path={}", Value::String(path));
        configs.extend(of_text(env.folder(), &key));
    }
    let folders = env.folder().ancestors().map(|folder| folder.join(".cargo"));
    let mut seen: Vec<PathBuf> = Vec::new();
    for folder in folders.chain(env.cargo_home.clone()) {
        // The name without extension is older, and wins where both exist.
        let found = ["config", "config.toml"].map(|name| folder.join(name)).into_iter();
        for file in found.filter(|path| path.is_file()).take(1) {
            // Cargo's home often lies above the package.
            if !seen.contains(&file) {
                seen.push(file.clone());
                configs.extend(of_file(file));
            }
        }
    }
    configs
}

/// Paths in a file are relative to the folder above its own (the Cargo book, "Config-relative paths").
fn of_file(file: PathBuf) -> Option<Config> {
    Some(Config {
        table: text::read(&file).ok()?.parse().ok()?,
        base: file.parent()?.parent()?.to_owned(),
        file: Some(file),
    })
}

fn of_text(base: &Path, text: &str) -> Option<Config> {
    Some(Config {
        file: None,
        base: base.to_owned(),
        table: text.parse().ok()?,
    })
}

/// The lock file, if another one is named than that of the workspace, and exists.
pub(crate) fn lockfile(configs: &[Config]) -> Option<PathBuf> {
    let paths = configs.iter().filter_map(|config| {
        let path = config.table.get("resolver")?.get("lockfile-path")?.as_str()?;
        Some(config.base.join(path))
    });
    // The first one counts, whether or not there is a file: cargo before 1.97 does not know the key.
    paths.take(1).find(|path| path.is_file())
}

/// The folders of vendored packages: `[source.*] directory`.
pub(crate) fn vendored(configs: &[Config]) -> Vec<PathBuf> {
    let folders = configs.iter().flat_map(|config| {
        let sources = config
            .table
            .get("source")
            .and_then(Value::as_table)
            .into_iter()
            .flatten();
        sources.filter_map(|(_, source)| Some(config.base.join(source.get("directory")?.as_str()?)))
    });
    folders.collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::outer::Outer;

    #[test]
    fn the_command_line_goes_before_the_nearest_file() {
        let top = std::env::temp_dir().join(format!("plugin-build-{}-config", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = top.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        write(
            ".cargo/config.toml",
            "resolver.lockfile-path = 'far.lock'\nsource.a.directory = 'a'",
        );
        write("work/.cargo/config.toml", "source.b.directory = 'b'");
        write(
            "work/.cargo/config",
            "resolver.lockfile-path = 'near.lock'\nsource.c.directory = '/c'",
        );
        write("other/patch.toml", "source.d.directory = 'd'");
        write("work/near.lock", "");
        write("work/said.lock", "");
        let mut env = Env::sample();
        (env.manifest_dir, env.cargo_home) = (top.join("work"), Some(top.join(".cargo")));
        let configs = read(&env);
        assert_eq!(vendored(&configs), [PathBuf::from("/c"), top.join("a")]);
        assert_eq!(lockfile(&configs), Some(top.join("work/near.lock")));

        env.outer = Some(Outer {
            folder: top.join("work"),
            configs: vec![
                "resolver.lockfile-path=\"other.lock\"".into(),
                "../other/patch.toml".into(),
                "resolver.lockfile-path=\"said.lock\"".into(),
                "source.e.directory=\"e\"".into(),
                "net.offline=true".into(),
            ],
            ..Outer::default()
        });
        let configs = read(&env);
        let expected = ["work/e", "work/../d", "/c", "a"].map(|path| top.join(path));
        assert_eq!(vendored(&configs), expected);
        assert_eq!(lockfile(&configs), Some(top.join("work/said.lock")));
        fs::remove_file(top.join("work/said.lock")).expect("removed");
        assert_eq!(lockfile(&configs), None);
        fs::remove_dir_all(top).expect("removed");
    }
}
