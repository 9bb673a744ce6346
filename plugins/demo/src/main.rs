//! The README's first command, `cargo demo`: builds the host and each sample plugin, installs the plugins as an operator
//! would, and becomes the host. Every step is one that the README shows; this only saves typing them.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const SAMPLES: [&str; 2] = ["submit-echo", "submit-log"];

fn main() -> ExitCode {
    match run() {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<std::convert::Infallible, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root
        .canonicalize()
        .map_err(|error| format!("{}: {error}", root.display()))?;
    // One package at a time: building several together may unify features that each alone does not have.
    for package in ["host"].iter().chain(&SAMPLES) {
        let mut build = Command::new(env!("CARGO"));
        succeed(
            build
                .current_dir(&root)
                .args(["build", "--release", "--package", package]),
        )?;
    }
    let built = target_directory(&root).join("release");
    let host = built.join("host");
    let configuration = root.join("plugins.toml");
    for sample in SAMPLES {
        let library = format!(
            "{}{}{}",
            std::env::consts::DLL_PREFIX,
            sample.replace('-', "_"),
            std::env::consts::DLL_SUFFIX
        );
        let mut install = Command::new(&host);
        // A sample that was edited without a new version takes the place of the one before.
        install
            .arg("install")
            .arg(built.join(library))
            .arg("--replace")
            .arg("--plugins")
            .arg(&configuration);
        succeed(&mut install)?;
    }
    let error = Command::new(&host).arg("--plugins").arg(&configuration).exec();
    Err(format!("{}: {error}", host.display()))
}

/// Where cargo builds: this program was built there too, in `PROFILE/demo`.
fn target_directory(root: &Path) -> PathBuf {
    let own = std::env::current_exe().ok();
    let target = own
        .as_deref()
        .and_then(Path::parent)
        .and_then(Path::parent)
        .map(Path::to_owned);
    target.unwrap_or_else(|| root.join("target"))
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let program = Path::new(command.get_program()).display().to_string();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} failed: {status}")),
        Err(error) => Err(format!("{program}: {error}")),
    }
}
