//! Both ways of bringing a plugin in, `host install` and a plain copy; and an installation that is refused leaves the
//! plugin directory as it was.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tests::cargo::sample;
use tests::crates::PluginCrate;
use tests::files::{with_identity, with_record};
use tests::host::Site;

const NAME: &str = "install-a";
const LINK: &str = "libinstall_a.so.1";

#[test]
fn what_cargo_built_is_installed_and_serves() {
    let site = Site::new("[plugin.submit-echo.config]\nreply = true\n");
    let library = sample("submit-echo");
    let (code, stdout, stderr) = site.with_configuration(&["install", library.to_str().unwrap()]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(
        stdout.contains("libsubmit_echo.so.1 -> libsubmit_echo.so.1.1.0"),
        "{stdout}"
    );
    assert_eq!(stderr, "");
    let expected = BTreeMap::from([
        ("libsubmit_echo.so.1".to_owned(), b"-> libsubmit_echo.so.1.1.0".to_vec()),
        ("libsubmit_echo.so.1.1.0".to_owned(), fs::read(&library).unwrap()),
    ]);
    assert!(
        listing(&site.plugins()) == expected,
        "{:?}",
        listing(&site.plugins()).keys()
    );
    let host = site.start();
    assert_eq!(host.connect().submit(0x02, b"hello").body, b"hello");
    host.stop();
}

#[test]
fn a_plain_copy_serves_and_gets_its_link() {
    let site = Site::new("[plugin.submit-echo]\nrequired = true\nconfig.reply = true\n");
    site.copy(&sample("submit-echo"), "libsubmit_echo.so.1.1.0");
    let host = site.start();
    assert_eq!(host.connect().submit(0x02, b"hello").body, b"hello");
    assert_eq!(
        points_to(&site.plugins().join("libsubmit_echo.so.1")),
        "libsubmit_echo.so.1.1.0"
    );
    host.stop();
}

#[test]
fn other_content_under_the_same_real_name_needs_to_be_asked_for() {
    let site = Site::default();
    let first = library(&site, NAME, "1.0.0", &[0x10]);
    let second = site.path().join("libinstall_a.so");
    install(&site, &first, &[], 0);
    let installed = site.plugins().join("libinstall_a.so.1.0.0");
    let before = listing(&site.plugins());

    let (stdout, _) = install(&site, &first, &[], 0);
    assert!(stdout.contains("was there already"), "{stdout}");
    assert!(listing(&site.plugins()) == before);

    with_record(&first, &second, |record| record.commands = vec![0x11]);
    let (stdout, stderr) = install(&site, &second, &[], 1);
    for part in [
        &*digest(&site, &installed),
        &digest(&site, &second),
        installed.to_str().unwrap(),
        "--replace",
    ] {
        assert!(stderr.contains(part), "expected {part} in:\n{stderr}");
    }
    assert_eq!(stdout, "");
    assert!(
        listing(&site.plugins()) == before,
        "{:?}",
        listing(&site.plugins()).keys()
    );

    install(&site, &second, &["--replace"], 0);
    assert!(fs::read(&installed).unwrap() == fs::read(&second).unwrap());
    let host = site.start();
    assert_eq!(host.connect().submit(0x11, b"").result, 0);
    host.stop();
}

/// What is wrong, how it comes to be, and the refusal's code.
type Refused = (&'static str, fn(&Site) -> PathBuf, &'static str);

const REFUSED: &[Refused] = &[
    ("a text", |site| text(site, "libtext.so"), "file-format"),
    ("a name that no plugin has", |site| text(site, "notes.txt"), "name-form"),
    ("no file", |site| site.path().join("libnothing.so"), "file-unreadable"),
    (
        "another plugin's name",
        |site| copy(&library(site, NAME, "1.0.0", &[0x11]), &site.path().join("libother.so")),
        "name-record",
    ),
    (
        "another version's name",
        |site| {
            copy(
                &library(site, NAME, "1.0.0", &[0x11]),
                &site.path().join("libinstall_a.so.1.1.0"),
            )
        },
        "version-record",
    ),
    (
        "a command that is served",
        |site| library(site, NAME, "1.0.0", &[0x10]),
        "command-taken",
    ),
    (
        "a directory that everybody may write to",
        |site| {
            fs::set_permissions(site.plugins(), Permissions::from_mode(0o777)).unwrap();
            library(site, NAME, "1.0.0", &[0x11])
        },
        "directory-mode",
    ),
    (
        "a directory that is not there yet",
        |site| {
            fs::remove_dir_all(site.plugins()).unwrap();
            text(site, "libtext.so")
        },
        "file-format",
    ),
];

#[test]
fn what_is_refused_leaves_no_trace() {
    for (case, prepare, code) in REFUSED {
        let site = Site::default();
        let served = library(&site, "install-b", "1.0.0", &[0x10]);
        copy(&served, &site.plugins().join("libinstall_b.so.1.0.0"));
        let file = prepare(&site);
        let before = listing(&site.plugins());
        for arguments in [&[][..], &["--replace"]] {
            let (stdout, stderr) = install(&site, &file, arguments, 1);
            assert!(stdout.contains("refused, nothing was installed"), "{case}: {stdout}");
            assert!(
                stdout.contains(code) && stdout.contains("cures for "),
                "{case}: {stdout}"
            );
            assert_eq!(stderr, "", "{case}");
            assert!(
                listing(&site.plugins()) == before,
                "{case}: {:?}",
                listing(&site.plugins()).keys()
            );
            assert_eq!(site.plugins().exists(), !before.is_empty(), "{case}");
        }
    }
}

#[test]
fn an_upgrade_moves_the_link_and_there_is_always_one() {
    let site = Site::default();
    let versions = ["1.0.0", "1.1.0", "1.2.0"];
    let files = versions.map(|version| library(&site, NAME, version, &[0x10]));
    let link = site.plugins().join(LINK);
    install(&site, &files[0], &[], 0);
    assert_eq!(points_to(&link), "libinstall_a.so.1.0.0");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Not one look may find nothing there, or something else.
        let watcher = scope.spawn(|| {
            let mut seen = vec![points_to(&link)];
            while !done.load(Ordering::Acquire) {
                let target = points_to(&link);
                if seen.last() != Some(&target) {
                    seen.push(target);
                }
            }
            seen
        });
        for file in &files[1..] {
            install(&site, file, &[], 0);
        }
        done.store(true, Ordering::Release);
        let seen = watcher.join().unwrap();
        let expected = versions.map(|version| format!("libinstall_a.so.{version}"));
        assert!(
            seen.iter().all(|target| expected.contains(target)) && seen.is_sorted(),
            "{seen:?}"
        );
    });
    let mut expected = versions.map(|version| format!("libinstall_a.so.{version}")).to_vec();
    expected.insert(0, LINK.to_owned());
    assert_eq!(listing(&site.plugins()).into_keys().collect::<Vec<_>>(), expected);
    assert_eq!(points_to(&link), "libinstall_a.so.1.2.0");
    let host = site.start();
    assert_eq!(host.wait_for_change("serving")["version"], "1.2.0");
    host.stop();
}

