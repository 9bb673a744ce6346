//! The record: the build-time facts that a plugin file carries, so that a host can judge the file without running it.
//!
//! This crate decides what the facts are ([`Record`]), how they are written ([`note`]: one ELF note around JSON), how
//! two versions relate ([`Line`]), and whether two records fit ([`compare()`]) under a [`Policy`]. It does not gather facts
//! (crate `plugin-build` does, in the author's build.rs) and knows no files (the host's admission does). The plugin
//! itself links none of this.

mod bounds;
mod compare;
mod compiler;
mod counterpart;
mod dependencies;
mod fingerprint;
mod graph;
mod line;
pub mod lock;
mod name;
mod native;
pub mod note;
mod policy;
mod printable;
mod refusal;

use serde::{Deserialize, Serialize};

pub use bounds::Excess;
pub use compare::{Comparison, build_command, compare};
pub use counterpart::{Counterpart, HostPackages};
pub use fingerprint::Fingerprint;
pub use graph::path_to;
pub use line::Line;
pub use name::{is_of_package_name, is_package_name};
pub use native::{Note, NoteCode, notes};
pub use policy::{CompilerPolicy, DependencyPolicy, PackagePolicy, Policy};
pub use printable::{Printable, printable};
pub use refusal::{Code, Refusal, quoted, quoted_bytes};

/// The version of the record's encoding; it is the type of the ELF note, so that a reader knows it before it parses.
pub const FORMAT: u32 = 1;

/// What one build knew about itself. The host has one too, without commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The package's name, e.g. `submit-echo`.
    pub name: String,
    /// The package's version.
    pub version: semver::Version,
    /// The package's description from its manifest; may be empty.
    pub description: String,
    /// The request commands that the plugin answers unless the host's configuration says otherwise.
    pub commands: Vec<u8>,
    /// The compiler that built it.
    pub compiler: Compiler,
    /// The target triple it was built for.
    pub target: String,
    /// The width of a pointer on the target, in bits.
    pub pointer_width: u16,
    /// The panic strategy: `unwind` or `abort`.
    pub panic: String,
    /// All packages linked into it, as `cargo build -p NAME` resolves them. The first is the package itself.
    pub packages: Vec<Package>,
    /// Facts that are shown and never compared.
    pub build: Build,
}

/// A compiler, as `rustc -vV` describes itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compiler {
    /// The release, e.g. `1.95.0` or `1.97.0-nightly`.
    pub release: String,
    /// The commit hash; absent where a distribution's build does not know it.
    pub commit: Option<String>,
    /// `stable`, `beta`, `nightly` or `dev`.
    pub channel: String,
    /// The whole first line, e.g. `rustc 1.95.0 (59807616e 2026-04-14)`.
    pub version_line: String,
}

/// One package that is linked into the library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The package's name.
    pub name: String,
    /// The package's version.
    pub version: semver::Version,
    /// What makes this package's content what it is.
    pub identity: Identity,
    /// The features it was resolved with, sorted. Shown, never compared.
    pub features: Vec<String>,
    /// Whether it brings native code (its manifest has a `links` key); absent where the manifest was not found.
    pub native: Option<bool>,
    /// What it needs in turn: indices into [`Record::packages`].
    pub dependencies: Vec<usize>,
}

/// What a package's content is known by. Two packages of equal name and version are the same when these are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identity {
    /// From a registry, vendored or not: the checksum in Cargo.lock. Absent where the lock has none, and then nothing is
    /// known to equal it.
    Registry {
        /// SHA-256 of the package file, in hexadecimal.
        checksum: Option<String>,
    },
    /// From a git repository: the commit in Cargo.lock.
    Git {
        /// The full commit hash.
        revision: String,
    },
    /// From a folder: a digest of the files that `cargo package` would take from it.
    Path {
        /// SHA-256 over names and contents, in hexadecimal.
        digest: String,
    },
}

/// Facts about the build itself. They say where a file came from and decide nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// Cargo's `PROFILE`: `release` also for custom profiles that inherit from it.
    pub profile: String,
    /// The optimisation level.
    pub opt_level: String,
    /// The commit of the repository that the package lies in, if any.
    pub git: Option<String>,
}

impl Record {
    /// The compatibility line of the version, which the soname carries.
    pub fn line(&self) -> Line {
        Line::of(&self.version)
    }

    /// The first linked package of that name: for crates that occur once, such as plugin-api.
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }
}

impl Identity {
    /// Whether the two are known to be the same content.
    pub fn proves_equal(&self, other: &Identity) -> bool {
        self == other && !matches!(self, Identity::Registry { checksum: None })
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Twelve hexadecimal digits tell contents apart for a person; the whole value is in the JSON.
        fn short(hex: &str) -> &str {
            hex.get(..12).unwrap_or(hex)
        }
        match self {
            Identity::Registry {
                checksum: Some(checksum),
            } => write!(f, "registry {}", short(checksum)),
            Identity::Registry { checksum: None } => f.write_str("registry, no checksum"),
            Identity::Git { revision } => write!(f, "git {}", short(revision)),
            Identity::Path { digest } => write!(f, "path {}", short(digest)),
        }
    }
}
