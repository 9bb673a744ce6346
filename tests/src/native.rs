//! Libraries of C, and plugins that are linked with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::succeed;
use crate::crates::{PluginCrate, source};

/// Compiles this code as a library.
#[track_caller]
pub fn c_library(library: &Path, code: &str, arguments: &[&str]) {
    let source = library.with_extension("c");
    fs::write(&source, code).unwrap();
    // Anew, for somebody may have the old one open.
    let _ = fs::remove_file(library);
    succeed(
        Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(library)
            .arg(&source)
            .args(arguments),
    );
}

/// A plugin that calls what these items declare, linked with these arguments.
#[track_caller]
pub fn linked(name: &str, items: &str, call: &str, arguments: &[&str]) -> PathBuf {
    let mut plugin = PluginCrate::new(name).linked_with(arguments);
    plugin.commands = Some(format!("[{:#04x}]", 0x20 + name.len()));
    plugin.source = source(items, &format!("{call} Ack::ok()"));
    plugin.library()
}
