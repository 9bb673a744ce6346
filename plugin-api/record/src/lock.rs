//! What a Cargo.lock says: which packages, from where, and what their content is. Parsed here because both a build and a
//! host read one; which file it is, and what follows from it, is theirs.
//!
//! Lock files of version 1, which keep the checksums in a table of their own, are read too.

use std::collections::BTreeMap;

use semver::Version;
use serde::Deserialize;

/// A lock file's content.
#[derive(Clone, Debug, Deserialize)]
pub struct Lockfile {
    /// All packages that it knows, linked or not.
    #[serde(default, rename = "package")]
    pub packages: Vec<Locked>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// One package of a lock file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Locked {
    /// The package's name.
    pub name: String,
    /// The package's version.
    pub version: Version,
    /// Where it comes from, as cargo writes it; absent for a package in a folder.
    pub source: Option<String>,
    checksum: Option<String>,
    /// What it needs: a name, with a version and a source behind it as far as the name alone is not enough.
    #[serde(default)]
    pub dependencies: Vec<String>,
}

impl Lockfile {
    /// Parses a lock file's text.
    ///
    /// # Errors
    /// When it is not TOML, or its packages have no name or version.
    pub fn parse(text: &str) -> Result<Lockfile, toml::de::Error> {
        toml::from_str(text)
    }

    /// A package's checksum, wherever this version of the format keeps it.
    pub fn checksum(&self, package: &Locked) -> Option<String> {
        let in_table = || {
            let source = package.source.as_deref()?;
            let key = format!("checksum {} {} ({source})", package.name, package.version);
            // Version 1 writes this word where later versions leave the checksum out.
            self.metadata.get(&key).filter(|value| *value != "<none>")
        };
        package.checksum.as_ref().or_else(in_table).cloned()
    }
}

impl Locked {
    /// The commit of a package from git.
    pub fn revision(&self) -> Option<&str> {
        let source = self.source.as_deref()?.strip_prefix("git+")?;
        source.rsplit_once('#').map(|(_, revision)| revision)
    }
}
