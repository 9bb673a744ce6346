//! A plugin with every kind of dependency that cargo knows, and what cargo compiles into it.
//!
//! The build names the machine's own target with `--target`. Then cargo compiles what runs in the compiler (build scripts,
//! procedural macros, and what only they need) into `target/PROFILE`, and what goes into the library into
//! `target/TRIPLE/PROFILE`: where an artifact lies tells the one from the other, also for a crate that is compiled for
//! both. Which features are on is not changed by it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::cargo::{cargo, root, run, rustc, scratch, succeed, text};
use crate::crates::{source, write};

/// Packages by name and version, with their kind of source (as cargo-auditable calls it) and their features.
pub type Packages = BTreeMap<(String, String), (String, BTreeSet<String>)>;

/// The plugin of one test, with the crates that it needs around it. Each has a name of its own: libraries are called by it.
pub struct Sample {
    pub name: String,
    pub folder: PathBuf,
    /// In a virtual workspace, beside a `neighbour` that needs the same crates with more features.
    pub workspace: bool,
    pub resolver: u8,
    pub features: Vec<String>,
}

const PLUGIN: &str = r#"
[lib]
crate-type = ["cdylib"]
[package.metadata.plugin]
commands = [0x10]
[features]
on = ["dep:utf8parse", "truth-helper/extra", "semver?/std"]
by-name = ["dep:semver"]
by_name = []
[dependencies]
truth-helper = { path = "../helper" }
truth-macros = { path = "../macros" }
truth-git = { git = "GIT" }
strsim = "0.11"
strsim-old = { package = "strsim", version = "0.10" }
width = { package = "unicode-width", version = "0.2", default-features = false }
utf8parse = { version = "0.2", optional = true }
humantime = { version = "2", optional = true }
semver = { version = "1", default-features = false, optional = true }
plugin-api = { path = "API" }
[target.'cfg(unix)'.dependencies]
equivalent = "1"
scopeguard = { version = "1", features = ["use_std"] }
[target.'cfg(windows)'.dependencies]
anyhow = "1"
width = { package = "unicode-width", version = "0.2" }
[build-dependencies]
lazy_static = "1"
width = { package = "unicode-width", version = "0.2" }
plugin-build = { path = "API/build" }
[dev-dependencies]
bytes = "1"
"#;
const HELPER: &str = "
[features]
extra = [\"dep:fastrand\"]
[dependencies]
fastrand = { version = \"2\", default-features = false, optional = true }
";
const MACROS: &str = "
[lib]
proc-macro = true
[dependencies]
heck = \"0.5\"
unicode-width = \"0.2\"
";
const GIT: &str = "
[dependencies]
bitflags = \"2\"
";
const NEIGHBOUR: &str = "
[dependencies]
truth-helper = { path = \"../helper\", features = [\"extra\"] }
unicode-width = \"0.2\"
";

impl Sample {
    /// Alone, with all features off.
    pub fn new(name: &str) -> Sample {
        Sample {
            name: name.to_owned(),
            folder: scratch().join("truth").join(name),
            workspace: false,
            resolver: 3,
            features: Vec::new(),
        }
    }

    /// Where cargo is run.
    pub fn root(&self) -> PathBuf {
        let root = if self.workspace { "" } else { "plugin" };
        self.folder.join(root)
    }

    /// Writes all crates, and makes the repository of the one that comes from git.
    pub fn write(&self) {
        let crates = [
            (self.name.as_str(), "plugin", PLUGIN, source("", "Ack::ok()")),
            ("truth-helper", "helper", HELPER, String::new()),
            ("truth-macros", "macros", MACROS, String::new()),
            ("truth-git", "git", GIT, String::new()),
            ("truth-neighbour", "neighbour", NEIGHBOUR, String::new()),
        ];
        let git = self.folder.join("git");
        for (name, folder, manifest, source) in crates {
            let manifest = manifest
                .replace("GIT", &format!("file://{}", git.display()))
                .replace("API", root().join("plugin-api").to_str().unwrap());
            let package = format!("[package]\nname = {name:?}\nversion = \"1.0.0\"\nedition = \"2024\"\n{manifest}");
            // Alone, each is a workspace of its own: else cargo would look for one further up.
            let workspace = format!("[workspace]\nresolver = \"{}\"\n", self.resolver);
            let manifest = if self.workspace { package } else { package + &workspace };
            write(&self.folder.join(folder).join("Cargo.toml"), &manifest);
            write(&self.folder.join(folder).join("src/lib.rs"), &source);
        }
        write(
            &self.folder.join("plugin/build.rs"),
            "fn main() { plugin_build::emit() }\n",
        );
        if self.workspace {
            let manifest = format!(
                "[workspace]\nresolver = \"{}\"\nmembers = [\"plugin\", \"neighbour\"]\nexclude = [\"git\"]\n",
                self.resolver
            );
            write(&self.folder.join("Cargo.toml"), &manifest);
        }
        let ours = fs::read_to_string(root().join("Cargo.lock")).unwrap();
        write(&self.root().join("Cargo.lock"), &ours);
        commit(&git);
    }

    /// A cargo command there, with the target folder that all samples share.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = cargo();
        command
            .current_dir(self.root())
            .args(arguments)
            .env("CARGO_TARGET_DIR", target())
            // Half of the time is saved, and nothing else changes.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            // Looks like a feature, and reaches build scripts; only cargo's own word may count.
            .env("CARGO_FEATURE_BY_NAME", "1");
        command
    }

    /// `cargo build` of these packages; what cargo compiled for the target, or what it printed on failure.
    pub fn build(&self, packages: &[&str], arguments: &[&str]) -> Result<Packages, String> {
        let mut build = self.cargo(&["build", "--message-format=json", "--target", &triple()]);
        for package in packages {
            build.args(["--package", package]);
        }
        if !self.features.is_empty() {
            build.args(["--features", &self.features.join(",")]);
        }
        let output = run(build.args(arguments));
        if output.status.success() {
            Ok(compiled(&output))
        } else {
            Err(text(&output))
        }
    }

    /// The library, once it is built.
    pub fn library(&self) -> PathBuf {
        let name = format!("lib{}.so", self.name.replace('-', "_"));
        target().join(triple()).join("debug").join(name)
    }
}

/// Makes a repository of a folder, anew. A commit of the same files has the same hash in every run, whoever makes it.
fn commit(folder: &Path) {
    let _ = fs::remove_dir_all(folder.join(".git")); // from an earlier run
    for arguments in [&["init", "-q"][..], &["add", "."], &["commit", "-q", "-m", "all"]] {
        let mut command = Command::new("git");
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "tests")
                .env(format!("GIT_{who}_EMAIL"), "tests@localhost")
                .env(format!("GIT_{who}_DATE"), "2026-01-01T00:00:00Z");
        }
        command.arg("-C").arg(folder).args(["-c", "commit.gpgsign=false"]);
        succeed(command.args(arguments));
    }
}

