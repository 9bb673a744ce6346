//! A library whose start-up code returns in the process that tries it out, and not in the host, holds the dynamic linker
//! there: a host that starts says so and ends; one that runs goes on serving, opens nothing else, and goes on as before
//! when that code comes back.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::process::Signal;
use tests::cargo::sample;
use tests::crates::{PluginCrate, source};
use tests::files::fifo;
use tests::host::{Host, Site, happened, show};

/// The second process that opens it waits until somebody writes into the pipe.
const CONSTRUCTOR: &str = r#"
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static CONSTRUCTOR: extern "C" fn() = construct;

extern "C" fn construct() {
    let (Some(first), Some(pipe)) = (std::env::var_os("STUCK_FIRST"), std::env::var_os("STUCK_PIPE")) else { return };
    if std::fs::File::create_new(first).is_err() {
        let _ = std::fs::read(pipe);
    }
}
"#;

/// The library.
pub(crate) fn library() -> PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let built = LIBRARY.get_or_init(|| {
        let mut plugin = PluginCrate::new("stuck-constructor");
        plugin.source = source(CONSTRUCTOR, "Ack::ok()");
        plugin.library()
    });
    built.clone()
}

/// Its name in a plugin directory.
pub(crate) const FILE: &str = "libstuck_constructor.so.1.0.0";

const SHORT: &str = "plugins.init_timeout = \"2s\"\nserver.drain_timeout = \"5s\"\n";

fn site() -> Site {
    Site::with(SHORT, &[&sample("submit-echo")])
}

/// A host in which the library is stuck until somebody writes into the site's pipe.
pub(crate) fn spawn(site: &Site) -> Host {
    fifo(&site.path().join("pipe"));
    let [first, pipe] = ["first", "pipe"].map(|name| site.path().join(name));
    site.spawn(&[
        ("STUCK_FIRST", first.to_str().unwrap()),
        ("STUCK_PIPE", pipe.to_str().unwrap()),
    ])
}

#[test]
fn a_host_that_starts_says_so_and_ends() {
    let site = site();
    site.copy(&library(), FILE);
    let (status, log) = spawn(&site).wait();
    let log = show(&log);
    assert_eq!(status.code(), Some(78), "{log}");
    assert!(
        log.contains("the start-up code of stuck-constructor 1.0.0 did not return"),
        "{log}"
    );
}

#[test]
fn a_host_that_runs_goes_on_serving_and_opens_others_when_it_comes_back() {
    let site = site();
    let host = spawn(&site);
    host.wait_for("listening");
    let mut client = host.connect();
    assert_eq!(client.submit(0x02, b"").result, 0);
    site.copy(&library(), FILE);
    refused(&host, "load-once");
    assert_eq!(client.submit(0x02, b"").result, 0);
    assert_eq!(host.connect().submit(0x02, b"").result, 0, "a new connection, too");

    // Threads that have logged nothing yet can log now.
    for number in 0..4 {
        let mut bad = host.connect();
        bad.send(&[0; 4]);
        assert_eq!(bad.rest().unwrap(), b"", "{number}");
        host.wait_until("its line", |log| {
            (happened(log, "malformed frame, closing") > number).then_some(())
        });
    }
    // What comes meanwhile is not refused: it waits.
    site.copy(&sample("submit-log"), "libsubmit_log.so.1.0.0");
    host.wait_until("linker", |log| {
        log.iter().find(|line| line["code"] == "linker").cloned()
    });
    assert_eq!(client.submit(0x02, b"").result, 0);
    fs::write(site.path().join("pipe"), "").unwrap();
    host.wait_for_change_where("added", "plugin", "submit-log");
    assert_eq!(client.submit(0x03, b"").result, 0);
    drop(client);
    host.stop();
}

/// What serves can't check a new configuration meanwhile: it goes on with its own, and has the new one when it can.
#[test]
fn a_plugin_that_is_reconfigured_meanwhile_serves_on() {
    let site = site();
    let host = spawn(&site);
    host.wait_for("listening");
    site.copy(&library(), FILE);
    refused(&host, "load-once");
    site.configure(&format!("{SHORT}[plugin.submit-echo]\nconfig.reply = true\n"));
    host.wait_until("submit-echo waits", |log| {
        let is_it = |line: &&serde_json::Value| line["code"] == "linker" && line["plugin"] == "submit-echo";
        log.iter().find(is_it).cloned()
    });
    let mut client = host.connect();
    assert_eq!(client.submit(0x02, b"x").body, b"");
    fs::write(site.path().join("pipe"), "").unwrap();
    host.wait_for_change("reconfigured");
    assert_eq!(client.submit(0x02, b"x").body, b"x");
    drop(client);
    let log = host.stop();
    assert_eq!(
        happened(&log, "what fails comes back in each round: nothing is changed now"),
        0
    );
}

#[test]
fn it_ends_in_time_all_the_same() {
    let site = site();
    let host = spawn(&site);
    host.wait_for("listening");
    site.copy(&library(), FILE);
    refused(&host, "load-once");
    host.signal(Signal::TERM);
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{}", show(&log));
}

#[track_caller]
fn refused(host: &Host, code: &str) {
    host.wait_until(code, |log| log.iter().find(|line| line["code"] == code).cloned());
}
