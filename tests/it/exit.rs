//! The process ends when it is told to, with the code that it should have, whatever a plugin has left behind for that
//! moment or done to the process before; and a write that fails is no death.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::process::Signal;
use serde_json::json;
use tests::cargo::sample;
use tests::crates::PluginCrate;
use tests::files::fifo;
use tests::host::{Host, Site, show};

/// Its init does what its configuration says, to the process that it shares with the host.
const SOURCE: &str = r#"
use plugin_api::{Ack, Context, Error, Handler, Submit, export_plugin};

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> i32;
    fn close(file: i32) -> i32;
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
}

extern "C" fn hang() { loop { std::thread::park() } }
extern "C" fn crash() { unsafe { std::ptr::null_mut::<u8>().write_volatile(1) } }
extern "C" fn nothing(_: i32) {}

#[used]
#[unsafe(link_section = ".fini_array")]
static AT_THE_END: extern "C" fn() = at_the_end;
static HANGS: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
extern "C" fn at_the_end() { if HANGS.load(std::sync::atomic::Ordering::Relaxed) { hang() } }

#[derive(serde::Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Config { does: String }

struct Plugin;

impl Handler for Plugin {
    type Config = Config;

    fn init(config: Config, _: &Context) -> Result<Self, Error> {
        match config.does.as_str() {
            "hang at exit" => unsafe { atexit(hang); },
            "crash at exit" => unsafe { atexit(crash); },
            "hang in a destructor" => HANGS.store(true, std::sync::atomic::Ordering::Relaxed),
            "take signals" => unsafe { for number in [15, 2, 1, 13] { signal(number, nothing); } },
            // SIGCHLD and SIG_IGN: the system reaps.
            "ignore children" => unsafe { signal(17, std::mem::transmute::<usize, extern "C" fn(i32)>(1)); },
            "reap children" => drop(std::thread::spawn(|| loop {
                unsafe { waitpid(-1, std::ptr::null_mut(), 0); }
                std::thread::sleep(std::time::Duration::from_millis(1));
            })),
            "close files" => unsafe { for file in 3..1000 { close(file); } },
            "close standard streams" => unsafe { for file in 0..3 { close(file); } },
            "wait" => loop { tracing::info!("waiting"); std::thread::park() },
            _ => {}
        }
        Ok(Plugin)
    }

    fn handle<'a>(&'a self, submit: Submit<'a>) -> Ack<'a> {
        if submit.payload == b"close files" { unsafe { for file in 3..1000 { close(file); } } }
        Ack::ok()
    }

    fn shutdown(&self) { tracing::info!("shut down"); }
}

export_plugin!(Plugin);
"#;

fn plugin() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut plugin = PluginCrate::new("exit-probe");
        plugin.dependencies = "serde = { version = \"1\", features = [\"derive\"] }\ntracing = \"0.1\"".to_owned();
        plugin.source = SOURCE.to_owned();
        plugin.library()
    })
}

fn configuration(does: &str) -> String {
    format!("server.drain_timeout = \"20s\"\n[plugin.exit-probe.config]\ndoes = {does:?}\n")
}

fn site(does: &str) -> Site {
    let site = Site::new(&configuration(does));
    site.copy(plugin(), "libexit_probe.so.1.0.0");
    site
}

/// It must end with this code, after its plugin was shut down.
#[track_caller]
fn ends_in_order(host: Host, what: &str) {
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{what}:\n{}", show(&log));
    for message in ["shut down", "stopped"] {
        assert!(
            log.iter().any(|line| line["message"] == message),
            "{what}:\n{}",
            show(&log)
        );
    }
}

#[test]
fn what_a_plugin_leaves_for_the_end_does_not_run() {
    for does in ["hang at exit", "crash at exit", "hang in a destructor"] {
        let site = site(does);
        let host = site.start();
        assert_eq!(host.connect().submit(0x10, b"").result, 0, "{does}");
        host.signal(Signal::TERM);
        ends_in_order(host, does);
    }
}

#[test]
fn signals_are_the_host_s_whoever_sets_handlers_for_them() {
    for signal in [Signal::TERM, Signal::INT] {
        let site = site("take signals");
        let host = site.start();
        let told = host.wait_until("who took them", |log| {
            log.iter().find(|line| line["signals"].is_array()).cloned()
        });
        assert_eq!(
            (&told["plugin"], &told["version"]),
            (&"exit-probe".into(), &"1.0.0".into())
        );
        // Those that were ignored before (by nohup, by a shell in the background) are no news.
        let signals = told["signals"].as_array().unwrap();
        assert!(signals.contains(&"SIGTERM".into()), "{told:#}");
        // A reload is one as well.
        host.signal(Signal::HUP);
        host.wait_for_change("configuration-reread");
        host.signal(signal);
        ends_in_order(host, "signals");
    }
}

#[test]
fn a_stop_waits_for_no_init() {
    let site = site("wait");
    let host = site.spawn(&[]);
    host.wait_for("waiting");
    host.signal(Signal::TERM);
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{}", show(&log));
    assert!(
        log.iter().any(|line| line["message"] == "stopped before it served"),
        "{}",
        show(&log)
    );
}

