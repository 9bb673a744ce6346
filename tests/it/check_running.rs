//! `host check` beside a host that runs makes two statements: what serves now, and what would at the next start. They differ
//! where something has happened to the host that no start would see.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::process::Signal;
use serde_json::{Value, json};
use tests::cargo::{run, text};
use tests::crates::PluginCrate;
use tests::files::with_identity;
use tests::host::{Host, Site};
use tests::swaps;

const NAME: &str = "told-probe";
const SONAME: &str = "libtold_probe.so.1";
/// A user who is not the one that runs the tests, where that is root.
const OTHER_USER: u32 = 65534;

/// Acks everything. Version 1.9.0 has an init that fails, and so has each whose configuration says so.
const SOURCE: &str = r#"
use plugin_api::{Ack, Context, Error, Handler, Submit, export_plugin};

#[derive(serde::Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Config {
    fail: bool,
}

struct Plugin;

impl Handler for Plugin {
    type Config = Config;

    fn init(config: Config, context: &Context) -> Result<Self, Error> {
        match config.fail || context.version().to_string() == "1.9.0" {
            true => Err(Error::new("told to fail")),
            false => Ok(Plugin),
        }
    }

    fn handle<'a>(&'a self, _: Submit<'a>) -> Ack<'a> {
        Ack::ok()
    }
}

export_plugin!(Plugin);
"#;

fn library() -> &'static PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut plugin = PluginCrate::new(NAME);
        plugin.dependencies = "serde = { version = \"1\", features = [\"derive\"] }".to_owned();
        plugin.source = SOURCE.to_owned();
        plugin.library()
    })
}

/// Brings a version by a rename, as finished files come.
fn bring(site: &Site, version: &str) {
    let made = site.path().join("made");
    with_identity(library(), &made, NAME, version);
    fs::rename(made, site.plugins().join(swaps::real_name(NAME, version))).unwrap();
}

/// A host that serves 1.0.0.
fn scene(configuration: &str) -> (Site, Host) {
    let site = Site::new(configuration);
    bring(&site, "1.0.0");
    let host = site.start();
    (site, host)
}

/// What `check` says of the one plugin: the version that serves now, and the one that would.
#[track_caller]
fn now_and_next(report: &Value) -> (Value, Value) {
    let [plugin] = report["summary"].as_array().unwrap().as_slice() else {
        panic!("each plugin once: {report:#}")
    };
    (plugin["now"]["version"].clone(), plugin["next"]["version"].clone())
}

/// What `check` says of the one plugin, once it says this of what serves now: the host tells of a change when it is done.
#[track_caller]
fn until(site: &Site, what: impl Fn(&Value) -> bool) -> Value {
    let deadline = std::time::Instant::now() + tests::host::PATIENCE;
    loop {
        let report = site.check(&[]).1;
        if what(&report) {
            return report;
        }
        assert!(std::time::Instant::now() < deadline, "it does not come: {report:#}");
    }
}

#[track_caller]
fn page(site: &Site) -> String {
    let (_, stdout, stderr) = site.with_configuration(&["check"]);
    assert_eq!(stderr, "", "{stdout}");
    // Columns are as wide as their widest cell.
    let lines = stdout.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        words.join(" ") + "\n"
    });
    lines.collect()
}

#[test]
fn what_is_as_it_should_be_is_the_same_and_each_plugin_is_there_once() {
    let (site, host) = scene("");
    let (code, report) = site.check(&[]);
    assert_eq!((code, now_and_next(&report)), (0, (json!("1.0.0"), json!("1.0.0"))));
    let status = &report["running"]["status"];
    assert_eq!(status["host"]["pid"], host.pid(), "{status:#}");
    let page = page(&site);
    let address = host.address();
    for line in [
        format!("running now: pid {}, {address}: 1 plugin serves\n", host.pid()),
        "at the next start: 1 plugin serves; nothing changes\n".to_owned(),
        "| told-probe | 1.0.0 serves [0x10] | the same |\n".to_owned(),
    ] {
        assert!(page.contains(&line), "{line:?} in:\n{page}");
    }
    assert_eq!(page.matches("libtold_probe.so.1.0.0").count(), 1, "once:\n{page}");
    // The directory is named once, above; what follows fits a narrow window.
    assert!(page.lines().skip(1).all(|line| line.len() <= 80), "{page}");
    host.stop();
    assert_eq!(site.check(&[]).1["running"], Value::Null);
    let page = self::page(&site);
    assert!(
        page.contains("running now: no running host that this user can see\n"),
        "{page}"
    );
}

