//! What is said against files: in the report of `check --json`, and in a host's log.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::cargo::succeed;
use crate::host::{Host, show};

#[track_caller]
pub fn named<'a>(report: &'a Value, path: &Path) -> &'a Value {
    let mut files = report["files"].as_array().unwrap().iter();
    files
        .find(|file| file["file"] == path.to_str().unwrap())
        .unwrap_or_else(|| panic!("no {}: {report:#}", path.display()))
}

/// The codes of a file in a report, sorted.
pub fn codes(file: &Value) -> Vec<&str> {
    let refusals = file["refusals"].as_array().unwrap();
    let mut codes: Vec<&str> = refusals
        .iter()
        .map(|refusal| refusal["code"].as_str().unwrap())
        .collect();
    codes.sort_unstable();
    codes
}

/// All that a report says against files: file, code, field, host's value, plugin's value, cure. Each is there, and the two
/// values differ.
#[track_caller]
pub fn shown(report: &Value) -> BTreeSet<[String; 6]> {
    let files = report["files"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let refusals = files.flat_map(|file| {
        file["refusals"]
            .as_array()
            .unwrap()
            .iter()
            .map(move |refusal| (file, refusal))
    });
    let shown = refusals.map(|(file, refusal)| {
        let [code, field, host, plugin, cure] =
            ["code", "field", "host", "plugin", "cure"].map(|key| text(&refusal[key]));
        let complete = [&code, &field, &host, &plugin, &cure]
            .iter()
            .all(|text| !text.is_empty());
        assert!(complete && host != plugin, "{file:#}");
        [text(&file["file"]), code, field, host, plugin, cure]
    });
    shown.collect()
}

/// A cure names the files and packages that are known, in place of words that its reader would have to fill in; is one line that
/// a shell takes; and adds no package of a registry, for none there is ours.
#[track_caller]
pub fn assert_names_what_is_known(cure: &str) {
    let is_word = |word: &&str| ["FILE", "NAME", "VERSION", "TRIPLE", "PATH", "LINK", "DIR"].contains(word);
    let mut words = cure.split(|c: char| !c.is_ascii_alphanumeric());
    assert_eq!(words.find(is_word), None, "{cure}");
    assert!(!cure.contains("...") && !cure.contains('\n'), "{cure}");
    assert!(!cure.contains("cargo add") && !cure.contains("cargo install"), "{cure}");
    succeed(Command::new("sh").args(["-n", "-c", cure]));
}

/// The same as [`shown`], as the host's log says it.
#[track_caller]
pub fn refused(host: &Host) -> BTreeSet<[String; 6]> {
    let events = host.events("refused");
    let refusals = events.iter().map(|event| {
        ["file", "code", "field", "host", "found", "cure"].map(|key| {
            event[key]
                .as_str()
                .unwrap_or_else(|| panic!("{}", show(&events)))
                .to_owned()
        })
    });
    refusals.collect()
}
