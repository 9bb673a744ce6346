//! plugins.toml in odd states: written in steps, cut to nothing, gone, a pipe, beyond what the machine can open. What runs
//! goes on; a damaged or unreadable file changes nothing.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use serde_json::Value;
use tests::bad::small;
use tests::cargo::{sample, succeed};
use tests::crates::{PluginCrate, source};
use tests::files::fifo;
use tests::follow::quiet;
use tests::host::{Host, Site, show};

const UNUSABLE: &str = "configuration unusable, the running one stays";

/// A site with one plugin, which serves 0x02 and echoes: `reply` is not its default.
const ECHO: &str = "[plugin.submit-echo.config]\nreply = true\n";

fn site(configuration: &str) -> Site {
    let site = Site::new(configuration);
    let plugin = small(site.path());
    site.copy(&plugin, "libsubmit_echo.so.1.1.0");
    site
}

/// Whether the plugin answers as [`ECHO`] has it, or as by default; nothing when it does not serve.
fn echoes(host: &Host) -> Option<bool> {
    let ack = host.connect().submit(0x02, b"x");
    (ack.result == 0).then_some(ack.body == b"x")
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The next event with this message that begins so, after as many as were there.
#[track_caller]
fn wait_for_another(host: &Host, message: &str, before: usize) -> Value {
    host.wait_until(&format!("another {message:?}"), |log| {
        let mut events = log.iter().filter(|line| says(line, message));
        events.nth(before).cloned()
    })
}

/// How often it has reread its configuration.
fn rereads(host: &Host) -> usize {
    host.changes("configuration-reread").len()
}

/// Waits until it has done so more often than `before`.
#[track_caller]
fn wait_for_reread(host: &Host, before: usize) {
    host.wait_for_status("another reread", |_| (rereads(host) > before).then_some(()));
}

fn says(line: &Value, message: &str) -> bool {
    line["message"].as_str().is_some_and(|text| text.starts_with(message))
}

fn count(host: &Host, message: &str) -> usize {
    host.log().iter().filter(|line| says(line, message)).count()
}

#[test]
fn a_file_that_is_written_in_steps_counts_once_it_rests() {
    let site = site("[plugin.submit-echo]\nenabled = false\n");
    let host = site.start();
    quiet(&host, 0);
    let before = rereads(&host);
    for round in 0..3 {
        // Each closing leaves a configuration in which the plugin is not disabled.
        site.configure("");
        append(&site.configuration(), "[plugin.submit-echo]\n");
        append(&site.configuration(), "enabled = false\n");
        wait_for_reread(&host, before + round);
    }
    assert!(host.changes("added").is_empty(), "{}", show(&host.log()));
    assert_eq!(echoes(&host), None);

    // A rename over it is followed, and the new file after it, whose inode is another one.
    for (round, reply) in [true, false, true].into_iter().enumerate() {
        let new = site.path().join("new.toml");
        let listen = "server.listen = \"127.0.0.1:0\"\n";
        fs::write(&new, format!("{listen}[plugin.submit-echo.config]\nreply = {reply}\n")).unwrap();
        fs::rename(new, site.configuration()).unwrap();
        wait_for_reread(&host, before + 3 + round);
        assert_eq!(echoes(&host), Some(reply));
    }
    host.stop();
}

#[test]
fn a_file_cut_to_nothing_is_damage() {
    let site = site(ECHO);
    let host = site.start();
    let empty = "the configuration is empty";
    for (seen, nothing) in ["", " \n\t\n"].into_iter().enumerate() {
        fs::write(site.configuration(), nothing).unwrap();
        wait_for_another(&host, empty, seen);
    }
    // Nor does SIGHUP put it in force.
    host.signal(Signal::HUP);
    let told = wait_for_another(&host, empty, 2);
    assert_eq!(told["level"], "ERROR", "{told:#}");
    assert_eq!(told["file"], site.configuration().to_str().unwrap());
    assert_eq!((echoes(&host), rereads(&host)), (Some(true), 0));

    // A comment alone says that nothing is what is meant.
    fs::write(site.configuration(), "# all defaults\n").unwrap();
    wait_for_reread(&host, 0);
    assert_eq!(echoes(&host), Some(false));
    host.stop();
}

#[test]
fn a_file_that_is_gone_is_told_once_and_found_when_it_is_back() {
    let site = site(&format!("plugins.poll = \"1h\"\n{ECHO}"));
    let host = site.start();
    let aside = site.path().join("aside.toml");
    fs::rename(site.configuration(), &aside).unwrap();
    let gone = wait_for_another(&host, "the configuration is gone", 0);
    assert_eq!(gone["file"], site.configuration().to_str().unwrap());
    // What is looked at meanwhile finds it gone as well.
    let other = site.path().join("other.so");
    fs::copy(sample("submit-log"), &other).unwrap();
    fs::rename(other, site.plugins().join("libsubmit_log.so.1.0.0")).unwrap();
    host.wait_for_change("added");
    assert_eq!(count(&host, "the configuration is gone"), 1);
    assert_eq!(echoes(&host), Some(true));

    let text = fs::read_to_string(aside).unwrap().replace("true", "false");
    fs::write(site.configuration(), text).unwrap();
    host.wait_for("the configuration is back");
    wait_for_reread(&host, 0);
    assert_eq!(echoes(&host), Some(false));
    // It is watched again, though no poll is near.
    site.configure(ECHO);
    wait_for_reread(&host, 1);
    assert_eq!(echoes(&host), Some(true));
    host.stop();
}

#[test]
fn what_is_no_file_holds_nobody_up() {
    let site = site(ECHO);
    let host = site.start();
    fs::remove_file(site.configuration()).unwrap();
    // Nobody ever opens its other end.
    fifo(&site.configuration());
    let pipe = wait_for_another(&host, UNUSABLE, 0);
    assert!(pipe["error"].as_str().unwrap().contains("found a FIFO"), "{pipe:#}");
    fs::remove_file(site.configuration()).unwrap();
    symlink("/dev/zero", site.configuration()).unwrap();
    host.signal(Signal::HUP);
    let device = wait_for_another(&host, UNUSABLE, 1);
    assert!(
        device["error"].as_str().unwrap().contains("found a character device"),
        "{device:#}"
    );
    fs::remove_file(site.configuration()).unwrap();
    fs::write(site.configuration(), "#".repeat((1 << 20) + 1)).unwrap();
    host.signal(Signal::HUP);
    let large = wait_for_another(&host, UNUSABLE, 2);
    assert!(
        large["error"].as_str().unwrap().contains("at most 1048576 bytes"),
        "{large:#}"
    );

    assert_eq!(echoes(&host), Some(true));
    site.configure("");
    wait_for_reread(&host, 0);
    assert_eq!(echoes(&host), Some(false));
    host.stop();
}

#[test]
fn a_pipe_is_read_once_at_the_start() {
    let site = site("");
    let pipe = fifo(&site.path().join("pipe"));
    // As a shell does it, whose descriptor is the pipe; the plugin directory is meant from where we are.
    let text = format!("server.listen = \"127.0.0.1:0\"\n{ECHO}");
    fs::remove_file(site.configuration()).unwrap();
    let writer = std::thread::spawn(move || File::create(pipe).unwrap().write_all(text.as_bytes()).unwrap());
    let host = site.spawn_after("exec 5< pipe; exec \"$0\" --log-format json --plugins /dev/fd/5");
    let once = wait_for_another(&host, "the configuration was read from a pipe or a device", 0);
    assert_eq!(once["level"], "INFO", "{once:#}");
    host.wait_for("listening");
    writer.join().unwrap();
    assert_eq!(echoes(&host), Some(true));
    // There is nothing to read again, and the plugin directory is looked at all the same.
    // It has no control socket, whose name would be the file's.
    host.signal(Signal::HUP);
    host.wait_for("configuration reread");
    assert_eq!((echoes(&host), count(&host, UNUSABLE)), (Some(true), 0));
    host.stop();

    // More than a configuration ever has.
    symlink("/dev/zero", site.configuration()).unwrap();
    let (code, _, stderr) = site.with_configuration(&["check"]);
    assert_eq!(code, 78, "{stderr}");
    assert!(
        stderr.contains("expected at most 1048576 bytes, found more"),
        "{stderr}"
    );
}

#[test]
fn relative_paths_are_those_of_the_start() {
    let site = site(&format!("plugins.staging = \"stage\"\n{ECHO}"));
    fs::create_dir(site.path().join("stage")).unwrap();
    // A plugin that takes the process elsewhere.
    let mut astray = PluginCrate::new("goes-astray");
    astray.source = source("", "std::env::set_current_dir(\"/\").unwrap(); Ack::ok()");
    site.copy(&astray.library(), "libgoes_astray.so.1.0.0");
    let host = site.spawn_after("exec \"$0\" --log-format json --plugins plugins.toml");
    host.wait_for("listening");
    assert_eq!(host.connect().submit(0x10, b"").result, 0);
    let folder = fs::read_link(format!("/proc/{}/cwd", host.pid())).unwrap();
    assert_eq!(folder, Path::new("/"));

    site.configure("");
    wait_for_reread(&host, 0);
    assert_eq!(echoes(&host), Some(false));
    site.copy(&sample("submit-log"), "libsubmit_log.so.1.0.0");
    host.wait_for_change("added");
    host.stop();
}

#[test]
fn numbers_that_json_has_not_are_errors_that_name_the_key() {
    let site = Site::default();
    for (text, line, says) in [
        ("[plugin.x.config]\n\nratio = inf", 3, "`plugin.x.config.ratio`: is inf"),
        (
            "[plugin.x]\nconfig = { a = [1.0, -nan] }",
            2,
            "`plugin.x.config.a[1]`: is nan",
        ),
    ] {
        fs::write(site.configuration(), text).unwrap();
        let (code, _, stderr) = site.with_configuration(&["check"]);
        assert_eq!(code, 78, "{stderr}");
        let begins = format!("host: {}:{line}: {says}", site.configuration().display());
        assert!(stderr.starts_with(&begins), "expected {begins}\n{stderr}");
    }
    // What is quoted can't speak to the terminal.
    fs::write(site.configuration(), "[server]\nlisten = \"\u{1b}[2J\"").unwrap();
    let (_, _, stderr) = site.with_configuration(&["check"]);
    assert!(
        stderr.contains("plugins.toml:2: ") && !stderr.contains('\u{1b}'),
        "{stderr:?}"
    );
}

#[test]
fn what_the_machine_can_not_open_is_no_verdict_and_tried_again() {
    let site = site(ECHO);
    let host = site.start();
    let pid = Pid::from_raw(i32::try_from(host.pid()).unwrap());
    let limit = getrlimit(Resource::Nofile);
    let none = Rlimit {
        current: Some(3),
        ..limit
    };
    prlimit(pid, Resource::Nofile, none).unwrap();
    site.configure("");
    let told = wait_for_another(&host, "configuration unavailable", 0);
    assert!(
        told["error"].as_str().unwrap().contains("Too many open files"),
        "{told:#}"
    );
    prlimit(pid, Resource::Nofile, limit).unwrap();
    wait_for_reread(&host, 0);
    assert_eq!(echoes(&host), Some(false));
    assert_eq!(
        (count(&host, "configuration unavailable"), count(&host, UNUSABLE)),
        (1, 0)
    );
    host.stop();
}

#[test]
fn a_busy_file_beside_it_or_beside_a_plugin_costs_no_memory() {
    let site = site(&format!("plugins.poll = \"1h\"\n{ECHO}"));
    let host = site.start();
    assert_eq!(echoes(&host), Some(true));
    quiet(&host, 0);
    let before = host.memory("VmHWM");
    for log in [site.path().join("host.log"), site.plugins().join("host.log")] {
        let mut log = File::create(log).unwrap();
        for _ in 0..200_000 {
            log.write_all(b"x").unwrap();
        }
    }
    let grown = host.memory("VmHWM") - before;
    assert!(grown < 4 << 20, "{grown} bytes for nothing");
    // Nothing that counts was lost meanwhile, and nothing waits behind it.
    let asleep = site.path().join("new.so");
    fs::copy(sample("submit-log"), &asleep).unwrap();
    fs::rename(asleep, site.plugins().join("libsubmit_log.so.1.0.0")).unwrap();
    host.wait_for_change("added");
    let seen = rereads(&host);
    site.configure("");
    wait_for_reread(&host, seen);
    assert_eq!(echoes(&host), Some(false));
    host.stop();
}

/// The limits are those of a user namespace of the host's own.
#[test]
fn what_can_not_be_watched_is_polled_and_tried_again() {
    for (limit, count_of, sysctl, unwatched) in [
        (
            "max_inotify_watches",
            1,
            "fs.inotify.max_user_watches",
            &["plugins.toml"][..],
        ),
        (
            "max_inotify_instances",
            0,
            "fs.inotify.max_user_instances",
            &["plugins", "plugins.toml"],
        ),
    ] {
        let site = site(&format!("plugins.poll = \"1s\"\n{ECHO}"));
        let Some(host) = site.spawn_with_mounts(&format!("echo {count_of} > /proc/sys/user/{limit}")) else {
            return;
        };
        let (failed, again) = ("can't be watched", "watched again");
        for (number, name) in unwatched.iter().enumerate() {
            let told = wait_for_another(&host, failed, number);
            assert_eq!(told["path"], site.path().join(name).to_str().unwrap(), "{told:#}");
            assert!(told["cure"].as_str().unwrap().contains(sysctl), "{told:#}");
        }
        // It is polled, and tried in vain; one line has said so.
        for reply in [false, true] {
            let seen = rereads(&host);
            site.configure(&format!(
                "plugins.poll = \"1s\"\n[plugin.submit-echo.config]\nreply = {reply}\n"
            ));
            wait_for_reread(&host, seen);
            assert_eq!(echoes(&host), Some(reply));
        }
        assert_eq!(
            (count(&host, failed), count(&host, again)),
            (unwatched.len(), 0),
            "{limit}"
        );

        let raise = format!("echo 100 > /proc/sys/user/{limit}");
        let pid = host.pid().to_string();
        succeed(Command::new("nsenter").args(["-t", &pid, "-U", "--preserve-credentials", "sh", "-c", &raise]));
        for (number, name) in unwatched.iter().enumerate() {
            let told = wait_for_another(&host, again, number);
            assert_eq!(told["path"], site.path().join(name).to_str().unwrap(), "{told:#}");
        }
        host.stop();
    }
}