#[test]
fn a_link_that_was_removed_is_put_back_by_a_start() {
    let (site, host) = scene("");
    fs::remove_file(site.plugins().join(SONAME)).unwrap();
    host.wait_for_change("removed");
    let report = until(&site, |report| now_and_next(report).0.is_null());
    assert_eq!(now_and_next(&report), (Value::Null, json!("1.0.0")));
    let page = page(&site);
    for line in [
        "at the next start: 1 plugin serves; changed: told-probe\n",
        "| told-probe | does not serve | 1.0.0 serves [0x10] |\n",
        "libtold_probe.so.1.0.0 does not serve now: ",
    ] {
        assert!(page.contains(line), "{line:?} in:\n{page}");
    }
}

#[test]
fn an_init_that_failed_is_told_with_its_reason() {
    let (site, host) = scene("");
    bring(&site, "1.9.0");
    host.wait_for_change_where("refused", "code", "load-init");
    let report = until(&site, |report| {
        report["running"]["status"]["files"].to_string().contains("load-init")
    });
    assert_eq!(now_and_next(&report).0, "1.0.0");
    let page = page(&site);
    for line in [
        "| told-probe | 1.0.0 serves [0x10] |",
        "told to fail | refused now: load-init |\n",
        "cures for libtold_probe.so.1.9.0:\n",
    ] {
        assert!(page.contains(line), "{line:?} in:\n{page}");
    }
}

#[test]
fn a_configuration_that_was_refused_leaves_the_old_one_which_is_said() {
    let (site, host) = scene("");
    site.configure("[plugin.told-probe.config]\nfail = true\n");
    host.wait_for_change_where("refused", "code", "load-init");
    let report = until(&site, |report| {
        report["running"]["status"]["files"].to_string().contains("load-init")
    });
    assert_eq!(now_and_next(&report).0, "1.0.0", "the old instance goes on: {report:#}");
    let page = self::page(&site);
    assert!(page.contains("refused now: load-init |\n"), "{page}");

    // The whole file: nothing can be judged by it, and what runs is said all the same.
    site.configure("plugins.wach = true\n");
    host.wait_for_change("configuration-refused");
    let (code, stdout, stderr) = site.with_configuration(&["check"]);
    assert_eq!(code, 78, "{stdout}{stderr}");
    let line = format!(
        "running now: pid {}, {}, with the configuration that was good last: 1 plugin serves",
        host.pid(),
        host.address()
    );
    assert!(stdout.starts_with(&line) && stderr.contains("wach"), "{stdout}{stderr}");
}

#[test]
fn a_newcomer_that_waits_for_the_directory_is_told() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root may give a directory to another user");
        return;
    }
    let site = Site::new("");
    bring(&site, "1.0.0");
    // A host of another user, in a directory that is root's: it can make no link there.
    let host = host_of_other_user(&site);
    bring(&site, "1.1.0");
    host.wait_for_where("unavailable, trying again", "version", "1.1.0"); // its status is asked by check
    // Root sees the hosts of all users.
    let check = |arguments: &[&str]| {
        let mut check = site.command();
        check
            .env_remove("XDG_RUNTIME_DIR")
            .env("TMPDIR", site.path().join("run"));
        check
            .arg("check")
            .args(arguments)
            .arg("--plugins")
            .arg(site.configuration());
        String::from_utf8(run(&mut check).stdout).unwrap()
    };
    let report: Value = serde_json::from_str(&check(&["--json"])).unwrap();
    assert_eq!(report["running"]["status"]["host"]["pid"], host.pid(), "{report:#}");
    assert_eq!(now_and_next(&report).0, "1.0.0", "{report:#}");
    let page = check(&[]);
    assert!(page.contains("unavailable now: link "), "{page}");
}

