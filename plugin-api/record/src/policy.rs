//! How strictly a plugin must match its host: the `[policy]` of a host's configuration. Which difference a policy lets
//! through is decided here; what the differences are is not.

use std::collections::BTreeMap;
use std::fmt;

use semver::{Version, VersionReq};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Counterpart;

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
    /// The packages that plugin-api brings, as the host resolved them, are the same version and content. Plugins have
    /// copies of their own of everything else, and nothing of those copies crosses.
    #[default]
    Interface,
    /// Every package that both link is the same version and content; of plugin-api only the major version, which is no
    /// grade of a policy.
    Exact,
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
    /// Whether a plugin may have another version than the host's counterpart, or other content.
    pub fn accepts(&self, host: &Counterpart<'_>, version: &Version) -> bool {
        match self.packages.get(&host.package.name) {
            Some(PackagePolicy::Exact) => false,
            Some(PackagePolicy::Ignore) => true,
            Some(PackagePolicy::Requirement(requirement)) => requirement.matches(version),
            None => match self.dependencies {
                DependencyPolicy::Interface => !host.is_interface,
                DependencyPolicy::Exact => false,
                DependencyPolicy::Any => true,
            },
        }
    }
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
