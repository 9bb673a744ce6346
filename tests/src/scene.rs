//! A plugin directory with versions of one plugin, which keeps a journal: they come by a rename, as finished files do, and
//! links are pointed as careful people do it.

use std::fs;
use std::path::PathBuf;

use crate::crates::{journal, life};
use crate::files::{with_identity, with_record};
use crate::host::Site;
use crate::swaps;

/// The plugin's name as it is built. Other names must be as long.
pub const NAME: &str = "hot-probe";
/// Its soname's link, and that of a package that differs in a dash.
pub const SONAME: &str = "libhot_probe.so.1";

/// Writes it as another package, version and command, beside the plugin directory: on the same file system, to be moved.
pub fn made(site: &Site, name: &str, version: &str, command: u8) -> PathBuf {
    let (original, made) = (site.path().join("original"), site.path().join("made"));
    with_record(&journal(NAME).library(), &original, |record| {
        record.commands = vec![command]
    });
    with_identity(&original, &made, name, version);
    made
}

/// Brings that package and version into the plugin directory, on this command.
pub fn bring_on(site: &Site, name: &str, version: &str, command: u8) -> PathBuf {
    let file = site.plugins().join(swaps::real_name(name, version));
    fs::rename(made(site, name, version, command), &file).unwrap();
    file
}

/// Brings that package and version into the plugin directory, on command 0x10.
pub fn bring(site: &Site, name: &str, version: &str) -> PathBuf {
    bring_on(site, name, version, 0x10)
}

/// Points the plugin's link to a version.
pub fn point(site: &Site, version: &str) {
    swaps::point(&site.plugins(), NAME, version);
}

/// What the plugin has lived through.
pub fn lived(site: &Site) -> Vec<String> {
    life(&site.plugins(), NAME)
}
