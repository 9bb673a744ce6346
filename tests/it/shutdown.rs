//! The end: what was read is acked, each plugin is shut down once, and neither a call nor a plugin that never returns
//! keeps the process alive.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::process::Signal;
use tests::client::{frame, id};
use tests::crates::PluginCrate;
use tests::files::fifo;
use tests::host::{Site, show};

/// Answers at once.
const QUICK: u8 = 0x10;
/// Reads the file that the payload names, and answers with what it says; a pipe keeps it waiting for as long as we like.
const READ: u8 = 0x11;

#[test]
fn a_signal_ends_it_in_order() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let site = site("");
        let pipe = fifo(&site.path().join("pipe"));
        let host = site.start();
        let mut idle = host.connect();
        assert_eq!(idle.submit(QUICK, b"").result, 0);
        // One read: a call that takes its time, and frames before and after it.
        let mut client = host.connect();
        let mut bytes = frame(QUICK, b"00000000", b"");
        bytes.extend(frame(READ, b"00000001", pipe.to_str().unwrap().as_bytes()));
        (2..100).for_each(|number| bytes.extend(frame(QUICK, &id(number), b"")));
        client.send(&bytes);
        host.wait_for("reading");

        host.signal(signal);
        assert_eq!(host.wait_for("stopping")["signal"], name);
        host.wait_for("no longer accepting");
        let refused = TcpStream::connect(host.address())
            .map(drop)
            .map_err(|error| error.kind());
        assert_eq!(refused, Err(ErrorKind::ConnectionRefused), "{name}");
        // Nobody holds up the idle connection. Its peer hears of the end before any plugin is shut down.
        assert_eq!(idle.rest().unwrap(), b"", "{name}");
        assert_eq!(witnessed(&site), "init\n", "{name}");

        fs::write(&pipe, "what it waited for").unwrap();
        for number in 0..100 {
            let ack = client.ack();
            assert_eq!((ack.id, ack.result), (id(number), 0), "{name}");
            assert_eq!(
                ack.body,
                if number == 1 { &b"what it waited for"[..] } else { b"" },
                "{name}"
            );
        }
        assert_eq!(client.rest().unwrap(), b"", "{name}");
        drop((client, idle));
        let (status, log) = host.wait();
        assert_eq!(status.code(), Some(0), "{name}:\n{}", show(&log));
        assert!(
            log.iter().any(|line| line["message"] == "all connections closed"),
            "{}",
            show(&log)
        );
        assert_eq!(witnessed(&site), "init\nread\nshutdown\ndrop\n", "{name}");
    }
}

#[test]
fn a_submit_that_comes_after_the_signal_is_turned_away() {
    let site = site("");
    let pipe = fifo(&site.path().join("pipe"));
    let host = site.start();
    let mut client = host.connect();
    client.send(&frame(READ, b"00000001", pipe.to_str().unwrap().as_bytes()));
    host.wait_for("reading");
    host.signal(Signal::TERM);
    host.wait_for("no longer accepting"); // "stopping" is said just before it is known to all
    // The connection is inside the call: it reads this only after the signal.
    client.send(&[frame(QUICK, b"00000002", b""), frame(0x01, b"00000003", b"")].concat());
    fs::write(&pipe, "done").unwrap();
    assert_eq!((client.ack().result, client.ack().result), (0, 0xF5));
    let ack = client.ack();
    assert_eq!((ack.command, ack.result), (0x80, 0)); // Conn is no Submit
    assert_eq!(client.rest().unwrap(), b"");
    drop(client);
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{}", show(&log));
    assert_eq!(witnessed(&site), "init\nread\nshutdown\ndrop\n");
}

