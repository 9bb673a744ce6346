//! What an operator changes during an init holds: a link, a file or a table that changes while a new version starts is not
//! overwritten by that version. And a call or a shutdown that hangs keeps no other version from its end, nor its own from
//! serving again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::process::Signal;
use tests::client::frame;
use tests::crates::PluginCrate;
use tests::files::{fifo, with_identity};
use tests::follow::quiet;
use tests::host::{Host, Site, show};
use tests::swaps;

/// Answers with its version. Its init and its shutdown wait where a pipe `init-VERSION` or `end-VERSION` stands in its data
/// directory, until somebody writes there; a call waits for the pipe that the payload names.
const SOURCE: &str = r#"
use std::path::PathBuf;

use plugin_api::{Ack, Context, Error, Handler, Submit, export_plugin};

struct Plugin { version: String, data: PathBuf }

fn wait(pipe: PathBuf) {
    if pipe.exists() {
        tracing::info!("waiting for {}", pipe.file_name().unwrap().display());
        let _ = std::fs::read(pipe);
    }
}

impl Handler for Plugin {
    type Config = ();

    fn init(_: (), context: &Context) -> Result<Self, Error> {
        let (version, data) = (context.version().to_owned(), context.data_dir().to_owned());
        wait(data.join(format!("init-{version}")));
        Ok(Plugin { version, data })
    }

    fn handle<'a>(&'a self, submit: Submit<'a>) -> Ack<'a> {
        if !submit.payload.is_empty() { wait(String::from_utf8_lossy(submit.payload).into_owned().into()) }
        Ack::ok().body(self.version.as_bytes())
    }

    fn shutdown(&self) { wait(self.data.join(format!("end-{}", self.version))); }
}

export_plugin!(Plugin);
"#;

const NAME: &str = "init-probe";
const LINK: &str = "libinit_probe.so.1";

fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut plugin = PluginCrate::new(NAME);
        plugin.dependencies = "tracing = \"0.1\"".to_owned();
        plugin.source = SOURCE.to_owned();
        plugin.library()
    })
}

/// Version 1.1.0 serves, 1.0.0 waits beside it.
struct Scene {
    site: Site,
    host: Host,
}

impl Scene {
    fn new(configuration: &str) -> Scene {
        let site = Site::new(&format!("plugins.poll = \"200ms\"\n{configuration}"));
        fs::create_dir_all(data(&site)).unwrap();
        bring(&site, "1.0.0");
        bring(&site, "1.1.0");
        let host = site.start();
        let scene = Scene { site, host };
        assert_eq!(scene.serves(), "1.1.0");
        scene
    }

    /// What answers; empty for nobody.
    fn serves(&self) -> String {
        String::from_utf8(self.host.connect().submit(0x10, b"").body).unwrap()
    }

    /// A place to wait at, by this name.
    fn pipe(&self, name: &str) -> PathBuf {
        fifo(&data(&self.site).join(name))
    }

    /// Waits until somebody waits there.
    #[track_caller]
    fn waiting(&self, name: &str) {
        self.host.wait_for(&format!("waiting for {name}"));
    }

    fn point(&self, version: &str) {
        swaps::point(&self.site.plugins(), NAME, version);
    }

    /// Version 1.0.0 has served, waits beside 1.1.0, and is shut down for its file is gone; its end waits at its pipe.
    fn end_the_standby(&self) {
        self.point("1.0.0");
        self.host.wait_for_change("rolled-back");
        self.point("1.1.0");
        self.host.wait_for_change("upgraded");
        fs::remove_file(file(&self.site, "1.0.0")).unwrap();
        self.waiting("end-1.0.0");
    }

    /// Version 1.2.0 comes, and waits in its init while something is done; gives what comes of it.
    fn during_an_init(&self, act: impl FnOnce(&Scene)) -> (Option<String>, String) {
        let pipe = self.pipe("init-1.2.0");
        bring(&self.site, "1.2.0");
        self.waiting("init-1.2.0");
        act(self);
        fs::write(pipe, "go on").unwrap();
        quiet(&self.host, 0);
        (self.site.link(LINK), self.serves())
    }
}

