//! `host install` of versions of the scene's plugin, beside a host that runs.

use std::fs;
use std::path::PathBuf;

use crate::host::{Host, Site};
use crate::scene::{NAME, SONAME, made};

/// A site where 1.0.0 serves, with this configuration of the plugin.
pub fn with_first(configuration: &str) -> (Site, Host) {
    let site = Site::new(configuration);
    let host = site.start();
    let said = install(&site, "1.0.0", &[], 0);
    expect(&said, &["libhot_probe.so.1.0.0 serves"]);
    assert_eq!(linked(&site), "1.0.0");
    (site, host)
}

/// The plugin in this version, as cargo would have named it.
pub fn offered(site: &Site, version: &str) -> PathBuf {
    let folder = site.path().join(format!("offered-{version}"));
    let file = folder.join("libhot_probe.so");
    if !file.exists() {
        fs::create_dir_all(&folder).unwrap();
        fs::rename(made(site, NAME, version, 0x10), &file).unwrap();
    }
    file
}

/// `host install` of this version, which must exit so; gives all that it says.
#[track_caller]
pub fn install(site: &Site, version: &str, arguments: &[&str], exit: i32) -> String {
    let file = offered(site, version);
    let arguments = [&["install", file.to_str().unwrap()], arguments].concat();
    let (code, stdout, stderr) = site.with_configuration(&arguments);
    assert_eq!(code, exit, "{stdout}{stderr}");
    stdout + &stderr
}

/// Each of these must be said.
#[track_caller]
pub fn expect(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}

/// The version that the soname's link leads to; empty if there is none.
pub fn linked(site: &Site) -> String {
    let to = site.link(SONAME).unwrap_or_default();
    to.trim_start_matches("libhot_probe.so.").to_owned()
}

/// The version that serves, as the host's status has it.
#[track_caller]
pub fn serving(site: &Site) -> String {
    let said = install(site, &linked(site), &[], 0);
    said.split_once(" serves (process ID")
        .expect(&said)
        .0
        .rsplit(".so.")
        .next()
        .unwrap()
        .to_owned()
}
