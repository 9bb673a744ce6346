//! What the machine lacks is no verdict on a file: it is said once, with what would help, tried again, and the others serve
//! meanwhile.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use tests::cargo::sample;
use tests::host::{Site, show};

use crate::staging::{FILE, site};

#[test]
fn a_plugin_that_has_no_room_waits_for_it_and_the_others_serve() {
    let site = Site::new("plugins.staging = \"mount\"\n");
    let mount = site.path().join("mount");
    fs::create_dir(&mount).unwrap();
    let small = site.path().join("small.so");
    tests::files::stripped(&sample("submit-echo"), &small);
    site.copy(&small, FILE);
    site.copy(&sample("submit-log"), "libsubmit_log.so.1.0.0");
    let Some(host) = site.spawn_with_mounts(&format!("mount -t tmpfs -o size=4m none {}", mount.display())) else {
        return;
    };
    assert_eq!(host.connect().submit(0x02, b"").result, 0);
    let lack = host.wait_for_change("unavailable");
    assert_eq!(lack["code"], "staging", "{lack:#}");
    assert!(lack["file"].as_str().unwrap().ends_with("libsubmit_log.so.1.0.0"));
    assert!(lack["cure"].as_str().unwrap().contains("plugins.staging"));
    assert!(host.changes("refused").is_empty(), "no verdict on the file");

    // Room is made, by nobody that the host hears of.
    let grow = Command::new("nsenter")
        .args([
            "--target",
            &host.pid().to_string(),
            "--mount",
            "--user",
            "--preserve-credentials",
        ])
        .args(["mount", "-o", "remount,size=400m"])
        .arg(&mount)
        .output()
        .unwrap();
    assert!(grow.status.success(), "{grow:?}");
    let added = host.wait_for_change("added");
    assert_eq!(added["plugin"], "submit-log");
    assert_eq!(host.connect().submit(0x03, b"").result, 0);
    host.stop();
}

/// It is tried less and less often, and the log hears of it once.
#[test]
fn what_goes_on_lacking_is_said_once() {
    let site = site("");
    // In blocks of 512 bytes: less than the plugin has.
    let host = site.spawn_after("ulimit -f 64");
    host.wait_for_change("unavailable");
    // Each HUP is a look, and so a try.
    for _ in 0..5 {
        tests::follow::quiet(&host, 0);
    }
    let log = host.stop();
    let told = log.iter().filter(|line| line["message"] == "unavailable, trying again");
    assert_eq!(told.count(), 1, "{}", show(&log));
}

#[test]
fn a_required_plugin_that_the_machine_has_no_room_for_is_told_with_that_reason() {
    let site = site("[plugin.submit-echo]\nrequired = true\n");
    let (status, log) = site.spawn_after("ulimit -f 64").wait();
    assert_eq!(status.code(), Some(78), "{}", show(&log));
    let lack = log.iter().find(|line| line["message"] == "unavailable, trying again");
    assert_eq!(
        lack.map(|lack| &lack["code"]),
        Some(&"staging".into()),
        "{}",
        show(&log)
    );
}

#[test]
fn descriptors_that_are_lacking_are_no_verdict_either() {
    let site = site("");
    let host = site.start();
    let pid = Pid::from_raw(i32::try_from(host.pid()).unwrap());
    let limit = |most| {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(20_000),
        };
        prlimit(pid, Resource::Nofile, limit).unwrap();
    };
    let before = getrlimit(Resource::Nofile).maximum.unwrap_or(20_000);
    limit(5);
    site.copy(&sample("submit-log"), "libsubmit_log.so.1.0.0");
    host.signal(Signal::HUP);
    host.wait_until("descriptors", |log| {
        log.iter()
            .find(|line| line["code"] == "descriptors" || line["error"].to_string().contains("os error 24"))
            .cloned()
    });
    limit(before.min(20_000));
    assert_eq!(host.wait_for_change("added")["plugin"], "submit-log");
    assert!(host.changes("refused").is_empty(), "{}", show(&host.log()));
    host.stop();
}

/// Somebody mounts the place anew while the host runs: that is no fault of the next file.
#[test]
fn a_place_that_becomes_noexec_is_the_machine_s_fault() {
    let site = site("");
    let [run, flag, done] = ["run", "flag", "done"].map(|name| site.path().join(name).display().to_string());
    let mounts = format!(
        "mount -t tmpfs none {run} && {{ (until [ -e {flag} ]; do sleep 0.05; done; mount -o remount,noexec {run}; touch {done}) \
         >/dev/null 2>&1 & }}"
    );
    let Some(host) = site.spawn_with_mounts(&mounts) else {
        return;
    };
    host.wait_for("listening");
    fs::write(&flag, "").unwrap();
    let deadline = std::time::Instant::now() + tests::host::PATIENCE;
    while !Path::new(&done).exists() {
        assert!(std::time::Instant::now() < deadline, "not mounted anew");
        std::thread::yield_now();
    }
    site.copy(&sample("submit-log"), "libsubmit_log.so.1.0.0");
    let lack = host.wait_for("unavailable, trying again");
    assert_eq!(lack["code"], "staging", "{lack:#}");
    assert!(lack["cure"].as_str().unwrap().starts_with("findmnt -T /"), "{lack:#}");
    // Its control socket is where only it can see it.
    assert_eq!(host.events("refused"), Vec::<serde_json::Value>::new());
    host.stop();
}
