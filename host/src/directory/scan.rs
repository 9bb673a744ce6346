//! Lists what lies in the plugin directory: entries with a plugin's name, each with the file that it leads to. Decides where
//! a link may lead; never reads the file.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use plugin_record::{Code, Refusal};

use super::links;
use super::misnamed::Misnamed;
use crate::admission::names::LibraryName;
use crate::admission::permissions;
use crate::config::Source;
use crate::shell::quoted;

/// A name in the plugin directory that a plugin could have.
#[derive(Debug)]
pub struct Entry {
    /// The entry's own path.
    pub path: PathBuf,
    /// Its name, taken apart.
    pub name: LibraryName,
    /// Whether it is a symbolic link.
    pub is_link: bool,
    /// The file that it leads to, in its canonical form: for a regular file, itself. The cure of a link that leads nowhere is
    /// one that takes it away: what it could lead to is not known here.
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
        // A name that is not UTF-8 is no plugin's: those are ASCII.
        let mut odd = Vec::new();
        for entry in fs::read_dir(&path)? {
            match entry?.file_name().into_string() {
                Ok(name) => drop(names.insert(name)),
                Err(name) => odd.push(name),
            }
        }
        let mut directory = Directory {
            configuration: configuration.clone(),
            path,
            refusals,
            entries: Vec::new(),
            unversioned: Vec::new(),
            misnamed: Vec::new(),
        };
        for file_name in names {
            let path = directory.path.join(&file_name);
            match LibraryName::parse(&file_name) {
                Some(name) if name.is_versioned() => {
                    directory
                        .entries
                        .extend(Entry::read(&directory.path, path, name, configuration));
                }
                Some(_) => directory.unversioned.push(path),
                None => {
                    let misnamed = Misnamed::parse(&file_name).filter(|_| !path.is_dir());
                    directory.misnamed.extend(misnamed.map(|misnamed| (path, misnamed)));
                }
            }
        }
        let odd = odd
            .into_iter()
            .filter(|name| Misnamed::parse(&name.to_string_lossy()).is_some());
        let odd = odd.map(|name| (directory.path.join(name), Misnamed::Unclear));
        directory.misnamed.extend(odd);
        Ok(directory)
    }
}

/// The command that brings a file into the directory by its real name; where it has no library's name, what to do first.
pub(super) fn install(file: &Path, configuration: &Source) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    match LibraryName::parse(&name).is_some() && file.is_file() {
        true => format!("host install {} --plugins {}", quoted(file), configuration.quoted()),
        false => format!(
            "# point it to a plugin's file in the directory: {} is none by its name",
            quoted(file)
        ),
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
    fn read(directory: &Path, path: PathBuf, name: LibraryName, configuration: &Source) -> Option<Entry> {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => Err(error),
        };
        let is_link = metadata.as_ref().is_ok_and(fs::Metadata::is_symlink);
        let file = match is_link {
            true => follow(directory, &path, configuration),
            false => metadata.map(|_| path.clone()).map_err(|error| {
                let cure = format!("ls -ld {} # shows who may search it", quoted(directory));
                Refusal::new(Code::FileUnreadable, "file", "a readable file", error.to_string(), cure)
            }),
        };
        Some(Entry {
            path,
            name,
            is_link,
            file,
        })
    }

    /// Where a link points, as it is written, for messages and JSON.
    pub fn target(&self) -> Option<PathBuf> {
        links::target(&self.path)
    }
}

/// Follows a link to its end, through as many links as there are.
fn follow(directory: &Path, link: &Path, configuration: &Source) -> Result<PathBuf, Refusal> {
    let target = || fs::read_link(link).map_or_else(|_| "?".to_owned(), |target| target.display().to_string());
    let refused = |code, host: &str, cure: String| Err(Refusal::new(code, "link", host, target(), cure));
    // Away with it means away with the plugin: that is for the operator to say.
    let put_back = || {
        format!(
            "# put {} back; or, to take the plugin away: rm {}",
            target(),
            quoted(link)
        )
    };
    match fs::canonicalize(link) {
        Ok(file) if file.starts_with(directory) => Ok(file),
        Ok(file) => refused(
            Code::LinkOutside,
            "a file in the plugin directory",
            install(&file, configuration),
        ),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            refused(Code::LinkLoop, "a link that ends", put_back())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            refused(Code::LinkDangling, "an existing file", put_back())
        }
        Err(error) => {
            let found = format!("{} ({error})", target());
            let cure = format!("ls -l {} # shows who may read what it leads to", quoted(link));
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
