//! Words for a shell: what cures name, so that it can be pasted.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path as it can be pasted into a shell.
pub fn quoted(path: impl AsRef<Path>) -> String {
    plugin_record::quoted_bytes(path.as_ref().as_os_str().as_bytes())
}