#[test]
fn a_pre_release_waits_for_the_link_that_the_operator_makes() {
    let site = Site::default();
    install(&site, &library(&site, NAME, "1.0.0", &[0x10]), &[], 0);
    let (stdout, _) = install(&site, &library(&site, NAME, "1.1.0-rc.1", &[0x10]), &[], 0);
    let link = site.plugins().join(LINK);
    assert_eq!(points_to(&link), "libinstall_a.so.1.0.0");
    let command = format!("ln -sfn libinstall_a.so.1.1.0-rc.1 {}", link.display());
    assert!(stdout.contains(&command), "{stdout}");
    tests::cargo::succeed(std::process::Command::new("sh").args(["-c", &command]));
    let host = site.start();
    assert_eq!(host.wait_for_change("serving")["version"], "1.1.0-rc.1");
    host.stop();
}

#[test]
fn the_plugin_directory_is_made_when_it_is_missing() {
    let site = Site::new("plugins.dir = \"a/b/plugins\"\n");
    install(&site, &library(&site, NAME, "1.0.0", &[0x10]), &[], 0);
    assert_eq!(
        points_to(&site.path().join("a/b/plugins").join(LINK)),
        "libinstall_a.so.1.0.0"
    );
}

/// `host install FILE ARGUMENTS`, which must exit so; gives standard output and standard error.
#[track_caller]
fn install(site: &Site, file: &Path, arguments: &[&str], exit: i32) -> (String, String) {
    let (code, stdout, stderr) = site.with_configuration(&[&["install", file.to_str().unwrap()], arguments].concat());
    assert_eq!(code, exit, "install {}:\n{stdout}{stderr}", file.display());
    (stdout, stderr)
}

/// A library as cargo would have written it, in the site's folder `VERSION`.
fn library(site: &Site, name: &str, version: &str, commands: &[u8]) -> PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| PluginCrate::new("install-x").library());
    let folder = site.path().join(version);
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("lib{}.so", name.replace('-', "_")));
    with_identity(library, &file, name, version);
    with_record(&file.clone(), &file, |record| record.commands = commands.to_vec());
    file
}

fn text(site: &Site, name: &str) -> PathBuf {
    let file = site.path().join(name);
    fs::write(&file, "not a library").unwrap();
    file
}

fn copy(from: &Path, to: &Path) -> PathBuf {
    fs::copy(from, to).unwrap();
    to.to_owned()
}

fn points_to(link: &Path) -> String {
    let target = fs::read_link(link).unwrap_or_else(|error| panic!("{}: {error}", link.display()));
    target.to_str().unwrap().to_owned()
}

/// Names and contents of a directory; a link's content is where it points. Empty if there is none.
fn listing(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = fs::read_dir(directory) else {
        return BTreeMap::new();
    };
    let content = |path: &Path| match path.is_symlink() {
        true => format!("-> {}", points_to(path)).into_bytes(),
        false => fs::read(path).unwrap(),
    };
    entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), content(&entry.path())))
        .collect()
}

fn digest(site: &Site, file: &Path) -> String {
    site.check(&[file]).1["files"][0]["digest"].as_str().unwrap().to_owned()
}
