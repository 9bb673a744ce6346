//! Asking cargo and rustc: which command, where, and with which environment.
//!
//! A build script's environment is made for build scripts. A cargo started inside it would read
//! some of it as configuration, so what could change or break the answer is taken out here.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{Error, env::Env};

/// A cargo command about the package that resolves as the outer cargo did: with its arguments, and from its folder, since
/// that is where it looks for configuration files and what relative paths in `--config` are relative to. Where neither is
/// known, from the package's folder.
pub(crate) fn cargo(env: &Env, name: &str) -> Command {
    let mut command = Command::new(&env.cargo);
    command.current_dir(env.folder());
    let scratch = env.out_dir.join("cargo");
    if let Some(outer) = &env.outer
        && !outer.arguments.is_empty()
    {
        command.args(&outer.arguments);
        // What stands on the command line goes before the environment, and the last of it first: these two once more.
        for key in ["build.target-dir", "build.build-dir"] {
            let path = toml::Value::String(scratch.display().to_string());
            command.arg("--config").arg(format!("{key}={path}"));
        }
    }
    command.arg(name);
    command.arg("--manifest-path").arg(env.manifest_dir.join("Cargo.toml"));
    // Kept on purpose: CARGO_HOME and CARGO_NET_* (where packages lie), RUSTC and RUSTUP_TOOLCHAIN
    // (the same compiler), CARGO_ENCODED_RUSTFLAGS (the flags of this very build: `--cfg` and
    // target features decide which `[target.'cfg(..)'.dependencies]` count).

    // A wrapper changes how crates are compiled, not which; `cargo clippy` sets one that would be
    // asked for the version. Empty, not removed: that also switches off one from a config file.
    command.env("RUSTC_WRAPPER", "").env("RUSTC_WORKSPACE_WRAPPER", "");
    // Cargo caches what rustc says in its target folder. Given the outer one, the two would undo
    // each other's cache; given the default one, a stray `target` would appear in the sources.
    command
        .env("CARGO_TARGET_DIR", &scratch)
        .env("CARGO_BUILD_BUILD_DIR", &scratch);
    // Job tokens belong to programs that compile.
    for name in ["CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS"] {
        command.env_remove(name);
    }
    // What is parsed must not depend on the author's taste in terminal output.
    command
        .env("CARGO_TERM_QUIET", "false")
        .env("CARGO_TERM_VERBOSE", "false");
    command.env("CARGO_TERM_COLOR", "never");
    command
}

/// Why cargo may fail here where it did not fail outside.
pub(crate) const UNSEEN: &str = "a build script is not told of cargo's arguments: if this build has --config or -Z that the \
     command above lacks (those that an alias holds can't be seen), write what they say into .cargo/config.toml";

/// The manifest of the workspace that the package belongs to; its own where it stands alone.
///
/// # Errors
/// When cargo can't be run or does not know.
pub(crate) fn workspace_root(env: &Env) -> Result<PathBuf, Error> {
    let mut command = cargo(env, "locate-project");
    command.args(["--workspace", "--message-format", "plain"]);
    let output = stdout(command, UNSEEN)?;
    match output.trim_end_matches(['\r', '\n']) {
        "" => Err(Error::Output {
            command: "cargo locate-project",
            found: output,
            expected: "the path of a manifest",
        }),
        path => Ok(path.into()),
    }
}

/// What the command prints. `hint` is told where it fails.
///
/// # Errors
/// When it can't be started, fails, or prints something that is not UTF-8.
pub(crate) fn stdout(mut command: Command, hint: &'static str) -> Result<String, Error> {
    let shown = || {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        // The tabs of a format would garble the message.
        words.join(" ").replace(|c: char| c.is_control(), "|")
    };
    let shown = shown();
    let output = command.stdin(Stdio::null()).output().map_err(|source| Error::Run {
        command: shown.clone(),
        source,
    })?;
    if !output.status.success() {
        return Err(Error::Failed {
            command: shown,
            status: output.status,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            hint,
        });
    }
    String::from_utf8(output.stdout).map_err(|error| Error::Run {
        command: shown,
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
    })
}
