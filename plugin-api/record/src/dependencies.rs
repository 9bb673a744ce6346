//! Compares what host and plugin link: every package that both have in one compatibility line, by version and content.
//! Pure; what a difference means is the policy's to say.

use crate::graph::Paths;
use crate::refusal::quoted;
use crate::{Code, Counterpart, HostPackages, Identity, Package, PackagePolicy, Policy, Record, Refusal};

/// So many packages of a chain are shown, half at each end: one that a file makes up can have thousands.
const SHOWN: usize = 8;

/// A package that the two sides have in different versions or contents.
#[derive(Debug)]
pub(crate) struct Difference<'a> {
    host: Counterpart<'a>,
    plugin: &'a Package,
    /// Who needs it there.
    host_path: Vec<&'a str>,
    plugin_path: Vec<&'a str>,
}

/// Every package that both link in the same compatibility line and that differs. Other lines are other packages.
pub(crate) fn differences<'a>(host: &'a Record, plugin: &'a Record) -> Vec<Difference<'a>> {
    let mut differences = Vec::new();
    let (our_paths, their_paths) = (Paths::of(host), Paths::of(plugin));
    let ours = HostPackages::of(host);
    for (index, theirs) in plugin.packages.iter().enumerate().skip(1) {
        let counterparts = ours.counterparts(&theirs.name, &theirs.version);
        if counterparts.iter().any(|ours| same(ours.package, theirs)) {
            continue;
        }
        if let Some(ours) = counterparts.first() {
            differences.push(Difference {
                host: *ours,
                plugin: theirs,
                host_path: names(host, &our_paths, ours.index),
                plugin_path: names(plugin, &their_paths, index),
            });
        }
    }
    differences
}

fn same(a: &Package, b: &Package) -> bool {
    a.version == b.version && a.identity.proves_equal(&b.identity)
}

/// The shortest chain of packages by which a record's own package (first) needs another one (last); without its middle
/// where it is longer than [`SHOWN`].
fn names<'a>(record: &'a Record, paths: &Paths, index: usize) -> Vec<&'a str> {
    let path = paths.to(index);
    let name = |at: &usize| record.packages[*at].name.as_str();
    if path.len() <= SHOWN {
        return path.iter().map(name).collect();
    }
    let (start, end) = (&path[..SHOWN / 2], &path[path.len() - SHOWN / 2..]);
    start
        .iter()
        .map(name)
        .chain(["..."])
        .chain(end.iter().map(name))
        .collect()
}

/// A side as one line: version, identity, and who needs it.
fn describe(package: &Package, path: &[&str]) -> String {
    let needed_by = match path.split_last() {
        Some((_, path)) if !path.is_empty() => format!(", needed by {}", path.join(" > ")),
        _ => String::new(),
    };
    format!("{} ({}){needed_by}", package.version, package.identity)
}

impl Difference<'_> {
    /// Whether a policy lets it through.
    pub(crate) fn is_accepted(&self, policy: &Policy) -> bool {
        policy.accepts(&self.host, &self.plugin.version)
    }

    /// The difference with both sides and its cure.
    pub(crate) fn refusal(&self, policy: &Policy) -> Refusal {
        let name = &self.plugin.name;
        let host = describe(self.host.package, &self.host_path);
        let host = match policy.packages.get(name) {
            Some(PackagePolicy::Requirement(requirement)) => format!("{host}; the policy asks for {requirement}"),
            _ => host,
        };
        Refusal::new(
            Code::Dependency,
            format!("dependency {name}"),
            host,
            describe(self.plugin, &self.plugin_path),
            format!("{} {}", self.align(), self.accept(policy)),
        )
    }

    /// What makes the plugin's side like the host's: a command for the plugin's folder, or what to do there.
    fn align(&self) -> String {
        let (ours, theirs) = (self.host.package, self.plugin);
        let name = &ours.name;
        match (&ours.identity, &theirs.identity) {
            (Identity::Registry { .. }, Identity::Registry { .. }) if ours.version != theirs.version => {
                let spec = quoted(&format!("{name}@{}", theirs.version));
                format!(
                    "cargo update -p {spec} --precise {} #",
                    quoted(&ours.version.to_string())
                )
            }
            (Identity::Registry { checksum: None }, Identity::Registry { .. }) => format!(
                "# rebuild the host with a Cargo.lock that has a checksum for {name} {}: without one nothing is known to equal \
                 it;",
                ours.version
            ),
            (Identity::Registry { .. }, Identity::Registry { .. }) => {
                format!(
                    "# take {name} {} from the registry that the host takes it from;",
                    ours.version
                )
            }
            (Identity::Registry { .. }, _) => format!(
                "# take {name} {} from the registry, as the host does: remove its path or git key in Cargo.toml, or its \
                 [patch] there or in cargo's configuration;",
                ours.version
            ),
            (Identity::Git { revision }, _) => {
                format!("# take {name} from git, as the host does, with `rev = \"{revision}\"` in Cargo.toml;")
            }
            (Identity::Path { .. }, _) => {
                format!("# build with the same sources of {name} {} as the host;", ours.version)
            }
        }
    }

    /// The line of a policy that lets it through, and what that risks.
    fn accept(&self, policy: &Policy) -> String {
        if self.is_accepted(policy) {
            return "the policy accepts it as it is".to_owned();
        }
        let name = &self.plugin.name;
        let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let key = match name.chars().all(is_bare) {
            true => name.clone(),
            false => format!("{name:?}"),
        };
        // What stands there goes before `dependencies`.
        if policy.packages.contains_key(name) {
            return format!(
                "or accept it: `{key} = \"ignore\"` under [policy.packages], in place of what stands there"
            );
        }
        if !self.host.is_interface {
            return format!(
                "or accept it (each side links its own {name}, none of its types crosses): `dependencies = \"interface\"` \
                 under [policy]"
            );
        }
        let risk = match name.as_str() {
            "abi_stable" => "the two sides meet in it, and only the layout check when opening stands behind",
            _ => "plugin-api brings it, and is known to work with the host's version of it",
        };
        format!("or accept it at a risk ({risk}): `{key} = \"ignore\"` under [policy.packages]")
    }
}

#[cfg(test)]
pub(crate) mod tests;
