//! What `host install` says beside a host that runs is what happened there: it waits for the outcome, for a bounded time, and says
//! so where there is no host to ask.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use tests::cargo::{run, succeed, text};
use tests::files::{fifo, writer};
use tests::host::{PATIENCE, Site};
use tests::installing::{expect, install, linked, offered, with_first};
use tests::scene::SONAME;

#[test]
fn it_says_what_serves_after_an_upgrade_and_after_any_version_that_is_asked_for() {
    let (site, host) = with_first("");
    let pid = format!("(process ID {})", host.pid());
    let said = install(&site, "1.2.0", &[], 0);
    expect(&said, &["libhot_probe.so.1.2.0 serves", &pid, "; 1.0.0 is "]);
    assert_eq!(linked(&site), "1.2.0");
    // One that lay there before, a lower one that is new, one whose plugin was taken away, and one that serves already.
    expect(
        &install(&site, "1.0.0", &[], 0),
        &["was there already", "libhot_probe.so.1.0.0 serves", "; 1.2.0 is "],
    );
    host.wait_for_change("rolled-back");
    install(&site, "1.2.0", &[], 0);
    expect(&install(&site, "1.1.0", &[], 0), &["libhot_probe.so.1.1.0 serves"]);
    assert_eq!(linked(&site), "1.1.0");
    fs::remove_file(site.plugins().join(SONAME)).unwrap();
    host.wait_for_change("removed");
    expect(&install(&site, "1.1.0", &[], 0), &["libhot_probe.so.1.1.0 serves"]);
    assert_eq!(linked(&site), "1.1.0");
    expect(&install(&site, "1.1.0", &[], 0), &["was there already", "serves"]);
    assert_eq!(host.connect().submit(0x10, b"").result, 0);
    host.stop();
}

#[test]
fn nobody_is_waited_for_with_no_wait_and_without_a_host() {
    let (site, host) = with_first("");
    let said = install(&site, "1.1.0", &["--no-wait"], 0);
    assert!(!said.contains("serves") && !said.contains("no running host"), "{said}");
    assert_eq!(linked(&site), "1.1.0");
    host.wait_for_change("upgraded");
    host.stop();
    let said = install(&site, "1.2.0", &[], 0);
    expect(&said, &["no running host that this user can see"]);
    assert_eq!(linked(&site), "1.2.0");
}

#[test]
fn a_host_that_does_not_follow_changes_is_told_by_the_command_that_is_printed() {
    let site = Site::new("plugins.watch = false\n");
    let host = site.start();
    let said = install(&site, "1.0.0", &[], 0);
    let command = format!("kill -HUP {}", host.pid());
    expect(&said, &["watch = false", &command]);
    assert!(!said.contains("serves"), "{said}");
    succeed(Command::new("sh").args(["-c", &command]));
    host.wait_for_change("added");
    host.stop();
}

#[test]
fn time_is_bounded_and_the_host_goes_on() {
    let pipe = |site: &Site| fifo(&site.path().join("pipe"));
    let site = Site::default();
    let pipe = pipe(&site);
    site.configure(&format!("[plugin.hot-probe.config]\npipe = {pipe:?}\n"));
    let host = site.start();
    let said = install(&site, "1.0.0", &["--timeout", "1s"], 1);
    expect(
        &said,
        &[
            "has not come to an end with it in time",
            "it goes on by itself",
            "host check --plugins",
        ],
    );
    host.wait_for_change("opening");
    drop(writer(&pipe));
    host.wait_for_change("added");
    assert_eq!(linked(&site), "1.0.0");
    host.stop();
}

#[test]
fn a_host_that_starts_is_waited_for() {
    let site = Site::default();
    let pipe = fifo(&site.path().join("pipe"));
    site.configure(&format!("[plugin.hot-probe.config]\npipe = {pipe:?}\n"));
    site.copy(&offered(&site, "1.0.0"), "libhot_probe.so.1.0.0");
    let host = site.spawn(&[]);
    host.wait_for_change("opening"); // its init waits for the pipe
    let said = install(&site, "1.1.0", &["--timeout", "1s"], 1);
    expect(&said, &["its start", "nothing was installed", &host.pid().to_string()]);
    assert!(!site.plugins().join("libhot_probe.so.1.1.0").exists());
    let writer = writer(&pipe);
    // What the next init reads, at once.
    fs::remove_file(&pipe).unwrap();
    fs::write(&pipe, "").unwrap();
    std::thread::scope(|scope| {
        let installed = scope.spawn(|| install(&site, "1.1.0", &[], 0));
        drop(writer);
        host.wait_for("listening");
        expect(
            &installed.join().unwrap(),
            &["libhot_probe.so.1.1.0 serves", "; 1.0.0 is "],
        );
    });
    host.stop();
}

