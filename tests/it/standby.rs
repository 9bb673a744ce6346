//! A version in standby is paused, and resumed before it serves again: once each, with no call in it meanwhile. What it makes of
//! either hurts nobody else.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tests::crates::{PluginCrate, lines};
use tests::files::{fifo, with_identity};
use tests::follow::quiet;
use tests::host::{Host, Site};
use tests::swaps;

/// Writes down what happens to it. `paused` and `resumed` panic where a file of that name and version stands in its data
/// directory, and wait where it is a pipe.
const SOURCE: &str = r#"
use std::io::Write;
use std::path::PathBuf;

use plugin_api::{Ack, Context, Error, Handler, Submit, export_plugin};

struct Plugin { version: String, data: PathBuf }

impl Plugin {
    fn note(&self, what: &str) {
        let mut life = std::fs::File::options().create(true).append(true).open(self.data.join("life")).unwrap();
        writeln!(life, "{what} {}", self.version).unwrap();
        let file = self.data.join(format!("{what}-{}", self.version));
        if file.exists() {
            let text = std::fs::read(&file).unwrap();
            assert!(text.is_empty(), "told to");
        }
    }
}

impl Handler for Plugin {
    type Config = ();

    fn init(_: (), context: &Context) -> Result<Self, Error> {
        let plugin = Plugin { version: context.version().to_owned(), data: context.data_dir().to_owned() };
        plugin.note("init");
        Ok(plugin)
    }

    fn handle<'a>(&'a self, _: Submit<'a>) -> Ack<'a> { Ack::ok().body(self.version.as_bytes()) }
    fn paused(&self) { self.note("paused") }
    fn resumed(&self) { self.note("resumed") }
    fn shutdown(&self) { self.note("shutdown") }
}

export_plugin!(Plugin);
"#;

const NAME: &str = "stand-probe";

fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut plugin = PluginCrate::new(NAME);
        plugin.source = SOURCE.to_owned();
        plugin.library()
    })
}

fn data(site: &Site) -> PathBuf {
    site.path().join("data").join(NAME)
}

fn bring(site: &Site, version: &str) {
    let new = site.path().join("new");
    with_identity(library(), &new, NAME, version);
    fs::rename(new, site.plugins().join(swaps::real_name(NAME, version))).unwrap();
}

/// Version 1.1.0 serves, and 1.0.0, which it took over from, waits.
fn scene(configuration: &str) -> (Site, Host) {
    let site = Site::new(configuration);
    fs::create_dir_all(data(&site)).unwrap();
    bring(&site, "1.0.0");
    let host = site.start();
    bring(&site, "1.1.0");
    host.wait_for_change_where("drained", "version", "1.0.0");
    quiet(&host, 0);
    (site, host)
}

fn life(site: &Site) -> Vec<String> {
    lines(&data(site).join("life"))
}

fn serves(host: &Host) -> String {
    String::from_utf8(host.connect().submit(0x10, b"").body).unwrap()
}

#[test]
fn a_version_in_standby_is_paused_and_resumed_before_it_serves_again() {
    let (site, host) = scene("");
    assert_eq!(life(&site), ["init 1.0.0", "init 1.1.0", "paused 1.0.0"]);
    swaps::point(&site.plugins(), NAME, "1.0.0");
    host.wait_for_change_where("drained", "version", "1.1.0");
    quiet(&host, 0);
    assert_eq!(serves(&host), "1.0.0");
    assert_eq!(life(&site)[3..], ["resumed 1.0.0", "paused 1.1.0"]);
    // Nothing is said again to what is told already, however often the directory is looked at.
    quiet(&host, 0);
    fs::remove_file(site.plugins().join(swaps::real_name(NAME, "1.1.0"))).unwrap();
    host.wait_for_change("retired");
    host.stop();
    assert_eq!(life(&site)[5..], ["shutdown 1.1.0", "shutdown 1.0.0"]);
}

#[test]
fn a_version_that_can_not_be_resumed_is_shut_down_and_what_served_goes_on() {
    for is_hanging in [false, true] {
        let (site, host) = scene("plugins.init_timeout = \"2s\"\n");
        let trap = data(&site).join("resumed-1.0.0");
        match is_hanging {
            true => drop(fifo(&trap)),
            false => fs::write(&trap, "panic").unwrap(),
        }
        let code = if is_hanging { "load-timeout" } else { "load-init" };
        swaps::point(&site.plugins(), NAME, "1.0.0");
        let refusal = host.wait_for_change_where("refused", "field", "resumed");
        assert_eq!(refusal["code"], code, "{refusal:#}");
        assert_eq!(serves(&host), "1.1.0");
        if is_hanging {
            fs::write(&trap, "").unwrap();
        }
        let retired = host.wait_for_change("retired");
        assert_eq!(retired["reason"], "it could not be resumed", "{retired:#}");
        assert_eq!(serves(&host), "1.1.0");
        // What failed has another chance when the operator says so, and begins anew.
        fs::remove_file(&trap).unwrap();
        quiet(&host, 0);
        assert_eq!(serves(&host), "1.0.0");
        assert_eq!(life(&site).iter().filter(|line| **line == "init 1.0.0").count(), 2);
        host.stop();
    }
}

#[test]
fn a_version_that_can_not_be_paused_waits_all_the_same() {
    for is_hanging in [false, true] {
        let site = Site::new("plugins.init_timeout = \"2s\"\n");
        fs::create_dir_all(data(&site)).unwrap();
        let trap = data(&site).join("paused-1.0.0");
        match is_hanging {
            true => drop(fifo(&trap)),
            false => fs::write(&trap, "panic").unwrap(),
        }
        bring(&site, "1.0.0");
        let host = site.start();
        bring(&site, "1.1.0");
        let message = if is_hanging {
            "in standby, but not paused"
        } else {
            "pause failed"
        };
        assert_eq!(host.wait_for(message)["level"], "ERROR");
        assert_eq!(serves(&host), "1.1.0");
        if is_hanging {
            fs::write(&trap, "").unwrap();
        }
        swaps::point(&site.plugins(), NAME, "1.0.0");
        host.wait_for_change("rolled-back");
        assert_eq!(serves(&host), "1.0.0");
        host.stop();
        assert_eq!(life(&site).iter().filter(|line| **line == "resumed 1.0.0").count(), 1);
    }
}

/// `paused` that outlives its time limit meets neither `resumed`, nor `shutdown`, nor a Submit.
#[test]
fn what_is_still_being_paused_neither_serves_nor_is_resumed() {
    let site = Site::new("plugins.init_timeout = \"1s\"\n");
    fs::create_dir_all(data(&site)).unwrap();
    let trap = data(&site).join("paused-1.0.0");
    fifo(&trap);
    bring(&site, "1.0.0");
    let host = site.start();
    bring(&site, "1.1.0");
    host.wait_for_change("not-paused");
    swaps::point(&site.plugins(), NAME, "1.0.0");
    host.wait_for_change_where("refused", "field", "resumed");
    assert_eq!(serves(&host), "1.1.0");
    assert_eq!(life(&site)[2..], ["paused 1.0.0"], "neither is called beside it");
    fs::write(&trap, "").unwrap();
    host.wait_for_change("retired");
    host.stop();
    assert_eq!(life(&site).iter().filter(|line| **line == "shutdown 1.0.0").count(), 1);
}
