//! Which packages are linked, with which features, and who needs whom: as `cargo tree` prints it.
//!
//! Not `cargo metadata`: that wants every package of the workspace downloaded (after a fresh
//! `cargo build -p NAME` they are not), and unifies features across all members. `cargo tree -p`
//! resolves what `cargo build -p` does. Procedural macros and build dependencies run in the
//! compiler, not in the plugin, and are left out together with what only they need.

use std::{collections::HashMap, path::PathBuf};

use semver::Version;

use crate::{Error, cargo, env::Env};

/// Stands in no package name and no feature, and hardly in a path. It is the only character of this
/// kind that gets through: cargo strips the others from what it prints to a pipe.
const SEPARATOR: char = '\t';

/// One linked package.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) source: Source,
    pub(crate) features: Vec<String>,
    /// Indices into the list that this node stands in.
    pub(crate) dependencies: Vec<usize>,
}

/// Where a package comes from, as far as `cargo tree` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    CratesIo,
    /// A registry other than crates.io.
    Registry,
    Git {
        /// The repository, without revision.
        url: String,
        short_revision: String,
    },
    Path(PathBuf),
}

/// The linked packages of this build; the first is the package itself.
///
/// # Errors
/// When cargo can't be run, refuses, or prints what this crate does not know.
pub(crate) fn read(env: &Env, features: &[String]) -> Result<Vec<Node>, Error> {
    let mut command = cargo::cargo(env, "tree");
    command.args(["--edges", "normal,no-proc-macro", "--prefix", "depth"]);
    // The lock is the one that this build just used; neither it nor the network may be touched.
    command.args(["--locked", "--offline", "--color", "never"]);
    // A root package's `default-members` may leave it out, so the package is named.
    command.args(["--package", &format!("{}@{}", env.name, env.version)]);
    command.args(["--target", &env.target, "--no-default-features"]);
    if !features.is_empty() {
        command.args(["--features", &features.join(",")]);
    }
    command.args(["--format", &format!("{SEPARATOR}{{p}}{SEPARATOR}{{f}}{SEPARATOR}")]);
    parse(&cargo::stdout(command, cargo::UNSEEN)?)
}

/// The graph from lines of `DEPTH package features`, where each line's parent is the nearest line
/// above it that is one less deep. A subtree that was printed before is not printed again, its top
/// is marked `(*)`. A package that is printed with two sets of features becomes one: they are
/// compiled apart but known by one name.
fn parse(text: &str) -> Result<Vec<Node>, Error> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut ancestors: Vec<usize> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let unknown = || Error::Output {
            command: "cargo tree",
            found: line.to_owned(),
            expected: "depth, package and features",
        };
        let mut fields = line.split(SEPARATOR);
        let (Some(depth), Some(package), Some(features), Some("" | " (*)"), None) = (
            fields.next(),
            fields.next(),
            fields.next(),
            fields.next(),
            fields.next(),
        ) else {
            return Err(unknown());
        };
        let depth: usize = depth.parse().map_err(|_| unknown())?;
        // One root, and no step down by more than one.
        if depth > ancestors.len() || (depth == 0) != nodes.is_empty() {
            return Err(unknown());
        }
        let index = match known.get(package) {
            Some(index) => *index,
            None => {
                nodes.push(parse_package(package).ok_or_else(unknown)?);
                known.insert(package, nodes.len() - 1);
                nodes.len() - 1
            }
        };
        let names = &mut nodes[index].features;
        names.extend(features.split(',').filter(|name| !name.is_empty()).map(str::to_owned));
        names.sort();
        names.dedup();
        ancestors.truncate(depth);
        if let Some(&parent) = ancestors.last()
            && !nodes[parent].dependencies.contains(&index)
        {
            nodes[parent].dependencies.push(index);
        }
        ancestors.push(index);
    }
    if nodes.is_empty() {
        return Err(Error::Output {
            command: "cargo tree",
            found: text.to_owned(),
            expected: "at least the package itself",
        });
    }
    Ok(nodes)
}

/// `name v1.2.3`, then perhaps `(source)`, then perhaps `(proc-macro)`.
fn parse_package(text: &str) -> Option<Node> {
    let text = text.strip_suffix(" (proc-macro)").unwrap_or(text);
    let (name, rest) = text.split_once(" v")?;
    let (version, source) = match rest.split_once(' ') {
        Some((version, source)) => (version, parse_source(source.strip_prefix('(')?.strip_suffix(')')?)),
        None => (rest, Source::CratesIo),
    };
    Some(Node {
        name: name.to_owned(),
        version: version.parse().ok()?,
        source,
        features: Vec::new(),
        dependencies: Vec::new(),
    })
}

fn parse_source(text: &str) -> Source {
    if text.starts_with("registry `") {
        return Source::Registry;
    }
    match text.rsplit_once('#') {
        // No folder is printed with two slashes in a row.
        Some((url, short_revision)) if url.contains("://") => Source::Git {
            url: url.to_owned(),
            short_revision: short_revision.to_owned(),
        },
        _ => Source::Path(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Result<Vec<Node>, Error> {
        parse(&lines.join("\n").replace('|', "\t"))
    }

    #[test]
    fn the_graph_is_rebuilt_from_depths() {
        let nodes = lines(&[
            "0|echo v1.1.0 (/src/echo)||",
            "1|a v1.0.0|std|",
            "2|b v0.2.0+x|default,std|",
            "3|c v1.0.0||",
            "1|a v2.0.0||",
            "2|b v0.2.0+x|extra,std| (*)",
            "2|c v1.0.0||",
            "1|a v1.0.0|std| (*)",
        ])
        .expect("a tree");
        let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["echo", "a", "b", "c", "a"]);
        let edges: Vec<_> = nodes.iter().map(|node| node.dependencies.clone()).collect();
        assert_eq!(edges, [vec![1, 4], vec![2], vec![3], vec![], vec![2, 3]]);
        assert_eq!(nodes[2].features, ["default", "extra", "std"]);
        assert_eq!(nodes[0].source, Source::Path("/src/echo".into()));
    }

    #[test]
    fn sources_are_told_apart() {
        let git = |url: &str| Source::Git {
            url: url.into(),
            short_revision: "0a1b2c3d".into(),
        };
        for (text, source) in [
            ("x v1.0.0", Source::CratesIo),
            ("x v1.0.0 (proc-macro)", Source::CratesIo),
            ("x v1.0.0-rc.1 (registry `mine`)", Source::Registry),
            ("x v1.0.0 (https://h/x?tag=v1#0a1b2c3d)", git("https://h/x?tag=v1")),
            ("x v1.0.0 (file:///tmp/x#0a1b2c3d)", git("file:///tmp/x")),
            ("x v1.0.0 (/a b/c (d)) (proc-macro)", Source::Path("/a b/c (d)".into())),
            ("x v1.0.0 (/with#sharp)", Source::Path("/with#sharp".into())),
        ] {
            assert_eq!(parse_package(text).expect(text).source, source, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_tree_is_an_error() {
        for text in [
            &[][..],
            &["0|echo v1.1.0"],
            &["x|echo v1.1.0||"],
            &["1|echo v1.1.0||"],
            &["0|echo||"],
            &["0|echo v1.1.0||", "2|a v1.0.0||"],
            &["0|echo v1.1.0||", "0|a v1.0.0||"],
        ] {
            assert!(lines(text).is_err(), "{text:?}");
        }
    }
}