/// `host install` of this version, begun.
fn begun(site: &Site, version: &str) -> Child {
    let mut command = site.command();
    command
        .arg("install")
        .arg(offered(site, version))
        .arg("--plugins")
        .arg(site.configuration());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Interrupts it once this is so and it takes the signal itself, as a shell's Ctrl-C; gives exit code and what it said.
#[track_caller]
fn interrupted(install: Child, is_time: impl Fn() -> bool) -> (Option<i32>, String) {
    let process = Pid::from_raw(i32::try_from(install.id()).unwrap()).unwrap();
    let catches = || {
        let status = fs::read_to_string(format!("/proc/{}/status", install.id())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        caught.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & 2 != 0) // SIGINT is number 2
    };
    let deadline = Instant::now() + PATIENCE;
    while !(catches() && is_time()) {
        assert!(Instant::now() < deadline, "it does not wait");
        std::thread::yield_now();
    }
    kill_process(process, Signal::INT).unwrap();
    let output = install.wait_with_output().unwrap();
    (output.status.code(), text(&output))
}

#[test]
fn an_interruption_takes_the_link_back() {
    let site = Site::new("[plugin.hot-probe.config]\npipe = \"pipe\"\n");
    let pipe = site.path().join("pipe");
    fs::write(&pipe, "").unwrap();
    let host = site.start();
    for version in ["1.0.0", "1.2.0"] {
        install(&site, version, &[], 0);
    }
    // From now on an init hangs.
    fs::remove_file(&pipe).unwrap();
    fifo(&pipe);
    let (code, said) = interrupted(begun(&site, "1.1.0"), || linked(&site) == "1.1.0");
    assert_eq!(code, Some(1), "{said}");
    expect(&said, &["interrupted before", "hot-probe 1.2.0 serves on"]);
    assert_eq!(linked(&site), "1.2.0");
    assert_eq!(host.connect().submit(0x10, b"").result, 0);
}

#[test]
fn an_interruption_while_the_host_starts_changes_nothing() {
    let site = Site::default();
    let pipe = fifo(&site.path().join("pipe"));
    site.configure(&format!("[plugin.hot-probe.config]\npipe = {pipe:?}\n"));
    site.copy(&offered(&site, "1.0.0"), "libhot_probe.so.1.0.0");
    let host = site.spawn(&[]);
    host.wait_for_change("opening");
    let (code, said) = interrupted(begun(&site, "1.1.0"), || true);
    assert_eq!(code, Some(1), "{said}");
    expect(&said, &["interrupted", "nothing was installed"]);
    assert!(!site.plugins().join("libhot_probe.so.1.1.0").exists());
}

#[test]
fn a_host_that_ends_meanwhile_has_served_nothing() {
    for signal in [Signal::KILL, Signal::TERM] {
        let (site, host) = with_first("");
        let pipe = fifo(&site.path().join("pipe"));
        // What serves is made anew with it, in vain; 1.1.0 waits for it, too.
        site.configure(&format!("[plugin.hot-probe.config]\nlock = true\npipe = {pipe:?}\n"));
        let held = writer(&pipe);
        let install = begun(&site, "1.1.0");
        // It is in the directory: the host has it, or will.
        let deadline = Instant::now() + PATIENCE;
        while !site.plugins().join("libhot_probe.so.1.1.0").exists() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        host.signal(signal);
        let output = install.wait_with_output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{signal:?}: {said}");
        expect(
            &said,
            &["has ended before it served it", &format!("process ID {}", host.pid())],
        );
        assert_eq!(linked(&site), "1.0.0", "{signal:?}");
        drop(held);
        host.wait();
    }
}

#[test]
fn two_hosts_on_one_directory_are_asked_each_for_itself() {
    let (site, host) = with_first("[plugin.hot-probe.config]\nlock = true\n");
    let other = Site::new(&format!("plugins.dir = {:?}\n", site.plugins()));
    let second = other.start();
    // Only the second one takes it: the first one's own instance holds the lock that its newcomer needs.
    let file = offered(&site, "1.1.0");
    let ask = |of: &Site| of.with_configuration(&["install", file.to_str().unwrap()]);
    let (code, said, stderr) = ask(&other);
    assert_eq!(code, 0, "{said}{stderr}");
    expect(&said, &["libhot_probe.so.1.1.0 serves", &second.pid().to_string()]);
    let (code, said, stderr) = ask(&site);
    assert_eq!(code, 1, "{said}{stderr}");
    expect(
        &said,
        &[
            "load-init",
            "1.0.0 serves on",
            "back to what serves: ln -sfn libhot_probe.so.1.0.0",
        ],
    );
    second.stop();
    host.stop();
}

#[test]
fn what_answers_and_is_no_host_is_an_error_before_anything_is_changed() {
    let site = Site::default();
    let socket = site.path().join("control.sock");
    site.configure(&format!("admin.socket = {socket:?}\n"));
    let listener = UnixListener::bind(&socket).unwrap();
    let rubbish = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.write_all(b"\x00\x00\x00\x0dno HTTP\r\n\r\n").unwrap();
        (listener, client)
    });
    let said = install(&site, "1.0.0", &[], 1);
    expect(
        &said,
        &[
            "can't be asked",
            "nothing was installed",
            "--no-wait",
            socket.to_str().unwrap(),
        ],
    );
    drop(rubbish.join().unwrap());
    assert_eq!(fs::read_dir(site.plugins()).unwrap().count(), 0);
    // Now nobody listens there.
    install(&site, "1.0.0", &[], 0);
}

