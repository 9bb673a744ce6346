//! Opens the file that a copy is made of. Decides what it may be: a regular file of bounded size, with a safe owner and mode.
//! Never waits for a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use plugin_record::{Code, Refusal};

use crate::admission::permissions;
use crate::config::Source;
use crate::shell::quoted;
use crate::unavailable::Unavailable;

/// No plugin's file is larger.
pub const MAX_FILE: u64 = 256 << 20;

/// Why there is no private copy of a file.
#[derive(Debug)]
pub enum NotCopied {
    /// The file's own fault.
    Refused(Vec<Refusal>),
    /// The machine's.
    Unavailable(Unavailable),
}

impl From<Unavailable> for NotCopied {
    fn from(unavailable: Unavailable) -> NotCopied {
        NotCopied::Unavailable(unavailable)
    }
}

/// Reads a file from anywhere, for inspection alone: nothing read so can be loaded.
///
/// # Errors
/// When it is no regular file, can't be read or is larger than [`MAX_FILE`].
pub fn read(file: &Path) -> Result<Vec<u8>, Refusal> {
    let (source, _) = open_regular(file, None).map_err(|error| match error {
        NotCopied::Refused(mut refusals) => refusals.remove(0),
        NotCopied::Unavailable(unavailable) => unreadable(file, &unavailable.found),
    })?;
    let mut bytes = Vec::new();
    match source.take(MAX_FILE + 1).read_to_end(&mut bytes) {
        Ok(length) if length as u64 > MAX_FILE => Err(too_large(format!("more than {MAX_FILE} bytes"))),
        Ok(_) => Ok(bytes),
        Err(error) => Err(unreadable(file, &error.to_string())),
    }
}

/// Opens a regular file and nothing else: not through a last link, and without waiting for a pipe's other end.
pub(super) fn open_regular(file: &Path, of: Option<&Source>) -> Result<(File, Vec<Refusal>), NotCopied> {
    let failed = |error: io::Error| match Unavailable::of("file", &error) {
        Some(unavailable) => NotCopied::Unavailable(unavailable),
        None => NotCopied::Refused(vec![unreadable(file, &error.to_string())]),
    };
    let mut flags = rustix::fs::OFlags::NONBLOCK;
    flags.set(rustix::fs::OFlags::NOFOLLOW, of.is_some());
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(file);
    let opened = opened.map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    if !metadata.is_file() {
        let found = if metadata.is_dir() {
            "a directory"
        } else {
            "a special file"
        };
        // No `rm`: cures are pasted, and this may be anything.
        let cure = match of {
            None => "# name a library's file".to_owned(),
            Some(_) => format!("mv -n {0} {0}.old # then put the library there", quoted(file)),
        };
        let refusal = Refusal::new(Code::FileKind, "file", "a regular file", found, cure);
        return Err(NotCopied::Refused(vec![refusal]));
    }
    let check = |of| permissions::check_file(file, &metadata, of);
    let mut refusals = of.map(check).unwrap_or_default();
    if metadata.len() > MAX_FILE {
        refusals.push(too_large(format!("{} bytes", metadata.len())));
        return Err(NotCopied::Refused(refusals));
    }
    Ok((opened, refusals))
}

fn unreadable(file: &Path, found: &str) -> Refusal {
    let cure = format!("ls -l {} # shows who may read it", quoted(file));
    Refusal::new(Code::FileUnreadable, "file", "a readable file", found, cure)
}

pub(super) fn too_large(found: String) -> Refusal {
    let host = format!("at most {MAX_FILE} bytes");
    let cure = "# strip it: `strip = true` in the plugin's release profile";
    Refusal::new(Code::FileSize, "file size", host, found, cure)
}