fn target() -> PathBuf {
    scratch().join("truth-build")
}

fn triple() -> String {
    let printed = succeed(rustc().arg("-vV")).stdout;
    let printed = std::str::from_utf8(&printed).unwrap();
    let line = printed.lines().find_map(|line| line.strip_prefix("host: "));
    line.unwrap().to_owned()
}

/// The packages of all artifacts that lie in the target's own folder.
fn compiled(output: &Output) -> Packages {
    let folder = target().join(triple());
    let mut packages = Packages::new();
    for line in std::str::from_utf8(&output.stdout).unwrap().lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        if message["reason"] != "compiler-artifact" {
            continue;
        }
        let files = message["filenames"].as_array().unwrap();
        if !files
            .iter()
            .any(|file| Path::new(file.as_str().unwrap()).starts_with(&folder))
        {
            continue;
        }
        let (package, source) = package(message["package_id"].as_str().unwrap());
        let features = message["features"].as_array().unwrap().iter();
        let features = features.map(|feature| feature.as_str().unwrap().to_owned()).collect();
        let known = packages.insert(package.clone(), (source, features));
        assert_eq!(known, None, "{package:?} was compiled twice");
    }
    packages
}

/// Name, version and kind of source in a package's ID: `KIND+URL#NAME@VERSION`, or `KIND+URL/NAME#VERSION` (the Cargo
/// book, "Package ID Specifications").
fn package(id: &str) -> ((String, String), String) {
    let (url, fragment) = id.rsplit_once('#').unwrap();
    let last = url.rsplit('/').next().unwrap();
    let (name, version) = fragment.split_once('@').unwrap_or((last, fragment));
    let source = match url.split_once('+').unwrap().0 {
        "path" => "local",
        "registry" => "crates.io",
        other => other,
    };
    ((name.to_owned(), version.to_owned()), source.to_owned())
}
