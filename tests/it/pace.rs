//! Whoever is ready does not wait for the sum of what others' calls block, however short each of them is; and who blocks is in
//! the log. That holds also while nothing new can begin, because a library's start-up code is running.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use tests::cargo::sample;
use tests::client::{Client, frame};
use tests::crates::{PluginCrate, source};
use tests::files::{fifo, writer};
use tests::host::{PATIENCE, Site};

const WARNING: &str = "handlers block, other threads serve in their place";

#[test]
fn calls_that_block_for_less_than_a_tick_come_to_block_beside_each_other() {
    let site = Site::with("server.threads = 1", &[sleeping(), &sample("submit-echo")]);
    let host = site.start();
    let mut clients: Vec<Client> = (0..40).map(|_| host.connect()).collect();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| {
                let started = Instant::now();
                while !over.load(Ordering::Relaxed) && started.elapsed() < PATIENCE {
                    // The body: how many calls were under way.
                    if client.submit(0x10, b"").body[0] >= 8 {
                        over.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(over.load(Ordering::Relaxed), "one call at a time");
    let said = host.wait_for(WARNING);
    assert_eq!(
        (&said["plugin"], &said["version"], &said["command"]),
        (&"sleeping".into(), &"1.0.0".into(), &0x10.into()),
        "{said}"
    );
    assert_eq!(host.connect().submit(0x02, b"").result, 0);
    drop(clients);
    host.stop();
}

#[test]
fn handlers_that_block_hold_up_nobody_while_start_up_code_runs() {
    let site = Site::with(
        "server.threads = 1\nserver.idle_timeout = \"1s\"\nplugins.init_timeout = \"100s\"",
        &[waiting(), &sample("submit-echo")],
    );
    let constructor = fifo(&site.path().join("constructor"));
    let host = site.spawn(&[("CONSTRUCTOR", constructor.to_str().unwrap())]);
    host.wait_for("listening");
    assert_eq!(host.connect().submit(0x02, b"").result, 0);
    site.copy(&constructing(), "libconstructing.so.1.0.0");
    let mut running = writer(&constructor); // somebody reads it: the start-up code
    let mut blocked: Vec<(Client, File)> = (0..8)
        .map(|number| {
            let pipe = fifo(&site.path().join(format!("pipe{number}")));
            let mut client = host.connect();
            client.send(&frame(0x10, b"00000001", pipe.to_str().unwrap().as_bytes()));
            (client, writer(&pipe))
        })
        .collect();
    assert_eq!(host.connect().submit(0x02, b"").result, 0);
    // The clock goes on as well.
    assert_eq!(host.connect().rest().unwrap(), b"");
    for (client, pipe) in &mut blocked {
        pipe.write_all(b"done").unwrap();
        assert_eq!(client.ack().body, b"");
    }
    running.write_all(b"done").unwrap();
    drop((running, blocked));
    host.wait_until("the newcomer", |log| {
        log.iter().find(|line| line["plugin"] == "constructing").cloned()
    });
    host.stop();
}

/// Its handler sleeps for less than a tick of the host's clock.
fn sleeping() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut plugin = PluginCrate::new("sleeping");
        let sleep = "let now = RUNNING.fetch_add(1, Ordering::Relaxed) + 1;
            std::thread::sleep(std::time::Duration::from_millis(20));
            RUNNING.fetch_sub(1, Ordering::Relaxed);
            Ack::ok().body(vec![now])";
        plugin.source = source(
            "use std::sync::atomic::{AtomicU8, Ordering};\nstatic RUNNING: AtomicU8 = AtomicU8::new(0);",
            sleep,
        );
        plugin.library()
    })
}

/// Its handler reads one byte of the file that the payload names.
fn waiting() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut plugin = PluginCrate::new("waiting");
        let read = "let path = String::from_utf8_lossy(submit.payload).into_owned();
            std::io::Read::read(&mut std::fs::File::open(path).unwrap(), &mut [0]).unwrap();
            Ack::ok()";
        plugin.source = source("", read);
        plugin.library()
    })
}

/// Its start-up code reads one byte of the file that the host's variable CONSTRUCTOR names, if there is one.
fn constructing() -> PathBuf {
    let mut plugin = PluginCrate::new("constructing");
    let constructor = r#"
        #[used]
        #[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
        static CONSTRUCTOR: extern "C" fn() = construct;
        extern "C" fn construct() {
            if let Some(file) = std::env::var_os("CONSTRUCTOR") {
                let mut file = std::fs::File::open(file).unwrap();
                std::io::Read::read(&mut file, &mut [0]).unwrap();
            }
        }
    "#;
    plugin.source = source(constructor, "Ack::ok()");
    plugin.commands = Some("[0x11]".to_owned());
    plugin.library()
}
