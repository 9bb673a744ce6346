//! Who serves what is settled while the host runs as it is at a start: whatever the order of arrival, a fresh host on the
//! same directory and configuration serves the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;
use tests::crates::{journal, life};
use tests::files::with_record;
use tests::follow::quiet;
use tests::host::{Host, Site};
use tests::scene::{bring, bring_on};
use tests::swaps;

/// Which plugin and version serves, as the status tells it.
fn serving(host: &Host) -> BTreeMap<String, String> {
    let status = host.status();
    let instances = status["instances"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    instances
        .filter(|instance| instance["state"] == "serving")
        .map(|instance| (text(&instance["plugin"]), text(&instance["version"])))
        .collect()
}

/// What a host serves that is started now, on a copy of the directory.
fn fresh(site: &Site, configuration: &str) -> BTreeMap<String, String> {
    let copy = Site::new(configuration);
    for entry in fs::read_dir(site.plugins()).unwrap().map(|entry| entry.unwrap().path()) {
        let target = copy.plugins().join(entry.file_name().unwrap());
        match fs::read_link(&entry) {
            Ok(link) => std::os::unix::fs::symlink(link, target).unwrap(),
            Err(_) if Path::new(&entry).is_file() => drop(fs::copy(&entry, target).unwrap()),
            Err(_) => {}
        }
    }
    let host = copy.start();
    let serving = serving(&host);
    host.stop();
    serving
}

#[track_caller]
fn assert_as_fresh(site: &Site, host: &Host, configuration: &str, expected: &[(&str, &str)]) {
    quiet(host, 0);
    let now = serving(host);
    let expected: BTreeMap<String, String> = expected
        .iter()
        .map(|(plugin, version)| ((*plugin).to_owned(), (*version).to_owned()))
        .collect();
    assert_eq!(now, expected);
    assert_eq!(fresh(site, configuration), expected, "a fresh start");
}

#[test]
fn claims_are_settled_as_at_a_start_whatever_the_order_of_arrival() {
    let site = Site::default();
    let host = site.start();
    bring(&site, "hot-probx", "1.0.0");
    assert_as_fresh(&site, &host, "", &[("hot-probx", "1.0.0")]);
    // One that comes later and has the lower name: the first one has its link already, and keeps the command.
    bring(&site, "hot-proba", "1.0.0");
    assert_as_fresh(&site, &host, "", &[("hot-probx", "1.0.0")]);
    assert!(
        host.changes("refused")
            .iter()
            .any(|event| event["refusal"]["code"] == "command-taken")
    );
    assert!(
        !site.plugins().join("libhot_proba.so.1").exists(),
        "who does not serve gets no link"
    );
    // Another line of the first is another soname, and loses for the same reason.
    bring(&site, "hot-probx", "2.0.0");
    assert_as_fresh(&site, &host, "", &[("hot-probx", "1.0.0")]);

    // A table goes before a link.
    let table = "[plugin.hot-proba]\n";
    site.configure(table);
    assert_as_fresh(&site, &host, table, &[("hot-proba", "1.0.0")]);
    let both = "[plugin.hot-proba]\ncommands = [0x11]\n";
    site.configure(both);
    assert_as_fresh(&site, &host, both, &[("hot-proba", "1.0.0"), ("hot-probx", "1.0.0")]);
    // A table may ask for the other line.
    let line = "[plugin.hot-proba]\ncommands = [0x11]\n[plugin.hot-probx]\nversion = \"2\"\ncommands = [0x10]\n";
    site.configure(line);
    quiet(&host, 0);
    assert_eq!(host.connect().submit(0x10, b"").result, 0);
    assert!(host.changes("added").iter().any(|line| line["version"] == "2.0.0"));
    host.stop();
}

#[test]
fn what_was_disabled_when_it_came_serves_once_it_is_enabled() {
    let disabled = "[plugin.hot-proba]\nenabled = false\n";
    let site = Site::new(disabled);
    let host = site.start();
    bring(&site, "hot-proba", "1.0.0");
    assert_as_fresh(&site, &host, disabled, &[]);
    site.configure("");
    assert_as_fresh(&site, &host, "", &[("hot-proba", "1.0.0")]);

    let undiscovered = "plugins.discover = false\n";
    site.configure(undiscovered);
    assert_as_fresh(&site, &host, undiscovered, &[]);
    bring(&site, "hot-proba", "1.1.0");
    quiet(&host, 0);
    site.configure("");
    // The link says what runs: it stood at 1.0.0 when the new version came and nobody wanted it.
    assert_as_fresh(&site, &host, "", &[("hot-proba", "1.0.0")]);
    host.stop();
}

#[test]
fn a_directory_that_is_removed_and_made_anew_is_followed() {
    let site = Site::new("plugins.poll = \"100ms\"\n");
    let host = site.start();
    bring(&site, "hot-proba", "1.0.0");
    quiet(&host, 0);
    let mut client = host.connect();
    assert_eq!(client.submit(0x10, b"").result, 0);
    fs::rename(site.plugins(), site.path().join("away")).unwrap();
    host.wait_for_change("directory-unreadable");
    assert_eq!(client.submit(0x10, b"").result, 0);
    fs::rename(site.path().join("away"), site.plugins()).unwrap();
    bring(&site, "hot-proba", "1.1.0");
    host.wait_for_change("upgraded");
    assert_eq!(client.submit(0x10, b"").result, 0);
    host.stop();
}

#[test]
fn a_policy_takes_effect_on_what_was_refused() {
    let site = Site::default();
    let host = site.start();
    let library = journal("hot-probe").library();
    let new = site.path().join("new");
    with_record(&library, &new, |record| {
        record.compiler.commit = Some("another".to_owned())
    });
    let file = site.plugins().join("libhot_probe.so.1.0.0");
    fs::rename(new, file).unwrap();
    let refused = host.wait_for_change("refused");
    assert_eq!(refused["code"], "compiler");
    assert!(
        refused["digest"].is_string() && refused["version"] == "1.0.0",
        "{refused:#}"
    );
    assert_eq!(host.connect().submit(0x10, b"").result, 0xF0);

    site.configure("policy.compiler = \"any\"\n");
    host.wait_for_change("added");
    assert_eq!(host.connect().submit(0x10, b"").result, 0);
    host.wait_for_change("difference");
    // Stricter again: what serves goes on, and the log says what a start would say.
    site.configure("");
    host.wait_until("refused again", |log| {
        (log.iter().filter(|line| line["code"] == "compiler").count() > 1).then_some(())
    });
    assert_eq!(host.connect().submit(0x10, b"").result, 0);
    host.stop();
}

#[test]
fn where_the_directory_cannot_be_written_a_newcomer_waits_for_its_link() {
    for configuration in ["", "plugins.standby = \"shutdown\"\n"] {
        newcomer_waits_for_its_link(configuration);
    }
}

fn newcomer_waits_for_its_link(configuration: &str) {
    let site = Site::new(configuration);
    bring(&site, "hot-proba", "1.0.0");
    let link = site.plugins().join("libhot_proba.so.1");
    std::os::unix::fs::symlink("libhot_proba.so.1.0.0", &link).unwrap();
    // Read-only for the host alone; data/ stays writable for what the plugin writes there.
    let (plugins, data) = (site.plugins(), site.path().join("data"));
    fs::create_dir(&data).unwrap();
    let mounts = format!(
        "mount --bind {0} {0} && mount --bind {1} {1} && mount -o remount,ro,bind {0}",
        plugins.display(),
        data.display()
    );
    let Some(host) = site.spawn_with_mounts(&mounts) else {
        return;
    };
    host.wait_for("listening");
    bring(&site, "hot-proba", "1.1.0");
    let event = host.wait_for_change("unavailable");
    assert_eq!(event["code"], "link");
    assert_eq!(
        event["cure"],
        format!("ln -sfn libhot_proba.so.1.1.0 {}", link.display())
    );
    quiet(&host, 0);
    assert_eq!(serving(&host)["hot-proba"], "1.0.0");
    // The first version of a plugin waits as well, and each is made once, however often it is looked.
    bring_on(&site, "hot-probz", "1.0.0", 0x11);
    host.wait_for_change_where("unavailable", "plugin", "hot-probz");
    (0..3).for_each(|_| quiet(&host, 0));
    assert_eq!(life(&site.plugins(), "hot-probz"), ["init"]);
    assert_eq!(life(&site.plugins(), "hot-proba"), ["init", "init"]);

    // What serves is brought again without its link, which can't be made anew: it goes on. Both at once, to the host.
    host.signal(Signal::STOP);
    fs::remove_file(&link).unwrap();
    bring(&site, "hot-proba", "1.0.0");
    host.signal(Signal::CONT);
    host.wait_until("its link", |log| {
        let is_it =
            |line: &&Value| line["code"] == "link" && line["plugin"] == "hot-proba" && line["version"] == "1.0.0";
        log.iter().find(is_it).cloned()
    });
    quiet(&host, 0);
    assert_eq!(serving(&host)["hot-proba"], "1.0.0");

    // The cure cures, and nobody is initialised a second time.
    swaps::point(&site.plugins(), "hot-proba", "1.1.0");
    host.wait_for_change("upgraded");
    assert_eq!(life(&site.plugins(), "hot-proba")[..2], ["init", "init"]);
    host.stop();
}
