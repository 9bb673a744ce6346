//! What the README prints is what there is: the listings are the files, and each page that it names exists.

use std::fs;

use tests::cargo::root;

#[test]
fn the_plugin_that_is_printed_whole_is_the_sample() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let sample = fs::read_to_string(root().join("plugins/submit-echo/src/lib.rs")).unwrap();
    let (_, printed) = readme
        .split_once("`plugins/submit-echo/src/lib.rs`, whole:\n\n```rust\n")
        .unwrap();
    assert_eq!(printed.split_once("```\n").unwrap().0, sample);
}

#[test]
fn every_link_leads_to_a_file() {
    for page in [
        "README.md",
        "host/docs/refusals.md",
        "host/docs/performance.md",
        "host/docs/service.md",
    ] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        let folder = root().join(page).parent().unwrap().to_owned();
        let links = text
            .split("](")
            .skip(1)
            .map(|rest| rest.split([')', '#']).next().unwrap());
        for link in links.filter(|link| !link.is_empty() && !link.contains("://")) {
            assert!(folder.join(link).exists(), "{page}: {link}");
        }
    }
}
