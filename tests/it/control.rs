//! A running host is asked over a socket of its own: where that is, and who may ask.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::getuid;
use tests::cargo::{host_binary, sample, succeed, text};
use tests::control::{STATUS, sockets, status};
use tests::host::{Site, fatal, show};

/// Another user, who is none in particular.
const OTHER: u32 = 65534;
const ANEW: &str = "the control socket is open now";
const NO_SOCKET: &str = "no control socket yet: no command can ask this host what runs; it is tried again";

pub(crate) fn socket(site: &Site) -> PathBuf {
    let found = sockets(&site.runtime_directory());
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn the_socket_is_its_owners_and_its_name_is_made_of_the_configurations_path() {
    let site = Site::with("", &[&sample("submit-echo")]);
    let host = site.spawn_after("umask 0");
    host.wait_for("listening");
    let path = socket(&site);
    let configuration = site.configuration().canonicalize().unwrap();
    let digest = succeed(
        Command::new("sh")
            .args(["-c", "printf %s \"$0\" | sha256sum"])
            .arg(&configuration),
    );
    let name = format!("{}.sock", &text(&digest)[..16]);
    let folder = site.path().join(format!("run/host-control-{}", getuid().as_raw()));
    assert_eq!(path, folder.join(name));
    assert_eq!((mode(&folder), mode(&path)), (0o700, 0o600));
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    let told = host.status();
    assert_eq!(told["host"]["pid"], host.pid());
    assert_eq!(told["host"]["user"], getuid().as_raw());
    assert_eq!(told["host"]["listen"], host.address());
    assert_eq!(told["host"]["configuration"], site.configuration().to_str().unwrap());

    // The same file by another way to its folder: the same name, which is taken. It serves all the same.
    symlink(site.path(), site.path().join("way")).unwrap();
    let mut again = site.command();
    again.args(["--log-format", "json", "--plugins", "way/plugins.toml"]);
    let again = tests::host::Host::spawn(again);
    let warning = again.wait_for(NO_SOCKET);
    assert!(
        warning["error"]
            .as_str()
            .unwrap()
            .contains("another process listens there"),
        "{warning}"
    );
    assert_eq!(again.connect().submit(0x02, b"").result, 0);
    again.stop();
    assert_eq!(
        status(&path, None).unwrap()["host"]["pid"],
        host.pid(),
        "the first one has it still"
    );
    // Another file is another host's.
    fs::copy(site.configuration(), site.path().join("other.toml")).unwrap();
    let mut other = site.command();
    other.args(["--log-format", "json", "--plugins", "other.toml"]);
    let other = tests::host::Host::spawn(other);
    assert_eq!(other.status()["host"]["pid"], other.pid());
    assert_eq!(sockets(&site.runtime_directory()).len(), 2);
    other.stop();

    // A killed host leaves its socket, and the next one replaces it; one that ends in order leaves nothing.
    drop(host);
    assert!(path.exists());
    let host = site.start();
    assert_eq!(status(&path, None).unwrap()["host"]["pid"], host.pid());
    host.stop();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn the_configuration_says_where_it_is_or_that_there_is_none() {
    let site = Site::new("admin.socket = \"admin.sock\"\n");
    let host = site.start();
    let path = site.path().join("admin.sock");
    assert_eq!((mode(&path), sockets(&site.runtime_directory()).len()), (0o600, 0));
    assert_eq!(status(&path, None).unwrap()["host"]["pid"], host.pid());
    let (code, log) = site.spawn(&[]).wait();
    assert_eq!(code.code(), Some(78), "{}", show(&log));
    assert!(
        fatal(&log).contains("admin.sock: another process listens there"),
        "{}",
        fatal(&log)
    );
    host.stop();
    assert!(!path.exists());

    site.configure("admin.socket = \"\"\n");
    let host = site.start();
    assert_eq!(
        fs::read_dir(site.runtime_directory())
            .unwrap()
            .filter(|entry| {
                entry
                    .as_ref()
                    .unwrap()
                    .file_name()
                    .to_str()
                    .unwrap()
                    .starts_with("host-control")
                    && fs::read_dir(entry.as_ref().unwrap().path()).unwrap().next().is_some()
            })
            .count(),
        0
    );
    host.stop();

    fs::write(site.path().join("file"), "").unwrap();
    for (path, what) in [
        ("gone/a.sock", "No such file"),
        ("file/a.sock", "Not a directory"),
        ("file", "found a regular file"),
        (&*format!("{}.sock", "a".repeat(200)), "at most 107 bytes"),
    ] {
        site.configure(&format!("admin.socket = \"{path}\"\n"));
        let (code, log) = site.spawn(&[]).wait();
        assert_eq!(code.code(), Some(78), "{path}: {}", show(&log));
        let said = fatal(&log);
        assert!(said.contains(what) && said.contains("admin.socket"), "{path}: {said}");
    }
}

#[test]
fn a_place_that_can_not_be_had_costs_the_socket_and_nothing_else() {
    type Spoil = fn(&Path);
    let cases: [(&str, Spoil); 3] = [
        ("with mode 0700, found mode 0755", |folder| {
            fs::create_dir(folder).unwrap();
            fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }),
        ("found a symbolic link", |folder| symlink("/tmp", folder).unwrap()),
        ("found a file", |folder| fs::write(folder, "").unwrap()),
    ];
    for (what, spoil) in cases {
        let site = Site::with("", &[&sample("submit-echo")]);
        let folder = site.path().join(format!("run/host-control-{}", getuid().as_raw()));
        spoil(&folder);
        let host = site.start();
        let warning = host.wait_for(NO_SOCKET);
        assert!(warning["error"].as_str().unwrap().contains(what), "{what}: {warning}");
        assert_eq!(host.connect().submit(0x02, b"").result, 0);
        host.stop();
    }
    // No runtime directory: the system's temporary one.
    let site = Site::default();
    let temporary = site.path().join("temporary");
    fs::create_dir(&temporary).unwrap();
    let host = site.spawn(&[
        ("XDG_RUNTIME_DIR", site.path().join("gone").to_str().unwrap()),
        ("TMPDIR", temporary.to_str().unwrap()),
    ]);
    host.wait_for("listening");
    assert_eq!(
        status(&sockets(&temporary)[0], None).unwrap()["host"]["pid"],
        host.pid()
    );
    host.stop();
    // It goes while the host runs, with all that lies in it, and comes back: so does the socket.
    let site = Site::with("", &[&sample("submit-echo")]);
    let host = site.start();
    let path = socket(&site);
    for file in [site.runtime_directory(), path.clone()] {
        let anew = host.events(ANEW).len();
        match file.is_dir() {
            true => fs::remove_dir_all(&file).unwrap(),
            false => fs::remove_file(&file).unwrap(),
        }
        assert_eq!(host.connect().submit(0x02, b"").result, 0);
        fs::create_dir_all(site.runtime_directory()).unwrap();
        host.wait_for_nth(ANEW, anew + 1);
        assert_eq!(status(&path, None).unwrap()["host"]["pid"], host.pid());
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
    }
    host.stop();
    assert!(!path.exists());
}

/// What `curl` gets from a socket as a user; nothing where there is no `curl`, and says so.
fn curl(socket: &Path, user: u32) -> Option<Output> {
    use std::os::unix::process::CommandExt;
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--unix-socket"]).arg(socket);
    curl.arg(format!("http://localhost{STATUS}"))
        .uid(user)
        .gid(user)
        .current_dir("/");
    match curl.output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("SKIPPED: no curl: {error}");
            None
        }
    }
}