fn data(site: &Site) -> PathBuf {
    site.path().join("data").join(NAME)
}

fn file(site: &Site, version: &str) -> PathBuf {
    site.plugins().join(swaps::real_name(NAME, version))
}

fn bring(site: &Site, version: &str) {
    let new = site.path().join("new");
    with_identity(library(), &new, NAME, version);
    fs::rename(new, file(site, version)).unwrap();
}

#[test]
fn a_new_version_serves_after_an_undisturbed_init() {
    let scene = Scene::new("");
    assert_eq!(
        scene.during_an_init(|_| {}),
        (Some("libinit_probe.so.1.2.0".to_owned()), "1.2.0".to_owned())
    );
    scene.host.stop();
}

#[test]
fn a_roll_back_during_an_init_holds() {
    let scene = Scene::new("");
    let then = scene.during_an_init(|scene| scene.point("1.0.0"));
    assert_eq!(then, (Some("libinit_probe.so.1.0.0".to_owned()), "1.0.0".to_owned()));
    // The newcomer waits for a link, as any other version does; and was initialised once.
    scene.point("1.2.0");
    quiet(&scene.host, 0);
    assert_eq!(scene.serves(), "1.2.0");
    let log = scene.host.stop();
    let inits = log
        .iter()
        .filter(|line| line["message"] == "waiting for init-1.2.0")
        .count();
    assert_eq!(inits, 1, "{}", show(&log));
}

#[test]
fn a_removal_during_an_init_holds() {
    let scene = Scene::new("");
    let then = scene.during_an_init(|scene| fs::remove_file(scene.site.plugins().join(LINK)).unwrap());
    assert_eq!(then, (None, String::new()));
    scene.host.stop();
}

#[test]
fn a_version_whose_file_is_removed_during_its_init_leaves_no_trace() {
    let scene = Scene::new("");
    let then = scene.during_an_init(|scene| fs::remove_file(file(&scene.site, "1.2.0")).unwrap());
    assert_eq!(then, (Some("libinit_probe.so.1.1.0".to_owned()), "1.1.0".to_owned()));
    scene.host.stop();
    let again = scene.site.start();
    assert_eq!(again.connect().submit(0x10, b"").body, b"1.1.0");
    again.stop();
}

#[test]
fn a_table_that_is_disabled_during_an_init_holds() {
    let scene = Scene::new("");
    let then = scene.during_an_init(|scene| {
        scene
            .site
            .configure(&format!("plugins.poll = \"200ms\"\n[plugin.{NAME}]\nenabled = false\n"));
    });
    assert_eq!(then.1, "");
    scene.host.stop();
}

/// The last word counts; but where the link moves on during each init, what was made ready serves after some of them.
#[test]
fn a_link_that_never_stops_changing_keeps_nothing_from_serving() {
    const LAST: u64 = 20;
    let version = |minor: u64| format!("1.{minor}.0");
    let site = Site::new("plugins.poll = \"200ms\"\n");
    fs::create_dir_all(data(&site)).unwrap();
    (0..=LAST).for_each(|minor| bring(&site, &version(minor)));
    swaps::point(&site.plugins(), NAME, "1.0.0");
    let host = site.start();
    let scene = Scene { site, host };
    assert_eq!(scene.serves(), "1.0.0");
    let has_swapped = || !scene.host.changes("upgraded").is_empty();
    let init = |minor: u64| format!("init-{}", version(minor));
    let mut held = scene.pipe(&init(1));
    scene.point(&version(1));
    let mut at = 1;
    while at < LAST && !has_swapped() {
        scene.waiting(&init(at));
        let next = scene.pipe(&init(at + 1));
        scene.point(&version(at + 1));
        fs::write(held, "go on").unwrap();
        (held, at) = (next, at + 1);
        scene.waiting(&init(at));
    }
    assert!(has_swapped(), "{}", show(&scene.host.log()));
    fs::write(held, "go on").unwrap();
    quiet(&scene.host, 0);
    assert_eq!(scene.serves(), version(at));
    scene.host.stop();
}

