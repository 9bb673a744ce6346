//! Nothing is lost and nothing happens twice, however often plugins are exchanged under load: each Submit is acked once and
//! in order, by somebody in force between its sending and its ack, and each version lives one life.
//!
//! 50 changes by links and 20 by new files; `SWAPS=full cargo test --release -p tests --test it swaps::` does 1,000 and
//! 200.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tests::client::Client;
use tests::follow::{Follower, quiet};
use tests::host::{Host, Site, show};
use tests::swaps::{NAME, Probe, body, constructed, lives, point, real_name, start};
use tests::traffic::{Report, Traffic};

const CONNECTIONS: usize = 8;
const WINDOW: usize = 64;
const COMMAND: u8 = 0x10;

/// How many changes by links, and how many by new files.
fn sizes() -> (usize, usize) {
    match std::env::var("SWAPS").as_deref() {
        Ok("full") => (1000, 200),
        Ok(other) => panic!("SWAPS={other}: only \"full\" means something"),
        Err(_) => (50, 20),
    }
}

#[test]
fn nothing_is_lost_when_links_are_moved_under_load() {
    let site = Site::default();
    let probe = Probe::new();
    for version in ["1.0.0", "1.1.0"] {
        probe.write(&site.plugins().join(real_name(NAME, version)), version);
    }
    let host = start(&site);
    let mut changes = Changes::start(&host, "1.1.0");
    let swaps = sizes().0;
    for swap in 0..swaps {
        let (kind, version) = match swap % 2 {
            0 => ("rolled-back", "1.0.0"),
            _ => ("upgraded", "1.1.0"),
        };
        changes.make(kind, version, || point(&site.plugins(), NAME, version));
    }
    changes.finish(swaps + 1);
    let log = host.stop();

    let swapped = |message| log.iter().filter(|line| line["message"] == message).count();
    assert_eq!(swapped("rolled back") + swapped("upgraded"), swaps, "{}", show(&log));
    each_lived_once(&site, &["1.0.0", "1.1.0"]);
}

#[test]
fn nothing_is_lost_when_new_versions_are_dropped_in_under_load() {
    let site = Site::default();
    let probe = Probe::new();
    probe.write(&site.plugins().join(real_name(NAME, "1.0.0")), "1.0.0");
    let mut versions = vec!["1.0.0".to_owned()];
    versions.extend((1..=sizes().1).map(|minor| format!("1.{minor}.0")));
    // Aside, on the same file system: what is measured is how they come, not how they are made.
    let aside = site.path().join("aside");
    fs::create_dir(&aside).unwrap();
    for version in &versions[1..] {
        probe.write(&aside.join(version), version);
    }
    let host = start(&site);
    let mut changes = Changes::start(&host, "1.0.0");
    for version in &versions[1..] {
        let file = site.plugins().join(real_name(NAME, version));
        changes.make("upgraded", version, || fs::rename(aside.join(version), &file).unwrap());
    }
    // Those whose files go end while the load goes on, and the others with the host.
    let mut events = Follower::new(&host);
    for version in &versions[..versions.len() / 2] {
        fs::remove_file(site.plugins().join(real_name(NAME, version))).unwrap();
        events.next("retired", version);
    }
    changes.finish(versions.len());
    host.stop();
    each_lived_once(&site, &versions);
}

#[test]
fn nothing_is_lost_when_the_file_that_serves_is_damaged_under_load() {
    let site = Site::default();
    let file = site.plugins().join(real_name(NAME, "1.0.0"));
    Probe::new().write(&file, "1.0.0");
    let good = fs::read(&file).unwrap();
    let host = start(&site);
    let changes = Changes::start(&host, "1.0.0");
    let damages: [&dyn Fn(); 4] = [
        &|| fs::write(&file, vec![0xA5; good.len()]).unwrap(),
        &|| File::options().write(true).open(&file).unwrap().set_len(1000).unwrap(),
        &|| fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap(),
        &|| fs::remove_file(&file).unwrap(),
    ];
    for damage in damages {
        damage();
        quiet(&host, 0);
        changes.traffic.flow();
        fs::write(&file, &good).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        quiet(&host, 0);
        changes.traffic.flow();
    }
    changes.finish(1);
    host.stop();
    each_lived_once(&site, &["1.0.0"]);
}

/// Changes under load, one after another.
struct Changes<'a> {
    traffic: Traffic,
    events: Follower<'a>,
    probe: Client,
}

impl<'a> Changes<'a> {
    fn start(host: &'a Host, version: &str) -> Changes<'a> {
        let traffic = Traffic::start(host, CONNECTIONS, WINDOW, COMMAND, &body(version));
        traffic.flow();
        Changes {
            traffic,
            events: Follower::new(host),
            probe: host.connect(),
        }
    }

    #[track_caller]
    fn make(&mut self, kind: &str, version: &str, change: impl FnOnce()) {
        let body = body(version);
        self.traffic.may_answer(&body);
        change();
        self.events.next(kind, version);
        self.traffic.must_answer();
        let ack = self.probe.submit(COMMAND, b"");
        assert_eq!((ack.result, ack.body), (0, body.into_bytes()));
        self.traffic.flow();
    }

    /// Each of those who were in force, one after another, has answered part of the load.
    #[track_caller]
    fn finish(self, in_force: usize) {
        let Report { answered, .. } = self.traffic.finish();
        assert_eq!(answered.len(), in_force);
        assert!(answered.iter().all(|count| *count > 0), "{answered:?}");
    }
}

/// Each version, and no other, was loaded once, and had one init and one shutdown.
#[track_caller]
fn each_lived_once(site: &Site, versions: &[impl AsRef<str>]) {
    let lives = lives(site, NAME);
    for version in versions {
        let life = &lives[&body(version.as_ref())];
        assert_eq!(*life, ["init", "shutdown", "drop"], "{}", version.as_ref());
    }
    assert_eq!(lives.len(), versions.len(), "{:?}", lives.keys());
    let mut loaded = constructed(site);
    assert_eq!(loaded.len(), versions.len(), "{loaded:?}");
    loaded.sort_unstable();
    loaded.dedup();
    assert_eq!(loaded.len(), versions.len(), "{loaded:?}");
    assert!(!Path::new(&loaded[0]).has_root(), "{loaded:?}"); // file names, each with a digest
}
