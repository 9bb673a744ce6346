//! Runs cargo, and builds what the tests share: the host and the sample plugins, once each.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Where the running tests were built: the host and the samples are built there too, so that what is compiled is shared.
pub fn target() -> &'static Path {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    TARGET.get_or_init(|| {
        // TARGET/PROFILE/deps/it-HASH
        let exe = std::env::current_exe().unwrap();
        exe.ancestors().nth(3).unwrap().to_owned()
    })
}

/// The folder for what the tests make, below the target folder; kept, so that a second run builds less.
pub fn scratch() -> PathBuf {
    target().join("tests")
}

/// A cargo that knows nothing of the cargo that runs us.
pub fn cargo() -> Command {
    clean(Command::new(env!("CARGO")))
}

/// Removes what `cargo test` tells its children: it is not meant for a build of something else.
pub fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let ours = text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_BIN_") || text.starts_with("CARGO_CFG_");
        if ours
            || [
                "CARGO_MANIFEST_DIR",
                "CARGO_MANIFEST_PATH",
                "CARGO_CRATE_NAME",
                "CARGO_PRIMARY_PACKAGE",
            ]
            .contains(&&*text)
        {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a command that must succeed.
#[track_caller]
pub fn succeed(command: &mut Command) -> Output {
    let output = run(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        text(&output)
    );
    output
}

/// What a command printed.
pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Whether cargo failed because the package registry can't be reached; then it says that something was skipped.
pub fn skipped_without_registry(output: &str) -> bool {
    let signs = [
        "failed to download",
        "spurious network error",
        "you're using offline mode",
    ];
    let unreachable = signs.iter().any(|sign| output.contains(sign));
    if unreachable {
        eprintln!("SKIPPED: the package registry can't be reached");
    }
    unreachable
}

/// The compiler that cargo uses for us.
pub fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// The host's binary.
pub fn host_binary() -> &'static Path {
    static HOST: OnceLock<PathBuf> = OnceLock::new();
    HOST.get_or_init(|| {
        build_package("host");
        profile_folder().join("host")
    })
}

/// A PATH on which `host` is the host's binary first, for cures.
pub fn path_with_host() -> std::ffi::OsString {
    let own = host_binary().parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&path))).unwrap()
}

/// The library of a sample plugin, `submit-echo` or `submit-log`, as `cargo build -p NAME` makes it.
pub fn sample(name: &str) -> PathBuf {
    static ECHO: OnceLock<()> = OnceLock::new();
    static LOG: OnceLock<()> = OnceLock::new();
    let once = if name == "submit-echo" { &ECHO } else { &LOG };
    once.get_or_init(|| build_package(name));
    profile_folder().join(format!("lib{}.so", name.replace('-', "_")))
}

fn profile_folder() -> PathBuf {
    target().join(if cfg!(debug_assertions) { "debug" } else { "release" })
}

fn build_package(name: &str) {
    let mut build = cargo();
    build
        .current_dir(root())
        .args(["build", "--package", name])
        .env("CARGO_TARGET_DIR", target());
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    succeed(&mut build);
}
