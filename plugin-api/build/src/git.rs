//! The commit of the repository that the package lies in, read from git's own files: a build must
//! not need the git program. Source of the layout: gitrepository-layout(5).
//!
//! Every doubt (no repository, another storage of references) is "no commit": nothing is decided
//! by it.

use std::path::{Path, PathBuf};

/// The commit that HEAD stands at.
pub(crate) fn commit(package: &Path) -> Option<String> {
    let dot_git = package
        .ancestors()
        .map(|at| at.join(".git"))
        .find(|path| path.exists())?;
    let folder = if dot_git.is_dir() {
        dot_git
    } else {
        linked_folder(&dot_git)?
    };
    let head = read(&folder.join("HEAD"))?;
    let Some(reference) = head.strip_prefix("ref:").map(str::trim) else {
        return hash(&head);
    };
    // A worktree has a HEAD of its own, and shares the references of the main one.
    let common = read(&folder.join("commondir")).map_or(folder.clone(), |common| folder.join(common));
    [&folder, &common]
        .into_iter()
        .find_map(|at| hash(&read(&at.join(reference))?))
        .or_else(|| packed(&read(&common.join("packed-refs"))?, reference))
}

/// In a worktree or submodule `.git` is a file that names the folder.
fn linked_folder(dot_git: &Path) -> Option<PathBuf> {
    let text = read(dot_git)?;
    Some(dot_git.parent()?.join(text.strip_prefix("gitdir:")?.trim()))
}

fn packed(text: &str, reference: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(_, name)| *name == reference)
        .and_then(|(found, _)| hash(found))
}

/// SHA-1 or SHA-256 in hexadecimal.
fn hash(text: &str) -> Option<String> {
    let is_hash = matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_hash.then(|| text.to_owned())
}

fn read(path: &Path) -> Option<String> {
    crate::text::read(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn head_is_followed() {
        let top = std::env::temp_dir().join(format!("plugin-build-{}-git", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = top.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        let [a, b, c] = ["a", "b", "c"].map(|digit| digit.repeat(40));
        write("repo/.git/HEAD", "ref: refs/heads/main\n");
        write("repo/crate/Cargo.toml", "");
        let package = top.join("repo/crate");
        assert_eq!(commit(&package), None, "no commit yet");
        write(
            "repo/.git/packed-refs",
            &format!("# pack-refs\n{b} refs/heads/main\n^{c}\n"),
        );
        assert_eq!(commit(&package).as_ref(), Some(&b));
        write("repo/.git/refs/heads/main", &format!("{a}\n"));
        assert_eq!(commit(&package).as_ref(), Some(&a));

        write("repo/.git/worktrees/w/HEAD", "ref: refs/heads/main\n");
        write("repo/.git/worktrees/w/commondir", "../..\n");
        write("tree/.git", "gitdir: ../repo/.git/worktrees/w\n");
        assert_eq!(commit(&top.join("tree")).as_ref(), Some(&a));

        write("repo/.git/HEAD", &c);
        assert_eq!(commit(&package).as_ref(), Some(&c), "a detached HEAD");
        fs::remove_dir_all(top).expect("removed");
    }
}
