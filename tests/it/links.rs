//! Links say what runs: those that are missing are made, those that are there are followed as they stand, and one that
//! leads nowhere good is refused with nothing served in its place.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::cargo::sample;
use tests::files::{stripped, with_identity, with_record};
use tests::host::{Host, Site};

const SONAME: &str = "libsubmit_echo.so.1";
const LOWER: &str = "libsubmit_echo.so.1.0.0";
const HIGHER: &str = "libsubmit_echo.so.1.1.0";
const PRE: &str = "libsubmit_echo.so.1.2.0-rc.1";

/// What stands in the directory.
struct Case {
    what: &'static str,
    /// Files: name and version. The version decides the content.
    files: &'static [(&'static str, &'static str)],
    /// Links: name and target; `DIR` stands for the directory's path.
    links: &'static [(&'static str, &'static str)],
    /// The version that serves afterwards.
    serves: Option<&'static str>,
    /// The codes of all refusals, sorted.
    codes: &'static [&'static str],
    /// Where the soname's link points to afterwards.
    link: Option<&'static str>,
}

const BOTH: &[(&str, &str)] = &[(LOWER, "1.0.0"), (HIGHER, "1.1.0")];

#[rustfmt::skip] // one line, one case
const CASES: &[Case] = &[
    // Made when missing.
    Case { what: "no link", files: BOTH, links: &[], serves: Some("1.1.0"), codes: &[], link: Some(HIGHER) },
    Case { what: "one part", files: &[(SONAME, "1.0.0")], links: &[], serves: Some("1.0.0"), codes: &[], link: None },
    Case { what: "two parts", files: &[("libsubmit_echo.so.1.1", "1.1.0")], links: &[], serves: Some("1.1.0"), codes: &[], link: Some("libsubmit_echo.so.1.1") },
    Case { what: "two parts and three", files: &[("libsubmit_echo.so.1.0", "1.0.0"), (HIGHER, "1.1.0")], links: &[], serves: Some("1.1.0"), codes: &[], link: Some(HIGHER) },
    Case { what: "only a pre-release", files: &[(PRE, "1.2.0-rc.1")], links: &[], serves: None, codes: &[], link: None },
    Case { what: "a pre-release above", files: &[(PRE, "1.2.0-rc.1"), (LOWER, "1.0.0")], links: &[], serves: Some("1.0.0"), codes: &[], link: Some(LOWER) },
    Case { what: "a link beside", files: BOTH, links: &[("libsubmit_echo.so.1.1", HIGHER)], serves: Some("1.1.0"), codes: &[], link: Some(HIGHER) },
    // Followed as they stand.
    Case { what: "the lower version", files: BOTH, links: &[(SONAME, LOWER)], serves: Some("1.0.0"), codes: &[], link: Some(LOWER) },
    Case { what: "a pre-release", files: &[(PRE, "1.2.0-rc.1"), (LOWER, "1.0.0")], links: &[(SONAME, PRE)], serves: Some("1.2.0-rc.1"), codes: &[], link: Some(PRE) },
    Case { what: "an absolute target", files: BOTH, links: &[(SONAME, "DIR/libsubmit_echo.so.1.0.0")], serves: Some("1.0.0"), codes: &[], link: Some("DIR/libsubmit_echo.so.1.0.0") },
    Case { what: "a link to a link", files: BOTH, links: &[(SONAME, "libsubmit_echo.so.1.0"), ("libsubmit_echo.so.1.0", LOWER)], serves: Some("1.0.0"), codes: &[], link: Some("libsubmit_echo.so.1.0") },
    Case { what: "a regular file", files: &[(SONAME, "1.0.0"), (HIGHER, "1.1.0")], links: &[], serves: Some("1.0.0"), codes: &[], link: None },
    // As Kubernetes lays a volume out: a swap of ..data changes all files at once.
    Case { what: "a mounted volume", files: &[("..1/libsubmit_echo.so.1.0.0", "1.0.0")], links: &[("..data", "..1"), (LOWER, "..data/libsubmit_echo.so.1.0.0")], serves: Some("1.0.0"), codes: &[], link: Some(LOWER) },
    Case { what: "a mounted volume with the link", files: &[("..1/libsubmit_echo.so.1.0.0", "1.0.0"), ("..1/libsubmit_echo.so.1.1.0", "1.1.0")], links: &[("..data", "..1"), (LOWER, "..data/libsubmit_echo.so.1.0.0"), (HIGHER, "..data/libsubmit_echo.so.1.1.0"), (SONAME, "..data/libsubmit_echo.so.1.0.0")], serves: Some("1.0.0"), codes: &[], link: Some("..data/libsubmit_echo.so.1.0.0") },
    // Wrong under a name of no weight: refused, and the rest goes on.
    Case { what: "another plugin's name", files: BOTH, links: &[("libother.so.1", HIGHER)], serves: Some("1.1.0"), codes: &["link-soname"], link: Some(HIGHER) },
    Case { what: "another version's name", files: BOTH, links: &[("libsubmit_echo.so.1.9.0", HIGHER)], serves: Some("1.1.0"), codes: &["link-soname"], link: Some(HIGHER) },
    // Wrong at the soname: what it says is obeyed, and that is nothing.
    Case { what: "dangling", files: BOTH, links: &[(SONAME, "libsubmit_echo.so.1.5.0")], serves: None, codes: &["link-dangling", "plugin-missing"], link: Some("libsubmit_echo.so.1.5.0") },
    Case { what: "a loop of one", files: BOTH, links: &[(SONAME, SONAME)], serves: None, codes: &["link-loop", "plugin-missing"], link: Some(SONAME) },
    Case { what: "a loop of two", files: BOTH, links: &[(SONAME, "libsubmit_echo.so.1.2"), ("libsubmit_echo.so.1.2", SONAME)], serves: None, codes: &["link-loop", "link-loop", "plugin-missing"], link: Some("libsubmit_echo.so.1.2") },
    Case { what: "out of the directory", files: &[(LOWER, "1.0.0"), ("../libsubmit_echo.so.1.1.0", "1.1.0")], links: &[(SONAME, "../libsubmit_echo.so.1.1.0")], serves: None, codes: &["link-outside", "plugin-missing"], link: Some("../libsubmit_echo.so.1.1.0") },
    Case { what: "out and in again", files: BOTH, links: &[(SONAME, "../plugins/libsubmit_echo.so.1.0.0")], serves: Some("1.0.0"), codes: &[], link: Some("../plugins/libsubmit_echo.so.1.0.0") },
    Case { what: "a badly named file", files: &[(LOWER, "1.0.0"), ("new", "1.1.0")], links: &[(SONAME, "new")], serves: None, codes: &["link-target", "plugin-missing"], link: Some("new") },
    Case { what: "an unversioned file", files: &[(LOWER, "1.0.0"), ("libsubmit_echo.so", "1.1.0")], links: &[(SONAME, "libsubmit_echo.so")], serves: None, codes: &["link-target", "plugin-missing"], link: Some("libsubmit_echo.so") },
    Case { what: "the directory", files: BOTH, links: &[(SONAME, ".")], serves: None, codes: &["link-target", "plugin-missing"], link: Some(".") },
    Case { what: "a folder with a good name", files: &[(LOWER, "1.0.0"), ("libsubmit_echo.so.1.1.0/file", "1.1.0")], links: &[(SONAME, HIGHER)], serves: None, codes: &["file-kind", "file-kind", "plugin-missing"], link: Some(HIGHER) },
    Case { what: "a refused file", files: &[(LOWER, "1.0.0"), (HIGHER, "bad")], links: &[(SONAME, HIGHER)], serves: None, codes: &["abi-panic", "abi-panic", "plugin-missing"], link: Some(HIGHER) },
    Case { what: "a refused file under a wrong name", files: &[(LOWER, "1.0.0"), (HIGHER, "bad")], links: &[(SONAME, LOWER), ("libother.so.1", HIGHER)], serves: Some("1.0.0"), codes: &["abi-panic", "abi-panic", "link-soname"], link: Some(LOWER) },
    Case { what: "another line's file", files: &[(LOWER, "1.0.0"), ("libsubmit_echo.so.2.0.0", "2.0.0")], links: &[(SONAME, "libsubmit_echo.so.2.0.0"), ("libsubmit_echo.so.2", "libsubmit_echo.so.2.0.0")], serves: Some("2.0.0"), codes: &["link-soname", "plugin-missing"], link: Some("libsubmit_echo.so.2.0.0") },
    Case { what: "a refused regular file", files: &[(SONAME, "bad"), (LOWER, "1.0.0")], links: &[], serves: None, codes: &["abi-panic", "plugin-missing"], link: None },
];

