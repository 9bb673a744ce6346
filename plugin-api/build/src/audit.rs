//! The dependency list once more, in the format that audit tools read: cargo-auditable's, which is
//! zlib around the JSON of [`auditable_serde::VersionInfo`], in a section called `.dep-v0`.
//!
//! The crates `auditable-serde` and `miniz_oxide` are used rather than own code: the first is the
//! format's own definition, the second what its readers decompress with. Only build scripts link
//! them.
//!
//! The list says what the record says: what is linked. What runs in the compiler (build scripts,
//! procedural macros) is in neither, while `cargo auditable` would add it, marked as such.

use auditable_serde::{DependencyKind, Source as Kind, VersionInfo};
use plugin_record::Package;

use crate::{
    Error,
    tree::{Node, Source},
};

/// How the list was made, in the format's terms. 0 would say that procedural macros may stand among
/// what is linked, 8 that cargo wrote it itself.
const FORMAT: u32 = 1;

/// The zlib stream's level: the smallest result, for lists of a few kilobytes.
const LEVEL: u8 = 10;

/// The list as it stands in the section. The tree tells what the record leaves out: whether a
/// registry is crates.io, the only one that advisories are about.
///
/// # Errors
/// When the list can't be written as JSON.
pub(crate) fn encode(packages: &[Package], tree: &[Node]) -> Result<Vec<u8>, Error> {
    let list = packages.iter().zip(tree).enumerate();
    let list = list.map(|(index, (package, node))| auditable_serde::Package {
        name: package.name.clone(),
        version: package.version.clone(),
        source: match node.source {
            Source::CratesIo => Kind::CratesIo,
            Source::Registry => Kind::Registry,
            Source::Git { .. } => Kind::Git,
            Source::Path(_) => Kind::Local,
        },
        kind: DependencyKind::Runtime,
        dependencies: package.dependencies.clone(),
        root: index == 0,
    });
    let info = VersionInfo {
        packages: list.collect(),
        format: FORMAT,
    };
    let json = serde_json::to_vec(&info).map_err(|source| Error::Audit { source })?;
    Ok(miniz_oxide::deflate::compress_to_vec_zlib(&json, LEVEL))
}
