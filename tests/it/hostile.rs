//! Surroundings and files that mean no good: a log that nobody reads, signals at the wrong time, names that are no files,
//! texts that would write to a terminal.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::cargo::sample;
use tests::client::Client;
use tests::crates::{PluginCrate, source};
use tests::files::{fifo, with_record};
use tests::host::{PATIENCE, Site, show};

#[test]
fn a_log_that_nobody_reads_ends_nothing() {
    // The address is not in a log that nobody reads, so it is chosen first.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let site = Site::with(&format!("[server]\nlisten = \"{address}\"\n"), &[&sample("submit-log")]);
    let mut command = site.command();
    command
        .arg("--plugins")
        .arg(site.configuration())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut host = command.spawn().unwrap();
    drop(host.stderr.take());
    let since = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(
            since.elapsed() < PATIENCE && host.try_wait().unwrap().is_none(),
            "no host at {address}"
        );
        std::thread::yield_now();
    }
    let mut client = Client::connect(&address.to_string());
    for _ in 0..3 {
        assert_eq!(client.submit(0x03, b"logged by the plugin").result, 0);
    }
    client.send(b"\x00\x00\x00\x00 malformed, logged by the host");
    assert_eq!(client.rest().unwrap(), b"");
    kill_process(Pid::from_child(&host), Signal::TERM).unwrap();
    assert!(host.wait().unwrap().success());
}

#[test]
fn a_thread_that_logs_while_it_ends_ends_nothing_else() {
    let mut plugin = PluginCrate::new("hostile-ending");
    plugin.dependencies = "tracing = \"0.1\"".to_owned();
    let items = "struct Last;
        impl Drop for Last { fn drop(&mut self) { tracing::info!(\"in a destructor\") } }
        thread_local! { static LAST: Last = const { Last } }";
    let body =
        "std::thread::spawn(|| { LAST.with(|_| ()); tracing::info!(\"on a thread\") }).join().unwrap(); Ack::ok()";
    plugin.source = source(items, body);
    let site = Site::with("", &[&plugin.library()]);
    let host = site.start();
    for _ in 0..10 {
        assert_eq!(host.connect().submit(0x10, b"").result, 0);
    }
    host.wait_until("tenth line", |log| {
        (log.iter().filter(|event| event["message"] == "on a thread").count() == 10).then_some(())
    });
    let log = host.stop();
    // Nothing went past the log.
    assert!(log.iter().all(Value::is_object), "{}", show(&log));
}

#[test]
fn a_signal_during_the_start_is_heard_before_anybody_is_served() {
    let mut plugin = PluginCrate::new("hostile-slow");
    plugin.source = source("", "Ack::ok()").replace(
        "Ok(Plugin)",
        "tracing::info!(\"waiting\"); std::fs::read(std::env::var(\"PIPE\")?)?; Ok(Plugin)",
    );
    plugin.dependencies = "tracing = \"0.1\"".to_owned();
    let site = Site::with("", &[&plugin.library()]);
    let pipe = fifo(&site.path().join("pipe"));
    let host = site.spawn(&[("PIPE", pipe.to_str().unwrap())]);
    host.wait_for("waiting");
    host.signal(Signal::TERM);
    // Its init goes on waiting, and nobody waits for it.
    let (status, log) = host.wait();
    assert!(status.success(), "{status}");
    assert!(!log.iter().any(|event| event["message"] == "listening"), "{log:#?}");
}

#[test]
fn a_configuration_check_that_never_returns_is_a_refusal() {
    let mut plugin = PluginCrate::new("hostile-check");
    let slow = "struct Slow;
        impl<'de> serde::Deserialize<'de> for Slow {
            fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Slow, D::Error> {
                let _ = std::fs::read(std::env::var(\"PIPE\").unwrap());
                Ok(Slow)
            }
        }";
    plugin.source = source(slow, "Ack::ok()")
        .replace("type Config = ();", "type Config = Slow;")
        .replace("_: ()", "_: Slow");
    plugin.dependencies = "serde = \"1\"".to_owned();
    let site = Site::with(
        "[plugins]\ninit_timeout = \"300ms\"\n",
        &[&plugin.library(), &sample("submit-echo")],
    );
    let pipe = fifo(&site.path().join("pipe"));
    let host = site.spawn(&[("PIPE", pipe.to_str().unwrap())]);
    assert_eq!(host.wait_for_change("refused")["code"], "load-timeout");
    assert_eq!(host.connect().submit(0x02, b"").result, 0);
    host.stop();
}

#[test]
fn texts_of_a_file_do_not_write_to_the_terminal() {
    let site = Site::default();
    let file = site.path().join("libsubmit_echo.so");
    with_record(&sample("submit-echo"), &file, |record| {
        record.description = "\u{1b}[2Jcleared\nforged".to_owned()
    });
    let shown = site.host(&["inspect", file.to_str().unwrap()]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("cleared") && !shown.contains('\u{1b}') && !shown.contains("\nforged"),
        "{shown}"
    );

    symlink("nowhere\nFORGED: serves", site.plugins().join("libsubmit_echo.so.1")).unwrap();
    let (_, table, _) = site.with_configuration(&["check"]);
    assert!(table.contains("FORGED") && !table.contains("\nFORGED"), "{table}");
}

#[test]
fn an_installation_says_when_it_does_not_serve() {
    let echo = sample("submit-echo");
    let install = |site: &Site| site.with_configuration(&["install", echo.to_str().unwrap()]);
    let case = |prepare: &dyn Fn(&Path)| {
        let site = Site::default();
        prepare(&site.plugins());
        install(&site)
    };
    let (code, stdout, stderr) = case(&|plugins| {
        fifo(&plugins.join("libsubmit_echo.so.1.1.0"));
    });
    assert!(
        code == 1 && stderr.contains("a special file"),
        "a pipe at the real name: {stdout}{stderr}"
    );
    let (code, stdout, stderr) = case(&|plugins| fs::create_dir(plugins.join("libsubmit_echo.so.1")).unwrap());
    assert!(
        code == 1 && stdout.contains("does not serve it"),
        "a folder at the soname: {stdout}{stderr}"
    );

    let site = Site::with("", &[&echo]);
    assert_eq!(install(&site).0, 0, "the same again");
    let (code, _, stderr) = site.with_configuration(&["install", "nothing.so"]);
    assert!(code == 1, "{stderr}");
}

#[test]
fn check_judges_a_directory_that_a_start_would_not_read() {
    let site = Site::new("[plugins]\ndir = \"loop\"\n");
    symlink("loop", site.path().join("loop")).unwrap();
    for command in [&["check"][..], &["serve"]] {
        let (code, _, stderr) = site.with_configuration(command);
        assert!(
            code == 78 && stderr.contains("plugins.dir"),
            "{command:?}: {code} {stderr}"
        );
    }
}
