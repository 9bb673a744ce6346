//! Decides which owners and modes are safe for what the host runs: a plugin's file and its directory belong to root or to the
//! host's user, and not every user may write to them. Never reads a file's content.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use plugin_record::{Code, Refusal};

use crate::config::Source;
use crate::shell::quoted;

const WORLD_WRITABLE: u32 = 0o002;

/// Judges the plugin directory; what is wrong with it concerns every file in it. `configuration` is what cures name.
pub fn check_directory(directory: &Path, metadata: &Metadata, configuration: &Source) -> Vec<Refusal> {
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
    if let Some(wrong) = wrong_owner(directory, metadata, configuration) {
        refusals.push(wrong.refusal(Code::DirectoryMode, "directory owner"));
    }
    refusals
}

/// Judges a plugin's file; likewise.
pub fn check_file(file: &Path, metadata: &Metadata, configuration: &Source) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if let Some(wrong) = wrong_owner(file, metadata, configuration) {
        refusals.push(wrong.refusal(Code::FileOwner, "file owner"));
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

/// The user that judges.
pub(crate) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// An owner that a file or directory must not have.
struct WrongOwner {
    expected: String,
    found: u32,
    cure: String,
}

impl WrongOwner {
    fn refusal(self, code: Code, field: &str) -> Refusal {
        Refusal::new(code, field, self.expected, format!("user {}", self.found), self.cure)
    }
}

/// Who judges and who will run the host need not be the same user: a plugin directory of a service's user is often looked at
/// by root. To give it to root then would keep it from the service.
fn wrong_owner(path: &Path, metadata: &Metadata, configuration: &Source) -> Option<WrongOwner> {
    let (own, found) = (own_uid(), metadata.uid());
    if found == 0 || found == own {
        return None;
    }
    let path = quoted(path);
    let as_owner = format!("sudo -u '#{found}' host check --plugins {}", configuration.quoted());
    let (expected, cure) = match own {
        0 => (
            "root, for whom this was judged".to_owned(),
            format!("{as_owner} # if the host runs as that user; if it is to run as root: chown 0 {path}"),
        ),
        _ => (
            format!("root or user {own}, for whom this was judged"),
            format!(
                "{as_owner} # if the host runs as that user; if it is to run as user {own}: sudo chown {own} {path}"
            ),
        ),
    };
    Some(WrongOwner { expected, found, cure })
}

fn mode(metadata: &Metadata) -> String {
    format!("{:04o}", metadata.mode() & 0o7777)
}
