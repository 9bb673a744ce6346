//! What each linked package's content is known by: the lock's checksum or revision, or the digest
//! of its folder.

use plugin_record::Identity;

use crate::{
    Error, digest,
    lock::{Lock, Locked},
    sources::Sources,
    tree::{Node, Source},
};

/// One package's identity, and for a package in a folder what it was taken from.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) identity: Identity,
    pub(crate) folder: Option<Folder>,
}

/// A package that lies in a folder of the author's.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: std::path::PathBuf,
    pub(crate) sources: Sources,
}

/// The origins of all linked packages, in the tree's order.
#[derive(Debug)]
pub(crate) struct Origins(pub(crate) Vec<Origin>);

impl Origins {
    /// # Errors
    /// When the lock does not know a package or a folder can't be read.
    pub(crate) fn of(tree: &[Node], lock: &Lock) -> Result<Origins, Error> {
        tree.iter()
            .map(|node| Origin::of(node, lock))
            .collect::<Result<_, _>>()
            .map(Origins)
    }
}

impl Origin {
    fn of(node: &Node, lock: &Lock) -> Result<Origin, Error> {
        let identity = match lock.find(node)? {
            Locked::Registry { checksum } => Identity::Registry { checksum },
            Locked::Git { revision } => Identity::Git { revision },
            Locked::Path => Identity::Path { digest: String::new() },
        };
        let Source::Path(path) = &node.source else {
            return Ok(Origin { identity, folder: None });
        };
        let sources = Sources::of(path)?;
        Ok(Origin {
            identity: Identity::Path {
                digest: digest::of(&sources)?,
            },
            folder: Some(Folder {
                path: path.clone(),
                sources,
            }),
        })
    }
}
