//! What happens to a file that serves is damage, and no decision: what serves goes on, and other content under its name is logged
//! and taken over only where that is allowed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tests::client::Client;
use tests::follow::quiet;
use tests::host::{Site, show};
use tests::scene::{NAME, bring, lived};
use tests::swaps::{real_name, start};

fn file(site: &Site, version: &str) -> PathBuf {
    site.plugins().join(real_name(NAME, version))
}

fn answers(client: &mut Client) -> bool {
    client.submit(0x10, b"").result == 0
}

#[test]
fn damage_changes_nothing() {
    let site = Site::new("plugins.poll = \"200ms\"\n");
    bring(&site, NAME, "1.0.0");
    let host = start(&site);
    let mut client = host.connect();
    let file = file(&site, "1.0.0");
    let good = fs::read(&file).unwrap();
    type Step = (&'static str, fn(&Path));
    let steps: &[Step] = &[
        ("cut off", |file| {
            File::options().write(true).open(file).unwrap().set_len(1000).unwrap()
        }),
        ("emptied", |file| fs::write(file, b"").unwrap()),
        ("overwritten", |file| fs::write(file, b"nonsense").unwrap()),
        ("deleted", |file| fs::remove_file(file).unwrap()),
    ];
    for (what, spoil) in steps {
        spoil(&file);
        quiet(&host, 0);
        assert!(answers(&mut client), "{what}");
        fs::write(&file, &good).unwrap();
    }
    quiet(&host, 0);
    assert!(answers(&mut client));
    assert_eq!(lived(&site), ["init"]);
    for kind in ["removed", "upgraded", "added", "replaced"] {
        assert!(host.changes(kind).is_empty(), "{kind}:\n{}", show(&host.log()));
    }
    host.stop();
}

#[test]
fn other_content_under_a_name_that_serves_is_told_and_taken_over_only_where_that_is_allowed() {
    let site = Site::new("");
    bring(&site, NAME, "1.0.0");
    let host = start(&site);
    let mut client = host.connect();
    // What serves under a shorter name as well, so that its content stays in the directory.
    fs::copy(file(&site, "1.0.0"), site.plugins().join("libhot_probe.so.1.0")).unwrap();
    quiet(&host, 0);
    let mut other = fs::read(file(&site, "1.0.0")).unwrap();
    other.extend(b"more");
    fs::write(file(&site, "1.0.0"), &other).unwrap();
    let told = host.wait_for_change("other-content");
    assert_ne!(told["running"], told["found"], "{told:#}");
    let (code, report) = site.check(&[]);
    let refusal = &report["plugins"][0]["refusal"];
    assert_eq!((code, &refusal["code"]), (1, &"other-content".into()), "{report:#}");
    for (key, digest) in [("host", &told["running"]), ("plugin", &told["found"])] {
        let text = refusal[key].as_str().unwrap();
        assert!(text.ends_with(digest.as_str().unwrap()), "{refusal:#}");
    }
    quiet(&host, 0);
    assert_eq!(host.changes("other-content").len(), 1);
    assert!(host.changes("replaced").is_empty());
    assert_eq!(lived(&site), ["init"]);

    // Nor where the file was away for a while.
    fs::remove_file(site.plugins().join("libhot_probe.so.1.0")).unwrap();
    quiet(&host, 0);
    fs::remove_file(file(&site, "1.0.0")).unwrap();
    quiet(&host, 0);
    fs::write(file(&site, "1.0.0"), &other).unwrap();
    quiet(&host, 0);
    assert!(host.changes("replaced").is_empty(), "{}", show(&host.log()));

    site.configure("plugins.replace = \"allow\"\n");
    let replaced = host.wait_for_change_where("replaced", "version", "1.0.0");
    assert_eq!(
        (&replaced["from_digest"], &replaced["digest"]),
        (&told["running"], &told["found"])
    );
    assert!(answers(&mut client));
    host.stop();
}
