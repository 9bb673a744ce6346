//! The digest of a package in a folder: SHA-256 over names and contents of its files.
//!
//! Every part goes in behind its length, so no two sets of files feed the same bytes. Times, modes
//! and the folder's own place do not count: a copy is the same package.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use sha2::{Digest, Sha256};

use crate::{Error, sources::Sources};

/// How much of a file is in memory at a time, in bytes.
const PART: usize = 64 << 10;

/// The digest in hexadecimal.
///
/// # Errors
/// When a file can't be read, or changes meanwhile.
pub(crate) fn of(sources: &Sources) -> Result<String, Error> {
    let mut hasher = Sha256::new();
    let mut part = vec![0; PART];
    for (name, path) in &sources.files {
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        add(&mut hasher, path, &mut part).map_err(|source| Error::Read {
            path: path.clone(),
            source,
        })?;
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Adds a file's length and its content, of which no more than one part is in memory.
fn add(hasher: &mut Sha256, path: &Path, part: &mut [u8]) -> io::Result<()> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    hasher.update(size.to_le_bytes());
    // One byte more tells that it has grown; one that grows as fast as it is read would have no end.
    let mut file = file.take(size.saturating_add(1));
    let mut read = 0;
    loop {
        let count = match file.read(part) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&part[..count]);
        read += count as u64;
    }
    match read == size {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "its size changed while it was read: {size} bytes before, {read} or more then; is something writing to it?"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    /// Of the file that a process of its own digests.
    const LARGE: &str = "PLUGIN_BUILD_TEST_LARGE";

    /// More than the process may have.
    const SIZE: u64 = 256 << 20;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_large_file_is_not_held_in_memory() {
        if let Some(path) = std::env::var_os(LARGE) {
            digest(&[("large", &path.into())]);
            return;
        }
        let path = std::env::temp_dir().join(format!("plugin-build-{}-large", std::process::id()));
        let file = File::create(&path).expect("a file");
        file.set_len(SIZE).expect("a file with a hole");
        // In kilobytes; what a process writes to, without the files that it maps.
        let limit = (SIZE >> 10) / 4;
        let mut limited = std::process::Command::new("sh");
        limited
            .args(["-c", &format!("ulimit -d {limit} && exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().expect("this program"))
            .args(["--exact", "digest::tests::a_large_file_is_not_held_in_memory"]);
        let output = limited.env(LARGE, &path).output().expect("a shell");
        fs::remove_file(path).expect("removed");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(said.contains("1 passed"), "{said}");
    }

    #[test]
    fn a_file_whose_size_is_not_what_is_read_is_an_error() {
        // Of this one the system says that it is empty.
        let mut hasher = Sha256::new();
        let Err(error) = add(&mut hasher, Path::new("/proc/self/stat"), &mut [0; 16]) else {
            panic!("it has content");
        };
        if error.kind() != io::ErrorKind::NotFound {
            assert!(
                error
                    .to_string()
                    .contains("its size changed while it was read: 0 bytes before"),
                "{error}"
            );
        }
    }

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
        // As it has always been: hosts compare digests that were made by other versions.
        assert_eq!(
            digest(&[("a", &b)]),
            "cf6ab613e3942391f88ed698557e1680f160bd10e88c6b668c50360c10930e2b"
        );
        fs::remove_dir_all(folder).expect("removed");
    }
}
