//! What is checked is what is loaded: a private copy, which lives as long as its host. The original may meet any fate, and
//! a host that can't have such a place says so and does not start.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tests::cargo::sample;
use tests::host::{Host, Site, show};

pub(crate) const FILE: &str = "libsubmit_echo.so.1.1.0";

#[test]
fn the_copy_is_private_and_named_for_what_it_is() {
    for (what, configuration, place) in [
        ("default", "", "run"),
        ("configured", "plugins.staging = \"staging/deep\"\n", "staging/deep"),
    ] {
        let site = site(configuration);
        let base = site.path().join(place);
        fs::create_dir_all(base.join("host-data")).unwrap(); // somebody else's: looks like ours, and stays
        fs::set_permissions(&base, Permissions::from_mode(0o755)).unwrap();
        let host = site.start();
        let directory = only(&directories(&base));
        for private in [&directory, directory.parent().unwrap()] {
            assert_eq!(
                fs::metadata(private).unwrap().mode() & 0o7777,
                0o700,
                "{what}: {}",
                private.display()
            );
        }
        let digest = host.wait_for_change("serving")["digest"].as_str().unwrap().to_owned();
        let copy = directory.join(format!("submit-echo-1.1.0-{digest}.so"));
        assert_eq!(
            fs::read(&copy).unwrap(),
            fs::read(sample("submit-echo")).unwrap(),
            "{what}"
        );
        let maps = fs::read_to_string(format!("/proc/{}/maps", host.pid())).unwrap();
        let is_mapped = |path: &Path| maps.lines().any(|line| line.ends_with(path.to_str().unwrap()));
        assert!(is_mapped(&copy), "{what}:\n{maps}");
        assert!(!maps.contains(FILE), "{what}: the original is mapped:\n{maps}");
        host.stop();
        assert_eq!(directories(&base), Vec::<PathBuf>::new(), "{what}");
        assert!(base.join("host-data").exists(), "{what}");
    }
}

#[test]
fn each_host_has_its_own_and_a_killed_one_s_is_removed() {
    let site = site("");
    let base = site.path().join("run");
    let first = site.start();
    let of_first = only(&directories(&base));
    let second = site.start();
    assert_eq!(directories(&base).len(), 2);
    second.signal(Signal::KILL);
    second.wait();
    assert_eq!(directories(&base).len(), 2, "nobody was left to remove it");

    let third = site.start();
    let left = directories(&base);
    assert!(left.len() == 2 && left.contains(&of_first), "{left:?}");
    assert_eq!(copies(&of_first), 1, "the copy that serves");
    // A check comes and goes and takes nothing with it.
    assert_eq!(site.check(&[]).0, 0);
    assert_eq!(directories(&base), left);
    assert_eq!(first.connect().submit(0x02, b"").result, 0);
    third.stop();
    assert_eq!(directories(&base), [of_first]);
    first.stop();
    assert_eq!(directories(&base), Vec::<PathBuf>::new());
}

#[test]
fn whatever_happens_to_the_original_does_no_harm() {
    type Fate = fn(&Path);
    let fates: [(&str, Fate); 5] = [
        ("overwritten", |file| fs::write(file, vec![0xCC; 1 << 20]).unwrap()),
        ("cut off", |file| {
            File::options().write(true).open(file).unwrap().set_len(4096).unwrap()
        }),
        ("emptied", |file| drop(File::create(file).unwrap())),
        ("replaced", |file| {
            let new = file.with_extension("new");
            fs::write(&new, "new").unwrap();
            fs::rename(new, file).unwrap();
        }),
        ("deleted", |file| fs::remove_file(file).unwrap()),
    ];
    let site = site("[plugin.submit-echo.config]\nreply = true\n");
    let host = site.start();
    let mut client = host.connect();
    for (fate, bring_about) in fates {
        assert_eq!(client.submit(0x02, b"before").body, b"before", "{fate}");
        bring_about(&site.plugins().join(FILE));
        for number in 0..100u32 {
            let payload = number.to_be_bytes();
            assert_eq!(client.submit(0x02, &payload).body, payload, "{fate}");
        }
    }
    // Its shutdown, which has not run before, must be there too.
    host.stop();
}