#[test]
fn links_say_what_runs() {
    let versions = Versions::new();
    for case in CASES {
        let site = Site::default();
        let directory = site.plugins();
        for (name, version) in case.files {
            versions.put(version, &directory.join(name));
        }
        let place = |target: &str| target.replace("DIR", directory.to_str().unwrap());
        for (name, target) in case.links {
            symlink(place(target), directory.join(name)).unwrap();
        }
        let what = case.what;
        let (code, report) = site.check(&[]);
        assert_eq!(codes_of(&report), case.codes, "{what}: {report:#}");
        assert_eq!(code, i32::from(!case.codes.is_empty()), "{what}");

        let host = site.start();
        let result = if case.serves.is_some() { 0 } else { 0xF0 };
        assert_eq!(host.connect().submit(0x02, b"").result, result, "{what}");
        assert_eq!(serving(&host).as_deref(), case.serves, "{what}");
        let log = host.stop();
        let refused = log.iter().filter(|event| event["message"] == "refused");
        let mut codes: Vec<&str> = refused.map(|event| event["code"].as_str().unwrap()).collect();
        codes.sort_unstable();
        assert_eq!(codes, case.codes, "{what}");

        let link = fs::read_link(directory.join(SONAME)).ok();
        assert_eq!(link, case.link.map(|target| PathBuf::from(place(target))), "{what}");
        let is_left = |name: &str| name.starts_with(".link-");
        let entries = fs::read_dir(&directory).unwrap();
        let left = entries
            .filter(|entry| is_left(&entry.as_ref().unwrap().file_name().to_string_lossy()))
            .count();
        assert_eq!(left, 0, "{what}");

        // The links that a host makes change nothing for the next one.
        let host = site.start();
        assert_eq!(serving(&host).as_deref(), case.serves, "{what}, the second time");
        host.stop();
    }
}