#[test]
fn a_link_to_what_is_no_text_keeps_no_command_from_the_host() {
    use std::os::unix::ffi::OsStrExt;
    let (site, host) = with_first("");
    let odd = std::ffi::OsStr::from_bytes(b"lib\xff.so.1");
    std::os::unix::fs::symlink(odd, site.plugins().join("libother.so.1")).unwrap();
    host.wait_for_change("refused");
    expect(&install(&site, "1.1.0", &[], 0), &["libhot_probe.so.1.1.0 serves"]);
    host.stop();
}

/// The host's user has no right to move links, and root's installation does; another user sees neither.
#[test]
fn root_and_other_users_beside_a_host_that_may_not_write_its_directory() {
    const USER: u32 = 54_321;
    const OTHER: u32 = 54_322;
    let site = Site::default();
    let (program, temporary) = (site.path().join("host"), site.path().join("tmp"));
    fs::copy(tests::cargo::host_binary(), &program).unwrap();
    fs::create_dir(&temporary).unwrap();
    let give = |path: &Path| std::os::unix::fs::chown(path, Some(USER), None);
    if give(site.path()).is_err() {
        eprintln!("SKIPPED: only root can start a host as another user");
        return;
    }
    let mode = |path: &Path, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    mode(site.path(), 0o755);
    mode(&temporary, 0o1777);
    let as_user = |user: u32| format!("setpriv --reuid={user} --clear-groups --inh-caps=-all");
    let environment = format!("unset XDG_RUNTIME_DIR; export TMPDIR={}", temporary.display());
    // At its start it serves what has no link, and can give it none.
    site.copy(&offered(&site, "1.0.0"), "libhot_probe.so.1.0.0");
    let host = site.spawn_after(&format!(
        "{environment}; exec {} {} \"$@\"",
        as_user(USER),
        program.display()
    ));
    host.wait_for("listening");
    let ask = |prefix: &str, version: &str| {
        let file = offered(&site, version);
        mode(file.parent().unwrap(), 0o755);
        let command = format!(
            "{environment}; exec {prefix} {} install {} --plugins {}",
            program.display(),
            file.display(),
            site.configuration().display()
        );
        let output = run(Command::new("sh").current_dir(site.path()).args(["-c", &command]));
        (output.status.code(), text(&output))
    };
    for version in ["1.0.0", "1.1.0"] {
        let (code, said) = ask("", version);
        assert_eq!(code, Some(0), "{said}");
        expect(
            &said,
            &[&format!("libhot_probe.so.{version} serves"), &host.pid().to_string()],
        );
        assert_eq!(linked(&site), version);
    }
    let (code, said) = ask(&as_user(USER), "1.2.0");
    assert_eq!(code, Some(1), "{said}");
    expect(&said, &["can't write"]);
    // Another user may write there, and does not see the host.
    std::os::unix::fs::chown(site.plugins(), None, Some(OTHER)).unwrap();
    mode(&site.plugins(), 0o775);
    let member = format!("{} --regid={OTHER}", as_user(OTHER));
    let (code, said) = ask(&member, "1.2.0");
    assert_eq!(code, Some(0), "{said}");
    expect(&said, &["no running host that this user can see"]);
    host.stop();
}
