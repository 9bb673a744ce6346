//! What lies in the plugin directory: entries with a plugin's name, each with the file that it leads to. Decides where a
//! link may lead; not what is in the file.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::name::LibraryName;
use super::{Code, Refusal, permissions};

/// A name in the plugin directory that a plugin could have.
#[derive(Debug)]
pub struct Entry {
    /// The entry's own path.
    pub path: PathBuf,
    /// Its name, taken apart.
    pub name: LibraryName,
    /// Whether it is a symbolic link.
    pub is_link: bool,
    /// The file that it leads to, in its canonical form: for a regular file, itself.
    pub file: Result<PathBuf, Refusal>,
}

/// A plugin directory, read once.
#[derive(Debug)]
pub struct Directory {
    /// Its canonical path.
    pub path: PathBuf,
    /// What is wrong with the directory itself.
    pub refusals: Vec<Refusal>,
    /// The entries, sorted by path.
    pub entries: Vec<Entry>,
    /// Files that carry no version, as cargo writes them: they are not served, only mentioned.
    pub unversioned: Vec<PathBuf>,
}

impl Directory {
    /// Reads a directory.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(path: &Path) -> io::Result<Directory> {
        let path = fs::canonicalize(path)?;
        let refusals = permissions::check_directory(&path, &fs::metadata(&path)?);
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(&path)? {
            // A name that is not UTF-8 is no plugin's: those are ASCII.
            names.extend(entry?.file_name().into_string());
        }
        let mut directory = Directory {
            path,
            refusals,
            entries: Vec::new(),
            unversioned: Vec::new(),
        };
        for file_name in names {
            let Some(name) = LibraryName::parse(&file_name) else {
                continue;
            };
            let entry_path = directory.path.join(&file_name);
            if name.is_versioned() {
                directory.entries.extend(Entry::read(&directory.path, entry_path, name));
            } else {
                directory.unversioned.push(entry_path);
            }
        }
        Ok(directory)
    }
}

impl Directory {
    /// What is wrong with the directory, and with the folders in it that lead to a file.
    pub fn refusals_on_the_way_to(&self, file: &Path) -> Vec<Refusal> {
        let mut refusals = self.refusals.clone();
        let folders = file.ancestors().skip(1).take_while(|folder| *folder != self.path);
        for folder in folders.filter(|folder| folder.starts_with(&self.path)) {
            // One that is gone by now has no file either, which is said elsewhere.
            if let Ok(metadata) = fs::metadata(folder) {
                refusals.extend(permissions::check_directory(folder, &metadata));
            }
        }
        refusals
    }
}

impl Entry {
    /// Reads one entry; `None` when it is gone by now.
    pub fn read(directory: &Path, path: PathBuf, name: LibraryName) -> Option<Entry> {
        let is_link = fs::symlink_metadata(&path).ok()?.is_symlink();
        let file = if is_link {
            follow(directory, &path)
        } else {
            Ok(path.clone())
        };
        Some(Entry {
            path,
            name,
            is_link,
            file,
        })
    }

    /// Where a link points, as it is written; for messages.
    pub fn target(&self) -> Option<PathBuf> {
        fs::read_link(&self.path).ok()
    }
}

/// Follows a link to its end, through as many links as there are.
fn follow(directory: &Path, link: &Path) -> Result<PathBuf, Refusal> {
    let target = fs::read_link(link).map_or_else(|_| "?".to_owned(), |target| target.display().to_string());
    let refused = |code, host: &str, cure: String| Err(Refusal::new(code, "link", host, target.clone(), cure));
    let relink = format!("ln -sfn FILE {}", permissions::quoted(link));
    match fs::canonicalize(link) {
        Ok(file) if file.starts_with(directory) => Ok(file),
        Ok(file) => refused(
            Code::LinkOutside,
            "a file in the plugin directory",
            format!("host install {} --plugins FILE", permissions::quoted(&file)),
        ),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            refused(Code::LinkLoop, "a link that ends", relink)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            refused(Code::LinkDangling, "an existing file", relink)
        }
        Err(error) => refused(Code::FileUnreadable, "a readable file", format!("{error}; {relink}")),
    }
}