#[test]
fn a_place_that_will_not_do_is_told_at_start() {
    type Make = fn(&Path, &Path);
    let cases: [(&str, &str, Make, &[&str]); 5] = [
        (
            "a file in the way",
            "plugins.staging = \"here\"\n",
            |_, here| fs::write(here, "").unwrap(),
            &["here", "File exists"],
        ),
        (
            "below a file",
            "plugins.staging = \"here/there\"\n",
            |_, here| fs::write(here, "").unwrap(),
            &["here/there", "Not a directory"],
        ),
        (
            "a link",
            "",
            |base, here| {
                fs::create_dir(here).unwrap();
                symlink(here, base).unwrap()
            },
            &["symbolic link", "host-staging-"],
        ),
        (
            "open to others",
            "",
            |base, _| {
                fs::create_dir(base).unwrap();
                fs::set_permissions(base, Permissions::from_mode(0o755)).unwrap()
            },
            &["0700", "0755"],
        ),
        (
            "no directory",
            "",
            |base, _| fs::write(base, "").unwrap(),
            &["no directory", "host-staging-"],
        ),
    ];
    for (what, configuration, make, texts) in cases {
        let site = site(configuration);
        make(&base_of(&site), &site.path().join("here"));
        refused_to_start(site.spawn(&[]), what, texts);
        let (code, _, stderr) = site.with_configuration(&["check"]);
        assert_eq!(code, 78, "{what}: {stderr}");
    }
}

#[test]
fn a_file_system_that_will_not_do_is_told_at_start() {
    for (what, options, texts) in [
        ("noexec", "noexec", &["noexec", "plugins.staging"][..]),
        ("read-only", "ro", &["Read-only", "plugins.staging"][..]),
    ] {
        let site = site("plugins.staging = \"mount\"\n");
        let mount = site.path().join("mount");
        fs::create_dir(&mount).unwrap();
        if let Some(host) = site.spawn_with_mounts(&format!("mount -t tmpfs -o {options} none {}", mount.display())) {
            refused_to_start(host, what, texts);
        }
    }
}

#[test]
fn a_staging_directory_that_goes_is_made_anew_with_its_copies() {
    let site = site("plugins.poll = \"200ms\"\n");
    let host = site.start();
    let base = site.path().join("run");
    // The user's last logout, and the next login.
    fs::remove_dir_all(&base).unwrap();
    fs::create_dir(&base).unwrap();
    site.copy(&sample("submit-log"), "libsubmit_log.so.1.0.0");
    assert_eq!(host.wait_for_change("added")["plugin"], "submit-log");
    host.wait_for_change("staging-renewed");
    tests::follow::quiet(&host, 0);
    let directory = only(&directories(&base));
    assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(copies(&directory), 2, "those that are served");
    assert!(host.changes("refused").is_empty(), "{}", show(&host.log()));
    host.stop();
    assert_eq!(directories(&base), Vec::<PathBuf>::new());
}

#[test]
fn a_copy_that_nothing_needs_goes() {
    let site = site("");
    let host = site.start();
    let directory = only(&directories(&site.path().join("run")));
    assert_eq!(copies(&directory), 1);
    let soname = site.plugins().join("libsubmit_echo.so.1");
    let file = site.plugins().join(FILE);
    fs::remove_file(soname).unwrap();
    fs::remove_file(&file).unwrap();
    host.wait_for_change("retired");
    tests::follow::quiet(&host, 0);
    assert_eq!(copies(&directory), 0);
    // It is open all the same, and serves again when it comes again.
    site.copy(&sample("submit-echo"), FILE);
    host.wait_for_change("added");
    assert_eq!(host.connect().submit(0x02, b"").result, 0);
    host.stop();
}

#[test]
fn another_user_s_runtime_directory_is_not_used() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give a directory away");
        return;
    }
    let site = site("");
    let run = site.path().join("run");
    chown(&run, Some(12345), None).unwrap();
    fs::set_permissions(&run, Permissions::from_mode(0o700)).unwrap();
    let temporary = site.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let host = site.spawn(&[("TMPDIR", temporary.to_str().unwrap())]);
    host.wait_for("listening");
    assert_eq!(directories(&temporary).len(), 1);
    assert_eq!(fs::read_dir(&run).unwrap().count(), 0);
    host.stop();
}

fn copies(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.extension().is_some_and(|ending| ending == "so"))
        .count()
}

/// A site with one plugin.
pub(crate) fn site(configuration: &str) -> Site {
    let site = Site::new(configuration);
    site.copy(&sample("submit-echo"), FILE);
    site
}

/// Where a host of this site stages by default.
fn base_of(site: &Site) -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    site.path().join(format!("run/host-staging-{user}"))
}

/// The staging directories of hosts below the place that is configured, or the default one.
fn directories(place: &Path) -> Vec<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    // It may be on its way.
    let entries = fs::read_dir(place.join(format!("host-staging-{user}")));
    let mut directories: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    directories.sort();
    directories
}

#[track_caller]
fn only(paths: &[PathBuf]) -> PathBuf {
    assert_eq!(paths.len(), 1, "{paths:?}");
    paths[0].clone()
}

/// The host must end with 78, before it listens, and say all this.
#[track_caller]
fn refused_to_start(host: Host, what: &str, texts: &[&str]) {
    let (status, log) = host.wait();
    let log = show(&log);
    assert_eq!(status.code(), Some(78), "{what}: {log}");
    assert!(texts.iter().all(|text| log.contains(text)), "{what}: {log}");
    assert!(!log.contains("listening"), "{what}: {log}");
}
