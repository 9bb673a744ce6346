//! What one connection notices of handlers that hang, on as many connections as there are processors: of the host, and of the
//! tokio server, in which nobody takes over from a blocked thread.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::client::{Client, frame};
use tests::crates::PluginCrate;
use tests::files::{fifo, writer};
use tests::host::PATIENCE;

use crate::report::Report;
use crate::rounds::Settings;
use crate::servers::Server;

/// The command of the blocking plugin, which reads the file that a Submit names.
const READ_FILE: u8 = 0x10;
/// The command of submit-echo.
const ECHO: u8 = 0x02;

pub(crate) fn measure(settings: &Settings, report: &mut Report) {
    let window = Duration::from_millis(settings.milliseconds);
    let mut plugin = PluginCrate::new("blocking");
    plugin.source = include_str!("../../plugins/blocking.rs").to_owned();
    plugin.dependencies = "tracing = \"0.1\"".to_owned();
    let plugin = plugin.library();
    let handlers = std::thread::available_parallelism().unwrap().get();
    let (host, tokio) = (Server::host_that_blocks(&plugin), Server::tokio_that_blocks(&plugin));
    let mut cases =
        [(&host, "host"), (&tokio, "tokio")].map(|server| [0, handlers].map(|hanging| (server, hanging, Vec::new())));
    let cases = cases.as_flattened_mut();
    for round in 0..settings.rounds {
        for turn in 0..cases.len() {
            // Back and forth: after a window in which nothing was answered, the system gives this process more than its share.
            let which = if round % 2 == 0 { turn } else { cases.len() - 1 - turn };
            let ((server, _), hanging, latencies) = &mut cases[which];
            latencies.extend(beside(server, *hanging, window));
        }
    }
    let rows: Vec<_> = cases
        .iter_mut()
        .map(|((_, name), hanging, latencies)| row(name, *hanging, latencies))
        .collect();
    let header = ["", "handlers that hang", "acks", "p50", "p99", "max"];
    let (rounds, milliseconds) = (settings.rounds, settings.milliseconds);
    let title = format!("One connection, window 1, beside handlers that hang: {rounds} rounds of {milliseconds} ms");
    report.table(&title, &header, &rows);
}

/// The latencies of the Submits that a bystander got acked within a window that begins as soon as so many handlers hang.
fn beside(server: &Server, hanging: usize, window: Duration) -> Vec<Duration> {
    let folder = TempDir::new().unwrap();
    // It was there before.
    let mut bystander = Client::connect(server.address());
    assert_eq!(bystander.submit(ECHO, b"").result, 0);
    let mut others: Vec<Client> = (0..hanging).map(|_| Client::connect(server.address())).collect();
    let pipes: Vec<PathBuf> = (0..hanging)
        .map(|number| fifo(&folder.path().join(number.to_string())))
        .collect();
    for (other, pipe) in others.iter_mut().zip(&pipes) {
        other.send(&frame(READ_FILE, b"hang-one", pipe.to_str().unwrap().as_bytes()));
    }
    // Each hangs when it has opened its pipe, and until nobody is left who could write into it.
    let writers: Vec<_> = pipes.iter().map(|pipe| writer(pipe)).collect();

    let (latencies, is_starved) = submits(&mut bystander, window);
    drop(writers);
    for other in &mut others {
        assert_eq!(other.ack().result, 0);
    }
    if is_starved {
        // The Submit was not lost: it waited for the handlers.
        bystander.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(bystander.ack().result, 0);
    }
    latencies
}

/// One Submit after another; whether the last of them was not acked in time.
fn submits(bystander: &mut Client, window: Duration) -> (Vec<Duration>, bool) {
    let submit = frame(ECHO, b"bystands", &[b'p'; 32]);
    let mut latencies = Vec::new();
    let begin = Instant::now();
    loop {
        let left = window.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return (latencies, false);
        }
        bystander.stream.set_read_timeout(Some(left)).unwrap();
        let sent = Instant::now();
        bystander.stream.write_all(&submit).unwrap();
        match bystander.stream.peek(&mut [0]) {
            Ok(_) => assert_eq!(bystander.ack().result, 0),
            Err(error) => {
                assert!(
                    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                    "{error}"
                );
                return (latencies, true);
            }
        }
        latencies.push(sent.elapsed());
    }
}

fn row(name: &str, hanging: usize, latencies: &mut [Duration]) -> Vec<String> {
    latencies.sort_unstable();
    let at = |percent: usize| match latencies.len() {
        0 => "starved".to_owned(),
        count => format!(
            "{} us",
            latencies[(count * percent).div_ceil(100).max(1) - 1].as_micros()
        ),
    };
    vec![
        name.to_owned(),
        hanging.to_string(),
        latencies.len().to_string(),
        at(50),
        at(99),
        at(100),
    ]
}
