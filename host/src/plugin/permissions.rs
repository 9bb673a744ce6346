//! Who may change what the host runs: a plugin's file and its directory belong to root or to the host's user, and not
//! everybody may write to them.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Code, Refusal};

const WORLD_WRITABLE: u32 = 0o002;

/// Judges the plugin directory; what is wrong with it concerns every file in it.
pub fn check_directory(directory: &Path, metadata: &Metadata) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if metadata.mode() & WORLD_WRITABLE != 0 {
        refusals.push(Refusal::new(
            Code::DirectoryMode,
            "directory mode",
            "not writable by everybody",
            mode(metadata),
            format!("chmod o-w {}", quoted(directory)),
        ));
    }
    if let Some((expected, found)) = wrong_owner(metadata) {
        refusals.push(Refusal::new(
            Code::DirectoryMode,
            "directory owner",
            expected,
            found,
            format!("chown {} {}", own_uid(), quoted(directory)),
        ));
    }
    refusals
}

/// Judges a plugin's file.
pub fn check_file(file: &Path, metadata: &Metadata) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if let Some((expected, found)) = wrong_owner(metadata) {
        refusals.push(Refusal::new(
            Code::FileOwner,
            "file owner",
            expected,
            found,
            format!("chown {} {}", own_uid(), quoted(file)),
        ));
    }
    if metadata.mode() & WORLD_WRITABLE != 0 {
        refusals.push(Refusal::new(
            Code::FileMode,
            "file mode",
            "not writable by everybody",
            mode(metadata),
            format!("chmod o-w {}", quoted(file)),
        ));
    }
    refusals
}

/// A path as it can be pasted into a shell.
pub fn quoted(path: impl AsRef<Path>) -> String {
    plugin_record::quoted(&path.as_ref().display().to_string())
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn wrong_owner(metadata: &Metadata) -> Option<(String, String)> {
    let own = own_uid();
    let found = metadata.uid();
    if found == 0 || found == own {
        return None;
    }
    let expected = if own == 0 {
        "user 0".to_owned()
    } else {
        format!("user 0 or {own}")
    };
    Some((expected, format!("user {found}")))
}

fn mode(metadata: &Metadata) -> String {
    format!("{:04o}", metadata.mode() & 0o7777)
}
