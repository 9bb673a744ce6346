//! For a plugin's build.rs: gathers the build's facts, writes the record and names the library.
//!
//! The whole of a plugin's build.rs is `fn main() { plugin_build::emit() }`.
//!
//! This file decides the order of the steps and how a failure is told. What each fact is and where
//! it comes from is decided in one file each:
//!
//! | file | decides |
//! |---|---|
//! | `env.rs`, `cargo.rs` | what this build says of itself, and how cargo is asked for more |
//! | `outer.rs` | how the cargo of this build was started |
//! | `manifest.rs`, `text.rs` | what the author wrote in Cargo.toml, and how far a text is read |
//! | `name.rs` | which names a plugin can have |
//! | `features.rs` | which of the package's features are on |
//! | `tree.rs`, `lock.rs`, `identity.rs` | which packages are linked, and what their content is |
//! | `sources.rs`, `digest.rs` | which files make up a package in a folder, and their digest |
//! | `config.rs`, `places.rs` | where the lock and the packages' manifests are, and which packages bring native code |
//! | `shared.rs` | what follows where a dependency is a plugin, too |
//! | `compiler.rs`, `git.rs` | the compiler and the commit |
//! | `audit.rs` | how audit tools are told what is linked |
//! | `watch.rs` | when all of this is gathered again |
//! | `soname.rs` | the name that the library carries |
//! | `host.rs` | which host the build is compared with, if any |
//!
//! The record is that of `cargo build -p NAME`. Where one command builds several packages (as `cargo
//! build` does in a workspace), cargo compiles what they share once, with the features that any of them
//! wants, and those may bring further packages: what is compiled into the library then is more than its
//! record says. A build script is not told what else is built, so build a plugin by its name. The same
//! holds for `cargo test` and `--all-targets`, which turn on what dev-dependencies want, and for a
//! dependency's features on the command line (`--features DEPENDENCY/FEATURE`): a build script is told
//! of its own package's alone.
//!
//! Nothing here judges: plugin-record's comparison does, here as in the host. And nothing is downloaded: a build that works
//! without the network stays one.

#![forbid(unsafe_code)]

mod audit;
mod cargo;
mod compiler;
mod config;
mod digest;
mod env;
mod error;
mod features;
mod git;
mod host;
mod identity;
mod lock;
mod manifest;
mod name;
mod outer;
mod places;
mod shared;
mod soname;
mod sources;
mod text;
mod tree;
mod watch;

use std::fs;

use plugin_record::{Build, Package, Record, note};

pub use error::Error;
pub use host::HOST_VARIABLE;

use crate::{env::Env, identity::Origins, lock::Lock, manifest::Manifest, places::Places, tree::Node};

/// The variable that names the note file to the plugin's source, for `include_bytes!(env!(..))`.
pub const RECORD_VARIABLE: &str = "PLUGIN_RECORD";

/// The same for the dependency list that audit tools read.
pub const DEPENDENCIES_VARIABLE: &str = "PLUGIN_DEPENDENCIES";

/// What a build script writes for its package.
#[derive(Debug)]
pub struct Facts {
    /// The record.
    pub record: Record,
    /// The record's dependency list, encoded for audit tools.
    dependencies: Vec<u8>,
}

/// Everything a plugin's build.rs has to do: [`gather`], [`write()`], [`name_library`], and where [`HOST_VARIABLE`] or
/// `host` in `[package.metadata.plugin]` names a host's fingerprint, the comparison with that host.
///
/// A failure becomes `cargo::error` lines, which fail the build with no more than these lines.
pub fn emit() {
    report(gather().and_then(|facts| {
        write(&facts)?;
        name_library(&facts.record)?;
        host::compare(&facts.record)
    }));
}

/// The same for the host: a record without commands, from a package that is no plugin.
///
/// A failure is reported as [`emit`] does.
pub fn emit_program() {
    report(gather_program().and_then(|facts| write(&facts)));
}

/// The facts of the plugin that this build.rs belongs to; also tells cargo when it goes stale.
///
/// # Errors
/// When Cargo.toml does not describe a plugin (see [`Error`]), or as [`gather_program`].
pub fn gather() -> Result<Facts, Error> {
    let env = Env::of_build_script()?;
    // The manifest first: what the author has to mend should not wait for cargo.
    name::check(&env)?;
    let manifest = Manifest::read(&env.manifest_dir)?;
    manifest.require_cdylib(&env.library_name())?;
    let commands = manifest.commands()?;
    let linked = Linked::of(&env)?;
    let target = soname::Target::of_build_script()?;
    for warning in shared::check(&linked.tree, &linked.manifests, &linked.lock, target)? {
        println!("cargo::warning={warning}");
    }
    let mut facts = linked.facts(&env)?;
    facts.record.commands = commands;
    Ok(facts)
}

