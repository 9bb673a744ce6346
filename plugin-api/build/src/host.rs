//! The host that a build is compared with, if its author names one: which file says what that host is, and how the
//! differences are told. What is a difference is plugin-record's to say, so that a build and that host's `check` say the
//! same.
//!
//! The environment goes before the manifest: a manifest names the host that a plugin is meant for, the environment the
//! one at hand. Set to nothing, it builds without comparing.

use std::path::{Path, PathBuf};

use plugin_record::{Comparison, Fingerprint, Record, Refusal, notes};

use crate::{Error, cargo, env::Env, manifest::Manifest, text};

/// The variable that names the host's fingerprint, a file made by `host fingerprint --json`.
pub const HOST_VARIABLE: &str = "PLUGIN_HOST";

/// Compares the plugin with the host that its author names. What that host's policy lets through becomes warnings, and so do
/// notes on the plugin.
///
/// # Errors
/// When the file can't be read or is no fingerprint, and when that host would refuse the plugin.
pub(crate) fn compare(plugin: &Record) -> Result<(), Error> {
    println!("cargo::rerun-if-env-changed={HOST_VARIABLE}");
    let env = Env::of_build_script()?;
    let Some(path) = file(&env)? else { return Ok(()) };
    println!("cargo::rerun-if-changed={}", path.display());
    let host = read(&path)?;
    let Comparison { refusals, accepted } = host.compare(plugin);
    for difference in &accepted {
        let text = format!(
            "accepted by the host of {}: {}",
            path.display(),
            describe(difference).trim_end()
        );
        text.lines().for_each(|line| println!("cargo::warning={line}"));
    }
    for note in notes(plugin) {
        println!("cargo::warning=note {note}");
    }
    match refusals.is_empty() {
        true => Ok(()),
        false => Err(Error::Refused {
            path,
            refusals: refusals.iter().map(describe).collect(),
        }),
    }
}

fn file(env: &Env) -> Result<Option<PathBuf>, Error> {
    let Some(named) = std::env::var_os(HOST_VARIABLE) else {
        let manifest = Manifest::read(&env.manifest_dir)?;
        return Ok(manifest.host()?.map(|path| env.manifest_dir.join(path)));
    };
    if named.is_empty() {
        return Ok(None);
    }
    // A relative path means the package's folder; or the one that cargo was started in, where that is known; or, where many
    // plugins are built together, their workspace's.
    let path = env.manifest_dir.join(&named);
    let others = [
        env.folder().join(&named),
        cargo::workspace_root(env)?.with_file_name(&named),
    ];
    let found = [&path].into_iter().chain(&others).find(|path| path.exists());
    Ok(Some(found.unwrap_or(&path).clone()))
}

fn read(path: &Path) -> Result<Fingerprint, Error> {
    let text = text::read(path).map_err(|error| Error::HostUnreadable {
        path: path.to_owned(),
        error,
    })?;
    serde_json::from_str(&text).map_err(|error| Error::HostMalformed {
        path: path.to_owned(),
        error,
    })
}

/// The five texts of a refusal, each whole on a line of its own.
fn describe(refusal: &Refusal) -> String {
    format!(
        "{}: {}\n  host: {}\n  plugin: {}\n  cure: {}\n",
        refusal.code.as_str(),
        refusal.field,
        refusal.host,
        refusal.plugin,
        refusal.cure
    )
}
