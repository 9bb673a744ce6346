//! What the README and the pages print is what there is: listings are the files, links lead somewhere, tests that are named
//! exist, and the README's tables and its configuration are the host's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use host::config::Config;
use tempfile::TempDir;
use tests::cargo::root;

#[test]
fn the_plugin_that_is_printed_whole_is_the_sample() {
    let sample = fs::read_to_string(root().join("plugins/submit-echo/src/lib.rs")).unwrap();
    let readme = readme();
    let printed = after(&readme, "`plugins/submit-echo/src/lib.rs`, whole:\n\n```rust\n");
    assert_eq!(printed.split_once("```\n").unwrap().0, sample);
}

#[test]
fn every_link_leads_somewhere() {
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let links = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        for link in links.filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            assert!(target.exists(), "{}: {link}", page.display());
            if !anchor.is_empty() {
                let known = anchors(&fs::read_to_string(&target).unwrap());
                assert!(
                    known.contains(anchor),
                    "{}: {link}; known there: {known:?}",
                    page.display()
                );
            }
            count += 1;
        }
    }
    assert!(count > 40, "{count} links: how are they written?");
}

/// As `cargo test -p tests --test it MODULE::`, further ones of the same sentence as `MODULE::` alone.
#[test]
fn every_test_that_is_named_exists() {
    let modules = fs::read_to_string(root().join("tests/it/main.rs")).unwrap();
    let modules: BTreeSet<&str> = modules
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for quoted in text.split('`').skip(1).step_by(2) {
            let word = quoted.rsplit(' ').next().unwrap();
            let Some((module, test)) = word.split_once("::") else {
                continue;
            };
            let is_of_tests = quoted.contains("--test it ") || test.is_empty();
            if !is_of_tests {
                continue;
            }
            assert!(modules.contains(module), "{}: no tests {quoted}", page.display());
            let source = fs::read_to_string(root().join(format!("tests/it/{module}.rs"))).unwrap();
            assert!(
                source.contains(&format!("fn {test}")),
                "{}: no test {quoted}",
                page.display()
            );
            count += 1;
        }
    }
    assert!(count > 20, "{count} tests: how are they named?");
}

#[test]
fn the_readme_lists_the_result_codes() {
    let rows: Vec<(u8, String)> = after(&readme(), "| result | meaning |\n")
        .lines()
        .skip(1)
        .map_while(|line| line.strip_prefix("| 0x")?.split_once(" | "))
        .filter(|(code, _)| !code.contains(" to ")) // the handlers' own
        .map(|(code, meaning)| {
            let meaning = meaning.trim_end_matches(" |").split(':').next().unwrap();
            (u8::from_str_radix(code, 16).unwrap(), meaning.to_owned())
        })
        .collect();
    let table: Vec<(u8, String)> = wire::result::TABLE.map(|(code, name)| (code, name.to_owned())).into();
    assert_eq!(rows, table, "left: the README, right: the source");
}

/// The block can be taken as it stands, and says what holds without it; keys without a default are in comments.
#[test]
fn the_readmes_configuration_is_the_default() {
    let readme = readme();
    let block = after(after(&readme, "\n## Configuration\n"), "```toml\n")
        .split("```")
        .next()
        .unwrap();
    let folder = TempDir::new().unwrap();
    let read = |text: &str| {
        let file = folder.path().join("plugins.toml");
        fs::write(&file, text).unwrap();
        Config::read(&file).unwrap_or_else(|error| panic!("{error}\n{text}"))
    };
    let shown = read(block);
    let default = read("");
    assert_eq!((&shown.server, &shown.protocol), (&default.server, &default.protocol));
    assert_eq!(format!("{:?}", shown.plugins), format!("{:?}", default.plugins));
    assert_eq!(format!("{:?}", shown.policy), format!("{:?}", default.policy));
    // What stands in comments can be taken as well.
    let all: String = block.lines().map(|line| format!("{}\n", uncommented(line))).collect();
    read(&all.replace("\"...\"", "\"somewhere\""));
    assert_ne!(all, block);
}

/// `# key = value` as `key = value`; other lines as they are.
fn uncommented(line: &str) -> &str {
    let key = line.strip_prefix("# ");
    key.filter(|key| key.contains(" = ")).unwrap_or(line)
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

#[track_caller]
fn after<'a>(text: &'a str, mark: &str) -> &'a str {
    text.split_once(mark).unwrap_or_else(|| panic!("no {mark:?}")).1
}

/// The texts at the root, and all of host/docs.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in ["", "host/docs", "host/docs/performance"] {
        let entries = fs::read_dir(root().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        pages.extend(entries.filter(|path| path.extension().is_some_and(|ending| ending == "md")));
    }
    pages.sort();
    let named = |name: &str| pages.iter().any(|page| page.ends_with(Path::new(name)));
    assert!(
        named("CONTRIBUTING.md") && named("SECURITY.md") && named("host/docs/logs.md"),
        "{pages:?}"
    );
    pages
}

/// What headings are called in links: lower case, without punctuation, dashes for spaces.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}