#[test]
fn what_never_returns_does_not_keep_it_alive() {
    // what is stuck, the line that says so
    let cases = [
        ("a call", "connections left open"),
        ("a plugin's shutdown", "shutdown did not return in time"),
    ];
    for (stuck, line) in cases {
        let site = site("server.drain_timeout = \"2s\"");
        let pipe = fifo(&site.path().join("pipe"));
        if stuck == "a plugin's shutdown" {
            site.configure(&format!(
                "server.drain_timeout = \"2s\"\n{}wait = {pipe:?}",
                table(&site)
            ));
        }
        let host = site.start();
        let mut client = host.connect();
        if stuck != "a plugin's shutdown" {
            client.send(&frame(READ, b"00000001", pipe.to_str().unwrap().as_bytes()));
            host.wait_for("reading");
        }
        host.signal(Signal::TERM);
        let (status, log) = host.wait();
        assert_eq!(status.code(), Some(0), "{stuck}:\n{}", show(&log));
        assert!(
            log.iter().any(|event| event["message"] == line),
            "{stuck}:\n{}",
            show(&log)
        );
        assert_eq!(witnessed(&site), "init\nshutdown\n", "{stuck}");
        if stuck == "a call" {
            // Whom it waits for is said meanwhile, and at the end.
            for said in ["stopping, still waiting for connections", line] {
                let calls = &log.iter().find(|event| event["message"] == said).unwrap()["calls"];
                assert!(
                    calls.to_string().contains("shutdown-witness 1.0.0: 1"),
                    "{said}: {calls}"
                );
            }
        }
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second, code) in [
        (Signal::TERM, Signal::TERM, 128 + 15),
        (Signal::TERM, Signal::INT, 128 + 2),
        (Signal::INT, Signal::TERM, 128 + 15),
    ] {
        let site = site("server.drain_timeout = \"1h\"");
        let pipe = fifo(&site.path().join("pipe"));
        let host = site.start();
        let mut client = host.connect();
        client.send(&frame(READ, b"00000001", pipe.to_str().unwrap().as_bytes()));
        host.wait_for("reading");
        host.signal(first);
        host.wait_for("stopping");
        host.signal(second);
        let (status, log) = host.wait();
        // It exits, with the code that a shell would give for the signal.
        assert_eq!(
            (status.code(), status.signal()),
            (Some(code), None),
            "{first:?}, {second:?}:\n{}",
            show(&log)
        );
        assert!(
            log.iter()
                .any(|line| line["message"] == "second signal, ending at once"),
            "{}",
            show(&log)
        );
        assert_eq!(witnessed(&site), "init\n", "{first:?}, {second:?}");
    }
}

/// A plugin that writes down what is done with it.
fn witness() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(build_witness)
}

// Long: mostly the source of a plugin.
fn build_witness() -> PathBuf {
    let mut witness = PluginCrate::new("shutdown-witness");
    witness.commands = Some(format!("[{QUICK}, {READ}]"));
    witness.dependencies = "serde = { version = \"1\", features = [\"derive\"] }\ntracing = \"0.1\"\n".to_owned();
    witness.source = r#"
        use std::io::Write;
        use std::path::PathBuf;
        use plugin_api::{Ack, Context, Error, Handler, Submit, export_plugin};

        #[derive(serde::Deserialize)]
        struct Config {
            file: PathBuf,
            wait: Option<PathBuf>,
        }

        struct Witness(Config);

        impl Witness {
            fn note(&self, what: &str) {
                let file = std::fs::OpenOptions::new().append(true).create(true).open(&self.0.file);
                file.and_then(|mut file| file.write_all(format!("{what}\n").as_bytes())).unwrap();
            }
        }

        impl Handler for Witness {
            type Config = Config;

            fn init(config: Config, _: &Context) -> Result<Self, Error> {
                let witness = Witness(config);
                witness.note("init");
                Ok(witness)
            }

            fn handle<'a>(&'a self, submit: Submit<'a>) -> Ack<'a> {
                if submit.command == 0x10 {
                    return Ack::ok();
                }
                tracing::info!("reading");
                let text = std::fs::read(str::from_utf8(submit.payload).unwrap()).unwrap();
                self.note("read");
                Ack::ok().body(text)
            }

            fn shutdown(&self) {
                self.note("shutdown");
                if let Some(wait) = &self.0.wait {
                    std::fs::read(wait).unwrap();
                }
            }
        }

        impl Drop for Witness {
            fn drop(&mut self) {
                self.note("drop");
            }
        }

        export_plugin!(Witness);
    "#
    .to_owned();
    witness.library()
}

fn site(configuration: &str) -> Site {
    let site = Site::new("");
    site.configure(&format!("{configuration}\n{}", table(&site)));
    site.install(witness());
    site
}

fn table(site: &Site) -> String {
    format!(
        "[plugin.shutdown-witness.config]\nfile = {:?}\n",
        site.path().join("witness")
    )
}

fn witnessed(site: &Site) -> String {
    fs::read_to_string(site.path().join("witness")).unwrap()
}
