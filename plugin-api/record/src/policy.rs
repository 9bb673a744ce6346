//! How strictly a plugin must match its host: the `[policy]` of a host's configuration. Which difference a policy lets
//! through is decided here; what the differences are is not.

use std::collections::BTreeMap;
use std::fmt;

use semver::VersionReq;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Package;

/// The grades of `[policy]`. What it lets through stays visible as an accepted difference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Whether the compilers must be the same.
    pub compiler: CompilerPolicy,
    /// Which shared dependencies must be the same.
    pub dependencies: DependencyPolicy,
    /// Single packages by name, before what `dependencies` says.
    pub packages: BTreeMap<String, PackagePolicy>,
}

/// `policy.compiler`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CompilerPolicy {
    /// The same release and commit.
    #[default]
    Exact,
    /// Any: what crosses is C ABI, whose layout is checked after opening.
    Any,
}

/// `policy.dependencies`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DependencyPolicy {
    /// Every package that both link is the same version and content; of plugin-api only the major version, which is no
    /// grade of a policy.
    #[default]
    Exact,
    /// Only those where two versions in one process can hurt each other: abi_stable, and packages with native code.
    Interface,
    /// Any difference is accepted.
    Any,
}

/// A value of `[policy.packages]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackagePolicy {
    /// `"exact"`: the same version and content.
    Exact,
    /// `"ignore"`: any.
    Ignore,
    /// A semver requirement that the plugin's version must meet; its content may be any.
    Requirement(VersionReq),
}

impl Policy {
    /// Whether a package may differ, being `host`'s on one side and `plugin`'s on the other.
    pub fn accepts(&self, host: &Package, plugin: &Package) -> bool {
        match self.packages.get(&plugin.name) {
            Some(PackagePolicy::Exact) => false,
            Some(PackagePolicy::Ignore) => true,
            Some(PackagePolicy::Requirement(requirement)) => requirement.matches(&plugin.version),
            None => match self.dependencies {
                DependencyPolicy::Exact => false,
                DependencyPolicy::Interface => is_harmless(host, plugin),
                DependencyPolicy::Any => true,
            },
        }
    }
}

/// Whether two versions of a package can live in one process: each side has its own copy, and neither brings native
/// code, whose symbols and state both copies would share. abi_stable is what the two sides meet in.
pub(crate) fn is_harmless(host: &Package, plugin: &Package) -> bool {
    let pure = |package: &Package| package.native == Some(false);
    plugin.name != "abi_stable" && pure(host) && pure(plugin)
}

impl fmt::Display for PackagePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PackagePolicy::Exact => f.write_str("exact"),
            PackagePolicy::Ignore => f.write_str("ignore"),
            PackagePolicy::Requirement(requirement) => requirement.fmt(f),
        }
    }
}

impl Serialize for PackagePolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PackagePolicy {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<PackagePolicy, D::Error> {
        let text = String::deserialize(from)?;
        match text.as_str() {
            "exact" => Ok(PackagePolicy::Exact),
            "ignore" => Ok(PackagePolicy::Ignore),
            _ => VersionReq::parse(&text).map(PackagePolicy::Requirement).map_err(|error| {
                de::Error::custom(format!(
                    "{text:?} is neither \"exact\" nor \"ignore\" nor a version requirement such as \">=1.2, <2\": {error}"
                ))
            }),
        }
    }
}
