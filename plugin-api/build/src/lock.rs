//! What Cargo.lock says about a package's content: a registry's checksum or a git revision.
//!
//! `cargo tree` prints neither. The lock also makes a vendored package equal to the one from the
//! registry, since vendoring leaves the lock as it is. How a lock is written is decided in
//! plugin-record's `lock.rs`.

use std::path::{Path, PathBuf};

use plugin_record::lock::{self, Lockfile};

use crate::{
    Error, text,
    tree::{Node, Source},
};

/// A lock file.
#[derive(Debug)]
pub(crate) struct Lock {
    pub(crate) path: PathBuf,
    contents: Lockfile,
}

/// What the lock knows about one linked package.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Locked {
    Registry { checksum: Option<String> },
    Git { revision: String },
    Path,
}

impl Lock {
    /// # Errors
    /// When the file can't be read or is no lock file.
    pub(crate) fn read(path: &Path) -> Result<Lock, Error> {
        let text = text::read(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        Lock::parse(path, &text)
    }

    pub(crate) fn parse(path: &Path, text: &str) -> Result<Lock, Error> {
        match Lockfile::parse(text) {
            Ok(contents) => Ok(Lock {
                path: path.to_owned(),
                contents,
            }),
            Err(source) => Err(Error::Toml {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// What a linked package's content is known by.
    ///
    /// # Errors
    /// When not exactly one entry fits.
    pub(crate) fn find(&self, node: &Node) -> Result<Locked, Error> {
        let entry = self.entry(node)?;
        Ok(match (&node.source, entry.revision()) {
            (Source::Path(_), _) => Locked::Path,
            (_, Some(revision)) => Locked::Git {
                revision: revision.to_owned(),
            },
            _ => Locked::Registry {
                checksum: self.contents.checksum(entry),
            },
        })
    }

    /// Which plugin-build a linked package's build.rs uses: its version and source as far as the lock has to tell several
    /// apart. Nothing where it uses none.
    pub(crate) fn plugin_build(&self, node: &Node) -> Option<&str> {
        let words = self.entry(node).ok()?.dependencies.iter();
        words
            .filter_map(|words| words.strip_prefix("plugin-build"))
            .find(|rest| rest.is_empty() || rest.starts_with(' '))
            .map(str::trim_start)
    }

    /// The entry of a linked package. The source decides among entries of equal name and version:
    /// a patched copy and the original may both be there.
    fn entry(&self, node: &Node) -> Result<&lock::Locked, Error> {
        let fitting: Vec<&lock::Locked> = self
            .contents
            .packages
            .iter()
            .filter(|entry| entry.name == node.name && entry.version == node.version)
            .filter(|entry| comes_from(entry, &node.source))
            .collect();
        let [entry] = fitting[..] else {
            return Err(Error::Lock {
                path: self.path.clone(),
                package: format!("{} v{}", node.name, node.version),
                found: fitting.len(),
            });
        };
        Ok(entry)
    }
}

fn comes_from(entry: &lock::Locked, source: &Source) -> bool {
    let Some(locked) = entry.source.as_deref() else {
        return matches!(source, Source::Path(_));
    };
    // Cargo writes the first form for crates.io also where it uses the second.
    let crates_io = locked == "registry+https://github.com/rust-lang/crates.io-index"
        || locked == "sparse+https://index.crates.io/";
    let registry = locked.starts_with("registry+") || locked.starts_with("sparse+");
    match source {
        Source::CratesIo => crates_io,
        Source::Registry => registry && !crates_io,
        // The URL's query (branch, tag) is written in two ways; the repository and the
        // revision are enough.
        Source::Git { url, short_revision } => {
            let repository = |text: &str| text.split(['?', '#']).next().map(|text| text.to_owned());
            let locked_url = locked.strip_prefix("git+");
            locked_url.and_then(repository) == repository(url)
                && entry.revision().is_some_and(|full| full.starts_with(short_revision))
        }
        Source::Path(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
        version = 4
        [[package]]
        name = "a"
        version = "1.0.0"
        source = "registry+https://github.com/rust-lang/crates.io-index"
        checksum = "aa"
        [[package]]
        name = "a"
        version = "1.0.0"
        source = "sparse+https://other.example/"
        checksum = "bb"
        [[package]]
        name = "a"
        version = "1.0.0"
        source = "git+https://h/a?branch=x%2Fy#0123456789abcdef"
        [[package]]
        name = "a"
        version = "1.0.0"
        [[package]]
        name = "old"
        version = "1.0.0"
        source = "registry+https://github.com/rust-lang/crates.io-index"
        [metadata]
        "checksum old 1.0.0 (registry+https://github.com/rust-lang/crates.io-index)" = "cc"
    "#;

    fn find(name: &str, version: &str, source: Source) -> Result<Locked, Error> {
        Lock::parse(Path::new("Cargo.lock"), LOCK).expect("a lock").find(&Node {
            name: name.into(),
            version: version.parse().expect("a version"),
            source,
            features: vec![],
            dependencies: vec![],
        })
    }

    #[test]
    fn the_source_decides_among_equal_names() {
        let registry = |sum: &str| Locked::Registry {
            checksum: Some(sum.into()),
        };
        let git = |url: &str| Source::Git {
            url: url.into(),
            short_revision: "01234567".into(),
        };
        for (name, source, expected) in [
            ("a", Source::CratesIo, registry("aa")),
            ("a", Source::Registry, registry("bb")),
            (
                "a",
                git("https://h/a?branch=x/y"),
                Locked::Git {
                    revision: "0123456789abcdef".into(),
                },
            ),
            ("a", Source::Path("/a".into()), Locked::Path),
            ("old", Source::CratesIo, registry("cc")),
        ] {
            assert_eq!(find(name, "1.0.0", source).expect(name), expected);
        }
    }

    #[test]
    fn a_package_that_is_not_there_is_an_error() {
        for (name, version, source) in [
            ("a", "1.0.1", Source::CratesIo),
            ("b", "1.0.0", Source::CratesIo),
            ("old", "1.0.0", Source::Path("/old".into())),
        ] {
            let error = find(name, version, source).expect_err(name);
            assert!(matches!(error, Error::Lock { found: 0, .. }), "{error}");
        }
    }
}
