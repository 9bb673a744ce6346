//! Quotes words and writes commands for a shell, so that a cure can be pasted. Runs nothing.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path as it can be pasted into a shell.
pub fn quoted(path: impl AsRef<Path>) -> String {
    plugin_record::quoted_bytes(path.as_ref().as_os_str().as_bytes())
}

/// The command that gives a file another name in its folder.
pub fn rename(file: &Path, name: &str) -> String {
    format!("mv -n {} {}", quoted(file), quoted(file.with_file_name(name)))
}
