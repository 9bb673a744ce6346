//! Makes bad plugin files of good ones, by as little as possible.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use plugin_record::Record;
use tempfile::TempDir;

use crate::cargo::{sample, succeed};
use crate::files::{stripped, with_identity, with_note, with_record};
use crate::host::Site;

/// A file on its way from good to bad.
pub struct Bad {
    pub path: PathBuf,
}

impl Bad {
    /// A good plugin in the site's plugin directory; its file's name is this one, with the plugin's own for `?`.
    pub fn new(site: &Site, plugin: &Path, name: &str, file_name: &str) -> Bad {
        // Names that collide lie in one directory all the same: each gets its own digits.
        let stem = name.replace('-', "_");
        let file_name = file_name
            .replace('?', &stem)
            .replace("libother", &format!("libother_{stem}"));
        let path = site.plugins().join(file_name);
        with_identity(plugin, &path, name, "1.1.0");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Bad { path }
    }

    pub fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }

    pub fn file(&self) -> File {
        File::options().write(true).open(&self.path).unwrap()
    }

    pub fn is(&self, bytes: &[u8]) {
        fs::write(&self.path, bytes).unwrap();
    }

    pub fn remove(&self) {
        fs::remove_file(&self.path).unwrap();
    }

    pub fn mode(&self, mode: u32) {
        fs::set_permissions(&self.path, Permissions::from_mode(mode)).unwrap();
    }

    pub fn cut(&self, length: usize) {
        self.file().set_len(length as u64).unwrap();
    }

    pub fn put(&self, at: usize, new: &[u8]) {
        let mut bytes = self.bytes();
        assert_ne!(bytes[at..][..new.len()], *new, "it is bad already");
        bytes[at..][..new.len()].copy_from_slice(new);
        self.is(&bytes);
    }

    /// Puts one text of a length in the place of another, wherever it stands.
    pub fn replace(&self, old: &[u8], new: &[u8]) {
        assert_eq!(old.len(), new.len());
        let mut bytes = self.bytes();
        let places: Vec<usize> = (0..bytes.len() - old.len())
            .filter(|at| bytes[*at..].starts_with(old))
            .collect();
        assert!(!places.is_empty(), "no {}", old.escape_ascii());
        places
            .iter()
            .for_each(|at| bytes[*at..][..new.len()].copy_from_slice(new));
        self.is(&bytes);
    }

    pub fn record(&self, change: impl FnOnce(&mut Record)) {
        with_record(&self.path, &self.path, change);
    }

    pub fn note(&self, change: impl FnOnce(&mut [u8])) {
        with_note(&self.path, &self.path, change);
    }

    /// Makes room behind the record for a second, empty one.
    pub fn two_records(&self) {
        self.record(|_| {});
        self.note(|note| {
            let end = note.len();
            let (size, empty) = (u32::from_le_bytes(note[4..8].try_into().unwrap()), 28);
            assert!(
                note[end - empty..].iter().all(|byte| *byte == b' ' || *byte == 0),
                "no room"
            );
            note.copy_within(0..24, end - empty);
            note[end - empty + 4..][..4].copy_from_slice(&4u32.to_le_bytes());
            let size = size.next_multiple_of(4) - u32::try_from(empty).unwrap();
            note[4..8].copy_from_slice(&size.to_le_bytes());
        });
    }

    pub fn other_soname(&self) {
        let soname = self.path.file_name().unwrap().to_str().unwrap().replace(".1.0", "\0");
        self.replace(soname.as_bytes(), soname.replacen("lib", "lix", 1).as_bytes());
    }

    /// What the C compiler makes of next to nothing.
    pub fn compiled(&self, arguments: &[&str]) {
        let folder = TempDir::new().unwrap();
        let source = folder.path().join("file.c");
        fs::write(&source, "int main(void) { return 0; }\n").unwrap();
        succeed(Command::new("cc").args(arguments).arg(source).arg("-o").arg(&self.path));
    }

    pub fn soname_argument(&self) -> String {
        let file_name = self
            .path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .replace("libother_", "lib");
        format!("-Wl,-soname,{}.so.1", file_name.split('.').next().unwrap())
    }

    pub fn word(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes()[at..][..8].try_into().unwrap())
    }

    /// Where the program header of this type lies.
    pub fn segment(&self, kind: u8) -> usize {
        let bytes = self.bytes();
        let headers = (0..usize::from(bytes[56])).map(|number| 64 + 56 * number);
        headers
            .into_iter()
            .find(|at| bytes[*at..][..4] == [kind, 0, 0, 0])
            .unwrap()
    }

    /// Where the dynamic section's DT_SONAME lies.
    pub fn soname_entry(&self) -> usize {
        let dynamic = usize::try_from(self.word(self.segment(2) + 8)).unwrap();
        (0..)
            .map(|number| dynamic + 16 * number)
            .find(|at| self.word(*at) == 14)
            .unwrap()
    }
}

/// A real plugin, small enough to be copied many times.
pub fn small(folder: &Path) -> PathBuf {
    let copy = folder.join("small.so");
    stripped(&sample("submit-echo"), &copy);
    copy
}