/// As [`gather`], for a program: no commands, and nothing is demanded of its Cargo.toml.
///
/// # Errors
/// When this is not a build.rs that cargo runs, when cargo or rustc can't be asked, or when
/// Cargo.lock and the sources don't say what the packages are.
pub fn gather_program() -> Result<Facts, Error> {
    let env = Env::of_build_script()?;
    Linked::of(&env)?.facts(&env)
}

/// Writes the record's note and the dependency list into `OUT_DIR` and names them to the source as
/// [`RECORD_VARIABLE`] and [`DEPENDENCIES_VARIABLE`].
///
/// # Errors
/// When the record is too large for a note or a file can't be written.
pub fn write(facts: &Facts) -> Result<(), Error> {
    let note = note::encode(&facts.record).map_err(|source| Error::Encode { source })?;
    embed(RECORD_VARIABLE, "plugin.record", &note)?;
    embed(DEPENDENCIES_VARIABLE, "plugin.dependencies", &facts.dependencies)
}

fn embed(variable: &str, file: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = env::out_dir()?.join(file);
    fs::write(&path, bytes).map_err(|source| Error::Write {
        path: path.clone(),
        source,
    })?;
    println!("cargo::rustc-env={variable}={}", path.display());
    Ok(())
}

/// Has the linker write the name that the host looks for into the library: DT_SONAME on ELF, the
/// install name on macOS. Other targets have no such name and get none.
///
/// # Errors
/// When this is not a build.rs that cargo runs.
pub fn name_library(record: &Record) -> Result<(), Error> {
    let target = soname::Target::of_build_script()?;
    if let Some(directive) = soname::directive(&record.name, &record.line(), target) {
        println!("{directive}");
    }
    Ok(())
}

/// What is linked, as far as cargo, the lock and the packages' own files say. The three lists are in one order, and the
/// first of each is the package itself.
struct Linked {
    lock: Lock,
    tree: Vec<Node>,
    origins: Origins,
    /// Those that were found.
    manifests: Vec<Option<Manifest>>,
}

impl Linked {
    /// Also tells cargo what all of it depends on.
    fn of(env: &Env) -> Result<Linked, Error> {
        let features = features::active()?;
        let tree = tree::read(env, &features)?;
        let root = cargo::workspace_root(env)?;
        let configs = config::read(env);
        let lock = config::lockfile(&configs).unwrap_or_else(|| root.with_file_name("Cargo.lock"));
        let lock = Lock::read(&lock)?;
        let origins = Origins::of(&tree, &lock)?;
        let places = Places::of(env, &configs);
        watch::print(&root, &lock.path, &configs, &origins);
        let manifests = tree.iter().zip(&origins.0);
        let manifests = manifests.map(|(node, origin)| places.manifest(node, origin)).collect();
        Ok(Linked {
            lock,
            tree,
            origins,
            manifests,
        })
    }

    fn facts(&self, env: &Env) -> Result<Facts, Error> {
        let packages = self.tree.iter().zip(&self.origins.0).zip(&self.manifests);
        let packages = packages.map(|((node, origin), manifest)| Package {
            native: manifest.as_ref().map(Manifest::links),
            identity: origin.identity.clone(),
            name: node.name.clone(),
            version: node.version.clone(),
            features: node.features.clone(),
            dependencies: node.dependencies.clone(),
        });
        let packages: Vec<Package> = packages.collect();
        let dependencies = audit::encode(&packages, &self.tree)?;
        let record = Record {
            name: env.name.clone(),
            version: env.version.clone(),
            description: env.description.clone(),
            commands: Vec::new(),
            compiler: compiler::read(env)?,
            target: env.target.clone(),
            pointer_width: env.pointer_width,
            // Not read from CARGO_CFG_PANIC: that says "unwind" under a profile with panic = "abort"
            // too. The export macro makes such a profile a compile error, so what compiles unwinds.
            panic: "unwind".to_owned(),
            packages,
            build: Build {
                profile: env.profile.clone(),
                opt_level: env.opt_level.clone(),
                git: git::commit(&env.manifest_dir),
            },
        };
        Ok(Facts { record, dependencies })
    }
}

/// Returns rather than exits: after a `cargo::error` cargo fails the build by itself, and adds no
/// dump of the script's output to the message.
fn report(result: Result<(), Error>) {
    if let Err(error) = result {
        // A directive is one line.
        for line in error::chain(&error).lines().filter(|line| !line.trim().is_empty()) {
            println!("cargo::error={line}");
        }
    }
}