/// Makes a folder and what lies in it another user's.
fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
    for entry in fs::read_dir(path).into_iter().flatten() {
        give(&entry.unwrap().path(), user);
    }
}

#[test]
fn another_user_gets_nothing_and_root_asks_every_host() {
    if !getuid().is_root() {
        eprintln!("SKIPPED: only root can be two users");
        return;
    }
    let site = Site::with("", &[&sample("submit-echo")]);
    let host = site.start();
    let path = socket(&site);
    let Some(own) = curl(&path, 0) else { return };
    assert!(own.status.success(), "{}", text(&own));
    // By the modes of the directory and the file; and where somebody has opened both, by who asks.
    for folder in [site.path(), &site.runtime_directory()] {
        fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    }
    let refused = |what: &str| {
        let answer = curl(&path, OTHER).unwrap();
        assert!(
            !answer.status.success() && answer.stdout.is_empty(),
            "{what}: {}",
            text(&answer)
        );
    };
    refused("modes");
    fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    refused("the file's mode");
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    (0..50).for_each(|_| refused("the user"));
    let told = host.wait_for("a client of the control socket is another user's, closed");
    assert_eq!(told["user"], OTHER);
    assert!(
        host.events("a client of the control socket is another user's, closed")
            .len()
            <= 20,
        "bounded"
    );
    host.stop();

    // A host of that user, whose binary and configuration it can read.
    let mut site = Site::new("");
    let binary = site.path().join("host");
    fs::copy(host_binary(), &binary).unwrap();
    site.binary = Some(binary);
    give(site.path(), OTHER);
    let mut command = site.command();
    command.args(["--log-format", "json", "--plugins", "plugins.toml"]);
    std::os::unix::process::CommandExt::uid(&mut command, OTHER);
    std::os::unix::process::CommandExt::gid(&mut command, OTHER);
    let host = tests::host::Host::spawn(command);
    assert_eq!(host.status()["host"]["user"], OTHER);
    assert_eq!(
        socket(&site).parent().unwrap().file_name().unwrap(),
        &*format!("host-control-{OTHER}")
    );
    assert!(curl(&socket(&site), OTHER).unwrap().status.success());
    host.stop();
}
