//! Which files make up a package in a folder, and what cargo must watch to notice a change in them.
//!
//! The files are those that `cargo package` would take, without asking git: a package must have the
//! same digest in a checkout, an archive and a container. Left out are entries whose name starts
//! with a dot, Cargo.lock (a library's does not bind its users), build output (the package's own
//! `target`, any folder with a CACHEDIR.TAG) and folders with a Cargo.toml (other packages).
//! `include` and `exclude` of the manifest are not applied.
//!
//! Files and watch list come from one walk so that they can't drift apart. Cargo compares the times
//! of everything below a folder it watches, so a folder is watched as a whole only if nothing that
//! builds write to lies in it; otherwise its parts are. A watched whole also notices new files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::Error;

/// The files of one package.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    /// Path below the package's folder with `/` between parts, and path; sorted by the former.
    pub(crate) files: Vec<(String, PathBuf)>,
    /// Files and folders that exist, and whose change means that a file above has changed.
    pub(crate) watch: Vec<PathBuf>,
}

/// What the walk does with one entry.
enum Verdict {
    Take,
    /// Not part of the package, but harmless to watch: a change costs one needless run.
    Skip,
    /// Not part of the package, and it may change with every build: not to be watched.
    Avoid,
}

impl Sources {
    /// The sources of the package in a folder.
    ///
    /// # Errors
    /// When the folder or one below can't be read.
    pub(crate) fn of(folder: &Path) -> Result<Sources, Error> {
        let mut sources = Sources::default();
        walk(folder, "", &mut Vec::new(), &mut sources)?;
        sources.files.sort();
        Ok(sources)
    }
}

/// Adds what lies in a folder; true if the folder can be watched as a whole, in which case it
/// stands in the watch list in place of its parts.
fn walk(folder: &Path, prefix: &str, ancestors: &mut Vec<PathBuf>, sources: &mut Sources) -> Result<bool, Error> {
    let failed = |source: io::Error| Error::Read {
        path: folder.to_owned(),
        source,
    };
    // Links to folders are followed as cargo follows them, except back into themselves.
    let real = folder.canonicalize().map_err(failed)?;
    if ancestors.contains(&real) {
        return Ok(true);
    }
    ancestors.push(real);
    let first_part = sources.watch.len();
    let mut whole = true;
    let mut entries: Vec<fs::DirEntry> = fs::read_dir(folder).and_then(Iterator::collect).map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // A name that is not UTF-8 can be in no `mod` and no manifest; its bytes still count.
        let name = entry.file_name().to_string_lossy().into_owned();
        // A link to nothing is no file.
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        match verdict(&path, &name, prefix.is_empty(), metadata.is_dir()) {
            Verdict::Avoid => whole = false,
            Verdict::Skip => {}
            Verdict::Take if metadata.is_dir() => {
                whole &= walk(&path, &format!("{prefix}{name}/"), ancestors, sources)?;
            }
            Verdict::Take if metadata.is_file() => {
                sources.files.push((format!("{prefix}{name}"), path.clone()));
                sources.watch.push(path);
            }
            // Sockets, pipes and devices have no content to speak of.
            Verdict::Take => {}
        }
    }
    ancestors.pop();
    if whole {
        sources.watch.truncate(first_part);
        sources.watch.push(folder.to_owned());
    }
    Ok(whole)
}

fn verdict(path: &Path, name: &str, top: bool, is_folder: bool) -> Verdict {
    // `target` deeper down is a module like any other.
    let avoid = is_folder
        && (name.starts_with('.')
            || top && name == "target"
            || path.join("CACHEDIR.TAG").exists()
            || path.join("Cargo.toml").exists());
    match (avoid, name.starts_with('.') || name == "Cargo.lock") {
        (true, _) => Verdict::Avoid,
        (false, true) => Verdict::Skip,
        (false, false) => Verdict::Take,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn with(name: &str, files: &[&str]) -> Folder {
            let unique = format!("plugin-build-{}-{name}", std::process::id());
            let folder = Folder(std::env::temp_dir().join(unique));
            for file in files {
                let path = folder.0.join(file);
                fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
                fs::write(path, file).expect("a file");
            }
            folder
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            // Nothing depends on it being gone.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn names(sources: &Sources) -> Vec<&str> {
        sources.files.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn watched(sources: &Sources, folder: &Folder) -> Vec<String> {
        let relative = |path: &PathBuf| path.strip_prefix(&folder.0).map(Path::to_owned);
        let paths = sources.watch.iter().map(|path| relative(path).expect("inside"));
        paths.map(|path| path.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_plain_package_is_watched_as_a_whole() {
        let folder = Folder::with(
            "plain",
            &[
                "Cargo.toml",
                "src/lib.rs",
                "src/target/mod.rs",
                ".gitignore",
                "Cargo.lock",
            ],
        );
        let sources = Sources::of(&folder.0).expect("sources");
        assert_eq!(names(&sources), ["Cargo.toml", "src/lib.rs", "src/target/mod.rs"]);
        assert_eq!(watched(&sources, &folder), [""]);
    }

    #[test]
    fn build_output_and_other_packages_are_neither_taken_nor_watched() {
        let folder = Folder::with(
            "mixed",
            &[
                "Cargo.toml",
                "build.rs",
                "src/lib.rs",
                "target/debug/x",
                ".git/HEAD",
                "data/cache/CACHEDIR.TAG",
                "data/cache/x",
                "data/table",
                "macros/Cargo.toml",
                "macros/src/lib.rs",
            ],
        );
        let sources = Sources::of(&folder.0).expect("sources");
        assert_eq!(names(&sources), ["Cargo.toml", "build.rs", "data/table", "src/lib.rs"]);
        assert_eq!(
            watched(&sources, &folder),
            ["Cargo.toml", "build.rs", "data/table", "src"]
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_end() {
        use std::os::unix::fs::symlink;
        let folder = Folder::with("links", &["Cargo.toml", "src/lib.rs"]);
        symlink("lib.rs", folder.0.join("src/again.rs")).expect("a link to a file");
        symlink("..", folder.0.join("src/loop")).expect("a link to a folder above");
        symlink("nowhere", folder.0.join("src/dangling")).expect("a link to nothing");
        symlink("src", folder.0.join("alias")).expect("a link to a folder beside");
        let sources = Sources::of(&folder.0).expect("sources");
        let expected = [
            "Cargo.toml",
            "alias/again.rs",
            "alias/lib.rs",
            "src/again.rs",
            "src/lib.rs",
        ];
        assert_eq!(names(&sources), expected);
    }
}