/// Root sees another user's host, and another user does not see root's.
#[test]
fn who_may_not_ask_sees_no_host() {
    let (site, host) = scene("");
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root may be another user");
        return;
    }
    fs::set_permissions(site.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut check = site.command();
    check.args(["check", "--json", "--plugins"]).arg(site.configuration());
    check
        .env_remove("XDG_RUNTIME_DIR")
        .env("TMPDIR", "/tmp")
        .uid(OTHER_USER)
        .gid(OTHER_USER);
    let output = run(&mut check);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    assert_eq!(report["running"], Value::Null, "{report:#}");
    assert_eq!(now_and_next(&report).1, "1.0.0", "{report:#}");
    host.stop();
}

/// A host run by another user, without a runtime directory; its temporary one is in the site.
fn host_of_other_user(site: &Site) -> Host {
    fs::set_permissions(site.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let run = site.path().join("run");
    chown(&run, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
    symlink(swaps::real_name(NAME, "1.0.0"), site.plugins().join(SONAME)).unwrap();
    let host = site.spawn_changed(|command| {
        command.env_remove("XDG_RUNTIME_DIR").env("TMPDIR", &run);
        command.uid(OTHER_USER).gid(OTHER_USER);
    });
    host.wait_for("listening");
    host
}

#[test]
fn each_of_two_hosts_on_one_directory_answers_for_itself() {
    let (site, host) = scene("");
    let other = Site::new(&format!(
        "plugins.dir = {:?}\nplugins.watch = false\n",
        site.plugins().to_str().unwrap()
    ));
    let second = other.start();
    bring(&site, "1.1.0");
    host.wait_for_change("upgraded");
    let report = until(&site, |report| now_and_next(report).0 == "1.1.0");
    assert_eq!(report["running"]["status"]["host"]["pid"], host.pid());
    let report = other.check(&[]).1;
    assert_eq!(report["running"]["status"]["host"]["pid"], second.pid());
    assert_eq!(now_and_next(&report), (json!("1.0.0"), json!("1.1.0")));
    let page = page(&other);
    let told = format!(
        "it looks only when it is told to (plugins.watch = false): kill -HUP {}\n",
        second.pid()
    );
    assert!(page.contains(&told), "{page}");
    second.signal(Signal::HUP);
    until(&other, |report| now_and_next(report).0 == "1.1.0");
}

#[test]
fn other_content_under_a_name_that_serves_is_told_of_the_file_and_its_link() {
    let (site, host) = scene("");
    let (made, file) = (site.path().join("made"), swaps::real_name(NAME, "1.0.0"));
    with_identity(library(), &made, NAME, "1.0.0");
    let mut content = fs::read(&made).unwrap();
    content.push(0); // behind all that the linker reads
    fs::write(&made, content).unwrap();
    fs::rename(&made, site.plugins().join(&file)).unwrap();
    let names = [SONAME, file.as_str()];
    let codes = |report: &Value| {
        let files = report["running"]["status"]["files"].as_array().unwrap().iter();
        let named = files.filter(|report| names.contains(&report["file"].as_str().unwrap()));
        named
            .map(|report| report["refusals"][0]["code"].clone())
            .collect::<Vec<_>>()
    };
    let report = until(&site, |report| codes(report).contains(&json!("other-content")));
    assert_eq!(
        codes(&report),
        [json!("other-content"), json!("other-content")],
        "{report:#}"
    );
    let (code, page, _) = site.with_configuration(&["check"]);
    assert!(code == 1 && page.contains("other-content"), "{page}");
    host.stop();
}
