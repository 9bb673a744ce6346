//! The digest of a package in a folder: SHA-256 over names and contents of its files.
//!
//! Every part goes in behind its length, so no two sets of files feed the same bytes. Times, modes
//! and the folder's own place do not count: a copy is the same package.

use std::fs;

use sha2::{Digest, Sha256};

use crate::{Error, sources::Sources};

/// The digest in hexadecimal.
///
/// # Errors
/// When a file can't be read.
pub(crate) fn of(sources: &Sources) -> Result<String, Error> {
    let mut hasher = Sha256::new();
    for (name, path) in &sources.files {
        let content = fs::read(path).map_err(|source| Error::Read {
            path: path.clone(),
            source,
        })?;
        for part in [name.as_bytes(), &content] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn digest(files: &[(&str, &PathBuf)]) -> String {
        let files = files.iter().map(|(name, path)| ((*name).to_owned(), (*path).clone()));
        of(&Sources {
            files: files.collect(),
            watch: vec![],
        })
        .expect("a digest")
    }

    #[test]
    fn names_and_contents_count_and_can_not_run_together() {
        let folder = std::env::temp_dir().join(format!("plugin-build-{}-sum", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let [empty, b, bc] = ["", "b", "bc"].map(|content| {
            let path = folder.join(format!("content-{content}"));
            fs::write(&path, content).expect("a file");
            path
        });
        let digests = [
            digest(&[]),
            digest(&[("a", &empty)]),
            digest(&[("a", &b)]),
            digest(&[("ab", &empty)]),
            digest(&[("a", &bc)]),
            digest(&[("a", &b), ("c", &empty)]),
        ];
        for (index, one) in digests.iter().enumerate() {
            assert_eq!(one.len(), 64);
            assert!(!digests[..index].contains(one), "{index}");
        }
        assert_eq!(digest(&[("a", &b)]), digests[2]);
        fs::remove_dir_all(folder).expect("removed");
    }
}