#[test]
fn a_call_that_hangs_keeps_no_other_plugin_from_its_end() {
    let scene = Scene::new("server.drain_timeout = \"2s\"\n");
    // Another plugin, one of whose calls never returns.
    let mut other = PluginCrate::new("init-hung");
    other.commands = Some("[0x20]".to_owned());
    other.dependencies = "tracing = \"0.1\"".to_owned();
    other.source = SOURCE.to_owned();
    scene.site.install(&other.library());
    scene.host.wait_for_change("added");
    let pipe = scene.pipe("call");
    let mut hung = scene.host.connect();
    hung.send(&frame(0x20, b"00000001", pipe.to_str().unwrap().as_bytes()));
    scene.waiting("call");

    bring(&scene.site, "1.2.0");
    scene.host.wait_for_change("upgraded");
    fs::remove_file(file(&scene.site, "1.1.0")).unwrap();
    let retired = scene.host.wait_for_change("retired");
    assert_eq!(
        (&retired["plugin"], &retired["version"]),
        (&NAME.into(), &"1.1.0".into())
    );
    assert_eq!(scene.serves(), "1.2.0");
    fs::write(pipe, "go on").unwrap();
    assert_eq!(hung.ack().result, 0);
    drop(hung);
    scene.host.stop();
}

#[test]
fn a_version_whose_shutdown_hung_serves_again() {
    let scene = Scene::new("plugins.init_timeout = \"2s\"\nserver.drain_timeout = \"2s\"\n");
    scene.pipe("end-1.0.0");
    scene.end_the_standby();
    bring(&scene.site, "1.0.0");
    scene.point("1.0.0");
    let lack = scene.host.wait_for_change("unavailable");
    assert_eq!(lack["code"], "shutdown", "{lack:#}");
    scene.host.wait_for_nth_change("rolled-back", 2);
    assert_eq!(scene.serves(), "1.0.0");
    scene.host.signal(Signal::TERM);
    let (status, log) = scene.host.wait();
    assert_eq!(status.code(), Some(0), "{}", show(&log));
}

/// Its end has begun for another reason; the host's end waits for it all the same.
#[test]
fn a_shutdown_that_is_under_way_is_waited_for() {
    let scene = Scene::new("server.drain_timeout = \"40s\"\n");
    let pipe = scene.pipe("end-1.0.0");
    scene.end_the_standby();
    scene.host.signal(Signal::TERM);
    scene.host.wait_for("all connections closed");
    fs::write(pipe, "go on").unwrap();
    let (status, log) = scene.host.wait();
    assert_eq!(status.code(), Some(0), "{}", show(&log));
    let retired = log.iter().find(|line| line["message"] == "retired");
    assert_eq!(
        retired.map(|line| &line["version"]),
        Some(&"1.0.0".into()),
        "{}",
        show(&log)
    );
}

/// A cleaner takes the private copies away: what waits goes on waiting, and what comes comes in.
#[test]
fn a_removed_staging_directory_ends_no_wait_and_hides_no_new_version() {
    let scene = Scene::new("");
    scene.point("1.0.0");
    scene.host.wait_for_change("rolled-back");
    quiet(&scene.host, 0); // it has told `check` what serves, in this very place
    let staging = scene.site.path().join("run");
    fs::remove_dir_all(&staging).unwrap();
    fs::create_dir(&staging).unwrap();
    bring(&scene.site, "1.2.0");
    scene.host.wait_for_change("upgraded");
    assert_eq!(scene.serves(), "1.2.0");
    quiet(&scene.host, 0);
    scene.point("1.1.0");
    quiet(&scene.host, 0);
    assert_eq!(scene.serves(), "1.1.0");
    let log = scene.host.stop();
    for message in ["retired", "refused"] {
        assert!(
            !log.iter().any(|line| line["message"] == message),
            "{message}:\n{}",
            show(&log)
        );
    }
}
