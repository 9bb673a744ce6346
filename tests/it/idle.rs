//! A file that does not serve although nothing is wrong with it, or has nearly a plugin's name, has one line, and a cure that
//! cures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::cargo::{clean, path_with_host, run, succeed};
use tests::follow::quiet;
use tests::host::{Host, Site};
use tests::report::codes;
use tests::scene::{SONAME, bring_on, made};

#[test]
fn another_line_beside_the_one_that_is_asked_for_is_no_error() {
    let site = Site::default();
    for version in ["1.0.0", "2.0.0"] {
        bring_on(&site, "hot-probe", version, 0x10);
    }
    let (code, report) = site.check(&[]);
    let cure = report["plugins"][0]["refusal"]["cure"].as_str().unwrap();
    assert_eq!(code, 1);
    assert!(
        cure.contains("under [plugin.hot-probe]: `version = \"1\"`, which serves, or `version = \"2\"`"),
        "{cure}"
    );

    site.configure("[plugin.hot-probe]\nversion = \"2\"\n");
    let (code, report) = site.check(&[]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["files"][0]["idle"]["reason"], "other-line", "{report:#}");
    assert_eq!(report["files"][1]["state"], "serving");
    let log = site.start().stop();
    assert!(log.iter().all(|line| line["level"] != "ERROR"), "{log:#?}");

    // Where plugins are not discovered, a table speaks for one line alone.
    let site = Site::new("plugins.discover = false\n[plugin.hot-probe]\n");
    bring_on(&site, "hot-probe", "1.0.0", 0x10);
    let host = site.start();
    let (line, _) = one_line(&site, &host, || bring_on(&site, "hot-probe", "2.0.0", 0x10));
    assert_eq!(line["reason"], "version = \"1\" of hot-probe is asked for");
    host.stop();
}

