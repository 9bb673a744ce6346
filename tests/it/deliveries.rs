//! However a file comes into the plugin directory, it is judged once, and when it is whole.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;
use tests::cargo::run;
use tests::files::fifo;
use tests::follow::{Follower, quiet};
use tests::host::{Site, show};
use tests::scene::{NAME, SONAME, bring, made};
use tests::swaps::{constructed, real_name, start};

fn file(site: &Site, version: &str) -> PathBuf {
    site.plugins().join(real_name(NAME, version))
}

#[test]
fn a_file_whose_end_nobody_heard_of_is_judged_all_the_same() {
    let site = Site::new("");
    bring(&site, NAME, "1.0.0");
    let host = start(&site);
    let whole = fs::read(made(&site, NAME, "1.1.0", 0x10)).unwrap();
    let mut file = File::create(file(&site, "1.1.0")).unwrap();
    file.write_all(&whole[..1000]).unwrap();
    site.configure("plugins.watch = false\n");
    host.wait_for_change("configuration-reread");
    file.write_all(&whole[1000..]).unwrap();
    drop(file);
    quiet(&host, 0);
    host.wait_for_change_where("upgraded", "version", "1.1.0");
    host.stop();
}

// Long: a table of cases.
#[test]
fn however_a_file_is_delivered_it_is_judged_once_and_whole() {
    let deliveries: &[(&str, &str)] = &[
        ("cp", "cp FROM plugins/NAME"),
        (
            "cp in pieces",
            "exec 3> plugins/NAME; head -c 100000 FROM >&3; read line < pipe; tail -c +100001 FROM >&3",
        ),
        ("mv", "mv FROM plugins/NAME"),
        ("install", "install -m 755 FROM plugins/NAME"),
        (
            "a temporary name and a rename",
            "cp FROM plugins/.NAME.x7Gq && mv plugins/.NAME.x7Gq plugins/NAME",
        ),
        ("tar", "ln FROM NAME; tar c NAME | tar x -C plugins"),
        ("a hard link", "ln FROM plugins/NAME"),
        (
            "a folder exchanged by a link",
            "mkdir plugins/..1 && cp FROM plugins/..1/NAME && ln -s ..1 plugins/..tmp && mv -T plugins/..tmp plugins/..data && ln -s ..data/NAME plugins/NAME",
        ),
    ];
    let site = Site::new("plugins.poll = \"200ms\"\n");
    bring(&site, NAME, "1.0.0");
    let host = start(&site);
    for (number, (what, command)) in deliveries.iter().enumerate() {
        let version = format!("1.{}.0", number + 1);
        let from = made(&site, NAME, &version, 0x10);
        // A file of one's own, not the name that `tar` makes.
        let moved = site.path().join("from");
        fs::rename(from, &moved).unwrap();
        let name = format!("libhot_probe.so.{version}");
        let line = command.replace("FROM", "from").replace("NAME", &name);
        let pipe = site.path().join("pipe");
        let _ = fs::remove_file(&pipe);
        fifo(&pipe);
        let mut shell = Command::new("sh");
        shell.current_dir(site.path()).args(["-c", &format!("set -e; {line}")]);
        if command.contains("pipe") {
            let mut child = shell.spawn().unwrap();
            // Half of it is there while the host looks twice; then the rest may come.
            while !fs::metadata(file(&site, &version)).is_ok_and(|file| file.len() == 100_000) {
                std::thread::yield_now();
            }
            let mut events = Follower::new(&host);
            host.signal(Signal::HUP);
            events.next_where("configuration-reread", |_| true);
            File::options()
                .write(true)
                .open(&pipe)
                .unwrap()
                .write_all(b"on\n")
                .unwrap();
            assert!(child.wait().unwrap().success());
        } else {
            assert!(run(&mut shell).status.success(), "{what}");
        }
        host.wait_for_change_where("upgraded", "version", &version);
        assert_eq!(site.link(SONAME).unwrap(), name, "{what}");
        let _ = fs::remove_file(&moved);
        let _ = fs::remove_file(site.path().join(&name));
    }
    // `ln -sfn` removes the link before it makes the new one.
    assert!(
        run(Command::new("ln")
            .current_dir(site.plugins())
            .args(["-sfn", "libhot_probe.so.1.0.0", SONAME]))
        .status
        .success()
    );
    host.wait_for_change_where("rolled-back", "version", "1.0.0");
    let log = host.stop();
    for message in ["refused", "removed"] {
        assert!(!log.iter().any(|line| line["message"] == message), "{}", show(&log));
    }
    assert_eq!(constructed(&site).len(), deliveries.len() + 1);
}