#[test]
fn each_line_has_its_own_link() {
    let site = Site::default();
    let versions = Versions::new();
    versions.put("1.1.0", &site.plugins().join(HIGHER));
    versions.put("2.0.0", &site.plugins().join("libsubmit_echo.so.2.0.0"));
    let host = site.start();
    assert_eq!(serving(&host).as_deref(), Some("1.1.0"));
    assert_eq!(host.wait_for_change("link-created")["to"], HIGHER);
    let refused = host.wait_for_change("refused");
    assert_eq!(refused["code"], "command-taken", "{refused:#}");
    host.stop();
    assert_eq!(fs::read_link(site.plugins().join(SONAME)).unwrap(), Path::new(HIGHER));
    assert!(
        !site.plugins().join("libsubmit_echo.so.2").exists(),
        "only what serves has a link"
    );
}

#[test]
fn a_directory_that_cannot_be_written_serves_and_the_log_says_how_to_link() {
    let site = Site::default();
    Versions::new().put("1.0.0", &site.plugins().join(LOWER));
    Versions::new().put("1.1.0", &site.plugins().join(HIGHER));
    let directory = site.plugins();
    let read_only = format!(
        "mount --bind {0} {0} && mount -o remount,ro,bind {0}",
        directory.display()
    );
    let Some(host) = site.spawn_with_mounts(&read_only) else {
        return;
    };
    assert_eq!(host.connect().submit(0x02, b"").result, 0);
    assert_eq!(serving(&host).as_deref(), Some("1.1.0"));
    let event = host.wait_for_change("unavailable");
    assert_eq!(event["code"], "link");
    let link = directory.join(SONAME);
    assert_eq!(event["cure"], format!("ln -sfn {HIGHER} {}", link.display()));
    host.stop();
    assert!(fs::symlink_metadata(&link).is_err());

    // A link that is there is obeyed there too.
    symlink(LOWER, &link).unwrap();
    let host = site.spawn_with_mounts(&read_only).unwrap();
    host.wait_for("listening");
    assert_eq!(serving(&host).as_deref(), Some("1.0.0"));
    host.stop();
}

#[test]
fn a_file_as_cargo_names_it_is_mentioned_with_its_cure() {
    let site = Site::default();
    let file = site.copy(&sample("submit-echo"), "libsubmit_echo.so");
    let host = site.start();
    let event = host.wait_for_change("unversioned");
    assert_eq!(event["file"], file.to_str().unwrap());
    assert_eq!(
        event["cure"],
        format!(
            "host install {} --plugins {}",
            file.display(),
            site.configuration().display()
        )
    );
    assert_eq!(host.connect().submit(0x02, b"").result, 0xF0);
    host.stop();
    let (code, report) = site.check(&[]);
    assert_eq!((code, &report["unversioned"][0]), (0, &event["file"]));
    let (_, text, _) = site.with_configuration(&["check"]);
    assert!(text.contains(&format!("host install {}", file.display())), "{text}");
    // And the cure cures.
    site.install(&file);
    let host = site.start();
    assert_eq!(host.connect().submit(0x02, b"").result, 0);
    host.stop();
}

/// One content for each version; `bad` is 1.1.0 with a record that is refused.
struct Versions {
    folder: tempfile::TempDir,
}

impl Versions {
    fn new() -> Versions {
        let folder = tempfile::TempDir::new().unwrap();
        let small = folder.path().join("small");
        stripped(&sample("submit-echo"), &small);
        for version in ["1.0.0", "1.1.0", "1.2.0-rc.1", "2.0.0"] {
            with_identity(&small, &folder.path().join(version), "submit-echo", version);
        }
        let bad = folder.path().join("bad");
        with_record(&folder.path().join("1.1.0"), &bad, |record| {
            record.panic = "abort".to_owned()
        });
        Versions { folder }
    }

    fn put(&self, version: &str, target: &Path) {
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(self.folder.path().join(version), target).unwrap();
    }
}

/// The version that serves, if one does.
fn serving(host: &Host) -> Option<String> {
    let events = host.changes("serving");
    assert!(events.len() < 2, "{events:?}");
    Some(events.first()?["version"].as_str().unwrap().to_owned())
}

/// All codes in a report, sorted.
fn codes_of(report: &Value) -> Vec<&str> {
    let files = report["files"].as_array().unwrap().iter();
    let of_files = files.flat_map(|file| file["refusals"].as_array().unwrap());
    let of_plugins = report["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plugin| &plugin["refusal"]);
    let mut codes: Vec<&str> = of_files
        .chain(of_plugins)
        .map(|refusal| refusal["code"].as_str().unwrap())
        .collect();
    codes.sort_unstable();
    codes
}
