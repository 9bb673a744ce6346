//! Which packages of a host a plugin's package is compared with, and which of them belong to the interface. Pure.

use semver::Version;

use crate::{Line, Package, Record};

/// The author's crate: the abi checks judge it, by rules of its own. Its content is not compared: host and plugin may have
/// different minor versions of it, so that a host can be newer than its plugins, and the other way round.
const PLUGIN_API: &str = "plugin-api";

/// A host's packages, to be looked up by what a plugin, or a lock file, has.
#[derive(Debug)]
pub struct HostPackages<'a> {
    host: &'a Record,
    /// For each package of the record, whether plugin-api brings it.
    interface: Vec<bool>,
}

/// A package that the host links in the compatibility line of another side's package of the same name.
#[derive(Clone, Copy, Debug)]
pub struct Counterpart<'a> {
    /// Its place in the host's record.
    pub index: usize,
    /// The package itself.
    pub package: &'a Package,
    /// Whether the host links it because plugin-api needs it, directly or not.
    pub is_interface: bool,
}

impl<'a> HostPackages<'a> {
    /// The packages of a host's record.
    pub fn of(host: &'a Record) -> HostPackages<'a> {
        HostPackages {
            host,
            interface: interface(host),
        }
    }

    /// What the host links of this name in this version's compatibility line: nothing, one package, or several from several
    /// sources, of which those of the interface come first. Other lines are other packages. The host's own package and
    /// plugin-api are nobody's counterparts.
    pub fn counterparts(&self, name: &str, version: &Version) -> Vec<Counterpart<'a>> {
        let line = Line::of(version);
        let linked = self.host.packages.iter().enumerate().skip(1);
        let alike = linked.filter(|(_, package)| {
            package.name == name && package.name != PLUGIN_API && Line::of(&package.version) == line
        });
        let mut counterparts: Vec<_> = alike
            .map(|(index, package)| Counterpart {
                index,
                package,
                is_interface: self.interface[index],
            })
            .collect();
        counterparts.sort_by_key(|counterpart| !counterpart.is_interface);
        counterparts
    }
}

/// For each package of a record, whether plugin-api brings it: what can be reached from plugin-api through the record's
/// dependency graph, with the features and versions that this build resolved. Indices that lead nowhere are passed over:
/// the graph may come from a file that is not trusted.
fn interface(record: &Record) -> Vec<bool> {
    let packages = &record.packages;
    let mut brought = vec![false; packages.len()];
    let mut waiting: Vec<usize> = (0..packages.len())
        .filter(|index| packages[*index].name == PLUGIN_API)
        .collect();
    while let Some(at) = waiting.pop() {
        for &next in packages[at].dependencies.iter().filter(|next| **next < packages.len()) {
            if !std::mem::replace(&mut brought[next], true) {
                waiting.push(next);
            }
        }
    }
    brought
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dependencies::tests::{record, registry};

    /// A host of these packages: each with its version and what it needs. The host itself needs all of them.
    fn host(packages: &[(&str, &str, &[usize])]) -> Record {
        let plain: Vec<_> = packages
            .iter()
            .map(|(name, version, _)| (*name, *version, registry("a")))
            .collect();
        let mut host = record("host", &plain);
        for ((_, _, dependencies), package) in packages.iter().zip(&mut host.packages[1..]) {
            package.dependencies = dependencies.to_vec();
        }
        host
    }

    #[test]
    fn the_interface_is_what_plugin_api_reaches_and_nothing_else() {
        let host = host(&[
            ("clap", "4.0.0", &[2, 3]),
            ("utf8parse", "0.2.0", &[]),
            ("memchr", "2.0.0", &[]),
            ("plugin-api", "1.0.0", &[5, 6, 99, usize::MAX]),
            ("serde_json", "1.0.0", &[3, 6]),
            ("serde", "1.0.0", &[5, 6]), // a circle ends
        ]);
        let names: Vec<&str> = host
            .packages
            .iter()
            .zip(interface(&host))
            .filter(|(_, brought)| *brought)
            .map(|(package, _)| package.name.as_str())
            .collect();
        assert_eq!(names, ["memchr", "serde_json", "serde"]);
        assert!(
            !interface(&record("host", &[("serde", "1.0.0", registry("a"))])).contains(&true),
            "a record without plugin-api has no interface"
        );
    }

    #[test]
    fn counterparts_are_of_the_same_line_those_of_the_interface_first() {
        let host = host(&[
            ("dep", "1.0.0", &[]),
            ("dep", "2.0.0", &[]),
            ("dep", "1.2.0", &[]),
            ("plugin-api", "1.0.0", &[3]),
        ]);
        let packages = HostPackages::of(&host);
        let found = |name: &str, version: &str| -> Vec<(usize, bool)> {
            packages
                .counterparts(name, &version.parse().expect("a version"))
                .iter()
                .map(|counterpart| (counterpart.index, counterpart.is_interface))
                .collect()
        };
        assert_eq!(found("dep", "1.9.0"), [(3, true), (1, false)]);
        assert_eq!(found("dep", "2.9.0"), [(2, false)]);
        for (name, version) in [
            ("dep", "3.0.0"),
            ("other", "1.0.0"),
            ("plugin-api", "1.0.0"),
            ("host", "1.0.0"),
        ] {
            assert_eq!(found(name, version), [], "{name} {version}");
        }
    }
}