/// The host starts processes to try newcomers out in, and a plugin may have the system reap them, or do it itself. That accuses
/// no newcomer and holds nothing up.
#[test]
fn a_plugin_that_reaps_the_host_s_children_keeps_no_newcomer_from_serving() {
    for (does, codes) in [
        ("ignore children", &["process"][..]),
        ("reap children", &["process", "load-crash"]), // who comes first
    ] {
        let site = site(does);
        site.configure(&format!(
            "{}[plugin.trial-constructor]\ncommands = [0x11]\n",
            configuration(does)
        ));
        let host = site.spawn(&[("TRIAL", "crash")]);
        host.wait_for("listening");
        site.copy(&crate::trial::constructor(), "libtrial_constructor.so.1.0.0");
        let told = host.wait_until("what became of the newcomer that crashes", |log| {
            let is_it = |line: &&serde_json::Value| codes.iter().any(|code| line["code"] == *code);
            log.iter().find(is_it).cloned()
        });
        let cure = told["cure"].as_str().unwrap();
        assert!(told["code"] != "process" || cure.contains("SIGCHLD"), "{told:#}");
        site.copy(&sample("submit-echo"), "libsubmit_echo.so.1.1.0");
        host.wait_until("the other newcomer", |log| {
            let is_it = |line: &&serde_json::Value| line["message"] == "added" && line["plugin"] == "submit-echo";
            log.iter().find(is_it).cloned()
        });
        assert_eq!(host.connect().submit(0x02, b"").result, 0, "{does}");
        host.signal(Signal::TERM);
        ends_in_order(host, does);
    }
}

/// What is left of a host without its descriptors serves nobody: it must end, and not as if all were well.
#[test]
fn a_host_whose_descriptors_were_closed_ends_and_says_so() {
    let at_start = site("close files");
    let (status, log) = at_start.spawn(&[]).wait();
    assert_eq!(status.code(), Some(70), "at the start:\n{}", show(&log));
    let named = log.iter().find(|line| {
        line["message"]
            .to_string()
            .contains("closed the host's own descriptors")
    });
    assert_eq!(
        named.map(|line| &line["plugin"]),
        Some(&"exit-probe".into()),
        "{}",
        show(&log)
    );

    let site = site("nothing");
    let host = site.start();
    let mut client = host.connect();
    client.send(&tests::client::frame(0x10, b"00000001", b"close files"));
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(70), "in a handler:\n{}", show(&log));
}

/// Whoever accepts next would have their numbers, and with them the log.
#[test]
fn closed_standard_streams_lead_to_nobody() {
    let site = site("close standard streams");
    let host = site.start();
    let told = host.wait_until("who closed them", |log| {
        log.iter().find(|line| line["closed"].is_array()).cloned()
    });
    assert_eq!(
        (&told["plugin"], &told["closed"]),
        (&"exit-probe".into(), &json!(["stdin", "stdout", "stderr"]))
    );
    let mut client = host.connect();
    for _ in 0..10 {
        let mut bad = host.connect();
        bad.send(&[0; 4]); // a line in the log
        assert_eq!(bad.rest().unwrap(), b"");
    }
    assert_eq!(client.submit(0x10, b"").result, 0);
    drop(client);
    host.signal(Signal::TERM);
    ends_in_order(host, "closed streams");
}

#[test]
fn a_signal_at_any_moment_of_the_start_ends_it_and_accuses_nobody() {
    let site = Site::default();
    site.copy(&sample("submit-echo"), "libsubmit_echo.so.1.1.0");
    site.copy(&sample("submit-log"), "libsubmit_log.so.1.0.0");
    for round in 0..40 {
        let host = site.spawn(&[]);
        std::thread::sleep(std::time::Duration::from_millis(round * 2));
        host.signal(Signal::TERM);
        let (status, log) = host.wait();
        // 143, or the signal itself: before there was anything to stop.
        let is_early = status.code() == Some(143) || status.signal() == Some(15);
        assert!(
            status.code() == Some(0) || is_early,
            "round {round}: {status}\n{}",
            show(&log)
        );
        assert!(!show(&log).contains("did not return"), "round {round}:\n{}", show(&log));
    }
}

#[test]
fn a_signal_ends_a_host_whose_configuration_does_not_come() {
    let site = Site::default();
    fs::remove_file(site.configuration()).unwrap();
    fifo(&site.configuration());
    let host = site.spawn(&[]);
    let status = format!("/proc/{}/status", host.pid());
    // The signals are held back: the host is past its beginning.
    while !fs::read_to_string(&status)
        .unwrap()
        .contains("SigBlk:\t0000000001005003")
    {
        std::thread::yield_now();
    }
    host.signal(Signal::TERM);
    let (status, _) = host.wait();
    assert_eq!(status.code(), Some(143));
}

/// SIGXFSZ would be a death by default, in the middle of a private copy or of a line of the log.
#[test]
fn a_file_that_may_not_grow_is_an_error_of_a_write() {
    let site = Site::default();
    let small = site.path().join("small.so");
    tests::files::stripped(&sample("submit-echo"), &small);
    site.copy(&small, "libsubmit_echo.so.1.1.0");
    // In blocks of 512 bytes: less than the plugin has.
    let host = site.spawn_after("ulimit -f 64");
    assert_eq!(host.connect().submit(0x02, b"").result, 0xF0);
    let lack = host.wait_for_change("unavailable");
    assert_eq!(lack["code"], "staging", "{lack:#}");
    host.stop();

    // And the log in a file that is full: the host serves, and ends in order.
    let log = site.path().join("log");
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    site.configure(&format!("server.listen = \"{address}\"\n"));
    let script = format!("ulimit -f 2; exec \"$0\" --plugins plugins.toml 2> {}", log.display());
    let mut command = Command::new("sh");
    command
        .args(["-c", &script])
        .arg(tests::cargo::host_binary())
        .current_dir(site.path());
    let mut child = command.env("XDG_RUNTIME_DIR", site.path().join("run")).spawn().unwrap();
    while std::net::TcpStream::connect(address).is_err() {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    for _ in 0..100 {
        let mut client = tests::client::Client::connect(&address.to_string());
        client.send(&[0; 4]);
        assert_eq!(client.rest().unwrap(), b"");
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(fs::metadata(&log).unwrap().len() <= 1024);
}