/// What is said of a file that comes while the host runs and does not serve: one line, and the same in `check`.
#[track_caller]
fn one_line(site: &Site, host: &Host, bring: impl FnOnce() -> PathBuf) -> (Value, PathBuf) {
    let before = host.log().len();
    let file = bring();
    let name = file.to_str().unwrap().to_owned();
    host.wait_until("a line", |log| {
        log[before..].iter().find(|line| line["file"] == name.as_str()).cloned()
    });
    quiet(host, 0);
    quiet(host, 0);
    // Lines of the log come a moment after the status; the last of them is there when these are.
    let rereads = host.changes("configuration-reread").len();
    host.wait_for_nth_change("configuration-reread", rereads);
    let lines: Vec<Value> = host.log()[before..]
        .iter()
        .filter(|line| line["file"] == name.as_str())
        .cloned()
        .collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(lines[0]["level"], "WARN");
    let (code, report) = site.check(&[]);
    assert_eq!(code, 0, "{report:#}");
    let of_files = report["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| (&of["file"], &of["idle"]["cure"]));
    let of_misnamed = report["misnamed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| (&of["file"], &of["cure"]));
    let known: Vec<_> = of_files
        .chain(of_misnamed)
        .filter(|(of, _)| **of == name.as_str())
        .collect();
    assert_eq!(known, [(&lines[0]["file"], &lines[0]["cure"])], "{report:#}");
    (lines[0].clone(), file)
}

#[test]
fn a_file_that_comes_and_does_not_serve_has_one_line_and_a_cure_that_cures() {
    // (a name that is no plugin's, what its cure makes it)
    for (name, better) in [
        ("libhot-probe.so.1.0.0", "libhot_probe.so.1.0.0"),
        ("libhot_probe.so.v1.0.0", "libhot_probe.so.1.0.0"),
        ("libhot_probe.so.1.0.0+build.5", "libhot_probe.so.1.0.0"),
        ("hot_probe.so.1.0.0", "libhot_probe.so.1.0.0"),
        ("libhot_probe-1.0.0.so", "libhot_probe.so.1.0.0"),
        ("it's libhot-probe.so.1", ""),
    ] {
        let site = Site::default();
        let host = site.start();
        let file = site.plugins().join(name);
        let (line, _) = one_line(&site, &host, || {
            fs::rename(made(&site, "hot-probe", "1.0.0", 0x10), &file).unwrap();
            file
        });
        paste(&site, &line["cure"]);
        if !better.is_empty() {
            host.wait_for_change("added");
            assert_eq!(site.link(SONAME).unwrap(), better, "{name}");
        }
        host.stop();
    }

    let site = Site::default();
    fs::rename(made(&site, "hot-probe", "1.0.0", 0x10), site.plugins().join(SONAME)).unwrap();
    let host = site.start();
    // The soname is a file, as a copy makes it that follows links.
    let (line, _) = one_line(&site, &host, || bring_on(&site, "hot-probe", "1.1.0", 0x10));
    assert_eq!(line["version"], "1.1.0");
    paste(&site, &line["cure"]);
    host.wait_for_change("upgraded");
    assert_eq!(site.link(SONAME).unwrap(), "libhot_probe.so.1.1.0");
    // A lower version, and a pre-release.
    let (line, _) = one_line(&site, &host, || bring_on(&site, "hot-probe", "1.0.5", 0x10));
    assert_eq!(line["reason"], "1.1.0 serves at libhot_probe.so.1");
    let (line, _) = one_line(&site, &host, || bring_on(&site, "hot-probe", "1.2.0-rc.1", 0x10));
    paste(&site, &line["cure"]);
    host.wait_for_change_where("upgraded", "version", "1.2.0-rc.1");
    host.stop();

    // What the configuration says against it.
    for configuration in ["plugins.discover = false\n", "[plugin.hot-probe]\nenabled = false\n"] {
        let site = Site::new(configuration);
        let host = site.start();
        one_line(&site, &host, || bring_on(&site, "hot-probe", "1.0.0", 0x10));
        host.stop();
    }
}

#[test]
fn older_versions_and_what_was_put_aside_make_no_line_at_a_start() {
    let site = Site::default();
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        bring_on(&site, "hot-probe", version, 0x10);
    }
    for name in [
        "libhot_probe.so.1.3.0.bak",
        "libhot_probe.so.1.3.0~",
        ".libhot_probe.so.1.3.0.x7Uq2",
        "README",
    ] {
        fs::write(site.plugins().join(name), "").unwrap();
    }
    fs::create_dir(site.plugins().join("x.so.v1")).unwrap();
    let log = site.start().stop();
    let warnings: Vec<&Value> = log
        .iter()
        .filter(|line| line["level"] != "INFO" && line["target"] != "host::process::open_files")
        .collect();
    assert!(warnings.is_empty(), "{warnings:#?}");
    let (code, report) = site.check(&[]);
    let idle = |number: usize| &report["files"][number]["idle"];
    assert_eq!((code, &report["misnamed"]), (0, &serde_json::json!([])), "{report:#}");
    assert_eq!(idle(1)["text"], "1.2.0 serves at libhot_probe.so.1", "{report:#}");
}

#[test]
fn a_link_that_is_wrong_is_told_a_file_that_is_there() {
    let site = Site::default();
    bring_on(&site, "hot-probe", "1.1.0", 0x10);
    for target in ["libhot_probe.so.1.0.0", SONAME] {
        let link = site.plugins().join(SONAME);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(target, &link).unwrap();
        let (_, report) = site.check(&[&link]);
        let refusal = &report["files"][0]["refusals"][0];
        paste(&site, &refusal["cure"]);
        assert_eq!(site.check(&[]).0, 0, "{refusal:#}");
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("libhot_probe.so.1.1.0"));
    }
    // No pre-release, and nothing of a namesake.
    bring_on(&site, "hot-probe", "1.3.0-rc.1", 0x10);
    let link = site.plugins().join(SONAME);
    let cure = |site: &Site| {
        fs::remove_file(site.plugins().join(SONAME)).unwrap();
        std::os::unix::fs::symlink("libhot_probe.so.1.0.0", site.plugins().join(SONAME)).unwrap();
        let (_, report) = site.check(&[&site.plugins().join(SONAME)]);
        report["files"][0]["refusals"][0]["cure"].as_str().unwrap().to_owned()
    };
    assert!(cure(&site).contains("libhot_probe.so.1.1.0"));
    let namesake = bring_on(&site, "hot_probe", "1.2.0", 0x11);
    assert!(cure(&site).starts_with("# put "));
    fs::remove_file(namesake).unwrap();
    fs::remove_file(site.plugins().join("libhot_probe.so.1.3.0-rc.1")).unwrap();
    paste(&site, &cure(&site).into());
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("libhot_probe.so.1.1.0"));
    // Nothing there has its name: away with it.
    let link = site.plugins().join("libother.so.1");
    std::os::unix::fs::symlink("libother.so.1.0.0", &link).unwrap();
    let (_, report) = site.check(&[&link]);
    assert_eq!(codes(&report["files"][0]), ["link-dangling"]);
    let cure = report["files"][0]["refusals"][0]["cure"].as_str().unwrap();
    assert!(
        cure.starts_with("# put libother.so.1.0.0 back; or, to take the plugin away: rm "),
        "{cure}"
    );
    fs::remove_file(link).unwrap();
    // One to a file without a version, and one to a file elsewhere.
    for (folder, name) in [
        (site.plugins(), "libhot_probe.so"),
        (site.path().to_owned(), "libhot_probe.so.1.2.0"),
    ] {
        let file = folder.join(name);
        fs::rename(made(&site, "hot-probe", "1.2.0", 0x10), &file).unwrap();
        let link = site.plugins().join(SONAME);
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let (_, report) = site.check(&[&link]);
        paste(&site, &report["files"][0]["refusals"][0]["cure"]);
        assert_eq!(site.check(&[&link]).0, 0, "{report:#}");
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("libhot_probe.so.1.2.0"));
    }
}

#[test]
fn a_name_that_no_plugin_has_is_told_the_one_that_the_record_gives() {
    let site = Site::default();
    let file = site.path().join("a plugin.bin");
    fs::rename(made(&site, "hot-probe", "1.2.0", 0x10), &file).unwrap();
    let (_, report) = site.check(&[&file]);
    assert_eq!(codes(&report["files"][0]), ["name-form"]);
    paste(&site, &report["files"][0]["refusals"][0]["cure"]);
    let output = run(site.command().args(["check", "libhot_probe.so"]));
    assert!(output.status.success(), "{output:?}");
}

/// Runs a cure as a person would.
#[track_caller]
fn paste(site: &Site, cure: &Value) {
    let mut shell = clean(Command::new("sh"));
    shell.args(["-c", cure.as_str().unwrap()]).current_dir("/");
    succeed(
        shell
            .env("PATH", path_with_host())
            .env("XDG_RUNTIME_DIR", site.path().join("run")),
    );
}
