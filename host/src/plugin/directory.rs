//! What lies in the plugin directory: entries with a plugin's name, each with the file that it leads to. Decides where a
//! link may lead; not what is in the file.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::links::link_command;
use super::misnamed::Misnamed;
use super::name::LibraryName;
use super::permissions::quoted;
use super::{Code, Refusal, permissions};
use crate::config::Source;

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
    /// The configuration that names it.
    configuration: Source,
    /// Its canonical path.
    pub path: PathBuf,
    /// What is wrong with the directory itself.
    pub refusals: Vec<Refusal>,
    /// The entries, sorted by path.
    pub entries: Vec<Entry>,
    /// Files that carry no version, as cargo writes them: they are not served, only mentioned.
    pub unversioned: Vec<PathBuf>,
    /// Files that look like libraries and have no plugin's name: likewise.
    pub misnamed: Vec<(PathBuf, Misnamed)>,
}

impl Directory {
    /// Reads a directory; `configuration` is what cures name.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(path: &Path, configuration: &Source) -> io::Result<Directory> {
        let path = fs::canonicalize(path)?;
        let refusals = permissions::check_directory(&path, &fs::metadata(&path)?, configuration);
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(&path)? {
            // A name that is not UTF-8 is no plugin's: those are ASCII.
            names.extend(entry?.file_name().into_string());
        }
        let mut directory = Directory {
            configuration: configuration.clone(),
            path,
            refusals,
            entries: Vec::new(),
            unversioned: Vec::new(),
            misnamed: Vec::new(),
        };
        let parsed = names.iter().filter_map(|name| LibraryName::parse(name));
        let parsed: Vec<LibraryName> = parsed.filter(LibraryName::is_versioned).collect();
        for file_name in names {
            let path = directory.path.join(&file_name);
            match LibraryName::parse(&file_name) {
                Some(name) if name.is_versioned() => {
                    let link = Link {
                        directory: &directory.path,
                        path: &path,
                        better: parsed
                            .iter()
                            .filter(|other| other.extends(&name))
                            .max_by_key(|other| &other.parts),
                        configuration,
                    };
                    directory.entries.extend(Entry::read(&link, name));
                }
                Some(_) => directory.unversioned.push(path),
                None => {
                    let misnamed = Misnamed::parse(&file_name).filter(|_| !path.is_dir());
                    directory.misnamed.extend(misnamed.map(|misnamed| (path, misnamed)));
                }
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
                refusals.extend(permissions::check_directory(folder, &metadata, &self.configuration));
            }
        }
        refusals
    }
}

impl Entry {
    /// Reads one entry; `None` when it is gone by now.
    fn read(link: &Link<'_>, name: LibraryName) -> Option<Entry> {
        let is_link = fs::symlink_metadata(link.path).ok()?.is_symlink();
        let file = if is_link {
            link.follow()
        } else {
            Ok(link.path.to_owned())
        };
        Some(Entry {
            path: link.path.to_owned(),
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

/// What may be a link, and what there is to say if it leads to no file.
struct Link<'a> {
    directory: &'a Path,
    path: &'a Path,
    /// The name of a file in the directory that it could lead to.
    better: Option<&'a LibraryName>,
    configuration: &'a Source,
}

impl Link<'_> {
    /// Follows it to its end, through as many links as there are.
    fn follow(&self) -> Result<PathBuf, Refusal> {
        let refused = |code, host: &str, cure: String| Err(Refusal::new(code, "link", host, self.target(), cure));
        match fs::canonicalize(self.path) {
            Ok(file) if file.starts_with(self.directory) => Ok(file),
            Ok(file) => refused(
                Code::LinkOutside,
                "a file in the plugin directory",
                format!(
                    "host install {} --plugins {}",
                    quoted(&file),
                    self.configuration.quoted()
                ),
            ),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                refused(Code::LinkLoop, "a link that ends", self.relink())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                refused(Code::LinkDangling, "an existing file", self.relink())
            }
            Err(error) => {
                let found = format!("{} ({error})", self.target());
                let cure = format!("ls -l {} # shows who may read what it leads to", quoted(self.path));
                Err(Refusal::new(
                    Code::FileUnreadable,
                    "link",
                    "a readable file",
                    found,
                    cure,
                ))
            }
        }
    }

    fn target(&self) -> String {
        fs::read_link(self.path).map_or_else(|_| "?".to_owned(), |target| target.display().to_string())
    }

    fn relink(&self) -> String {
        match self.better {
            Some(name) => link_command(self.path, &name.to_string()),
            None => format!(
                "rm {} # no file here has a name that it could lead to; or put back what it leads to",
                quoted(self.path)
            ),
        }
    }
}
