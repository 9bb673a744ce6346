//! A handler that blocks holds one thread and its own connection. Everybody else is served meanwhile, however many of them
//! block, and it goes on where it was.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use tests::client::{Client, frame, id};
use tests::crates::PluginCrate;
use tests::files::{fifo, writer};
use tests::host::{Site, show};

const WARNING: &str = "handlers block, other threads serve in their place";
/// How many handlers block at once: more than there are event loops.
const BLOCKED: usize = 8;

#[test]
fn others_are_served_while_more_handlers_block_than_there_are_loops() {
    for threads in [1, 2] {
        let site = site(&format!("server.threads = {threads}"));
        let host = site.start();
        let mut others: Vec<Client> = (0..BLOCKED).map(|_| host.connect()).collect();
        let mut blocked: Vec<Client> = (0..BLOCKED).map(|_| host.connect()).collect();
        for client in others.iter_mut().chain(&mut blocked) {
            assert_eq!(client.submit(0x10, b"").result, 0);
        }
        let pipes: Vec<PathBuf> = (0..BLOCKED).map(|number| pipe(&site, number)).collect();
        for (client, pipe) in blocked.iter_mut().zip(&pipes) {
            client.send(&read(pipe));
        }
        host.wait_for_nth("reading", BLOCKED);
        for client in &mut others {
            assert_eq!(client.submit(0x10, b"").result, 0, "{threads} threads");
        }
        for _ in 0..BLOCKED {
            assert_eq!(host.connect().submit(0x10, b"").result, 0, "{threads} threads");
        }
        assert!(host.wait_for(WARNING)["threads"].as_u64() >= Some(1));

        // What a connection sends while its handler blocks is answered afterwards, in order.
        for client in &mut blocked {
            client.send(
                &(1..100)
                    .flat_map(|number| frame(0x10, &id(number), b""))
                    .collect::<Vec<_>>(),
            );
        }
        for (client, pipe) in blocked.iter_mut().zip(&pipes).rev() {
            write(pipe, "done");
            for number in 0..100 {
                let ack = client.ack();
                assert_eq!((ack.id, ack.result), (id(number), 0), "{threads} threads");
                assert_eq!(ack.body, if number == 0 { &b"done"[..] } else { b"" });
            }
            assert_eq!(client.submit(0x10, b"").result, 0, "{threads} threads");
        }
        drop((others, blocked));
        let log = host.stop();
        assert!(!show(&log).contains("panicked"), "{}", show(&log));
    }
}

#[test]
fn a_long_ack_of_a_handler_that_blocked_arrives_whole() {
    const LENGTH: usize = 12 << 20; // more than a socket takes at once
    let site = site("server.threads = 1\nserver.max_frame = \"16MiB\"");
    let host = site.start();
    for round in 0..3 {
        let pipe = pipe(&site, round);
        let mut client = host.connect();
        client.send(&read(&pipe));
        host.wait_for_nth("reading", round + 1);
        assert_eq!(host.connect().submit(0x10, b"").result, 0); // so another thread has taken its loop over
        let reader = thread::spawn(move || {
            let mut ack = vec![0; 14 + LENGTH];
            client.stream.read_exact(&mut ack).map(|()| ack)
        });
        fs::write(&pipe, vec![7; LENGTH]).unwrap();
        let ack = reader.join().unwrap().unwrap_or_else(|error| {
            panic!("round {round}: {error}\n{}", show(&host.log()));
        });
        assert!(ack[14..].iter().all(|byte| *byte == 7));
    }
    host.stop();
}

#[test]
fn a_stop_waits_for_handlers_that_block_and_no_longer() {
    for threads in [1, 4] {
        let site = site(&format!("server.threads = {threads}\nserver.drain_timeout = \"50s\""));
        let host = site.start();
        let mut idle = host.connect();
        assert_eq!(idle.submit(0x10, b"").result, 0);
        let mut blocked: Vec<Client> = (0..3).map(|_| host.connect()).collect();
        let pipes: Vec<PathBuf> = (0..3).map(|number| pipe(&site, number)).collect();
        for (client, pipe) in blocked.iter_mut().zip(&pipes) {
            client.send(&read(pipe));
        }
        host.wait_for_nth("reading", 3);
        host.signal(Signal::TERM);
        assert_eq!(idle.rest().unwrap(), b"", "{threads} threads");
        for (client, pipe) in blocked.iter_mut().zip(&pipes) {
            write(pipe, "done");
            assert_eq!(client.ack().body, b"done", "{threads} threads");
            assert_eq!(client.rest().unwrap(), b"", "{threads} threads");
        }
        drop((idle, blocked));
        let (status, log) = host.wait();
        assert_eq!(status.code(), Some(0), "{threads} threads:\n{}", show(&log));
        let closed = log.iter().any(|line| line["message"] == "all connections closed");
        assert!(closed, "{threads} threads:\n{}", show(&log));
    }
}

#[test]
fn a_handler_that_goes_on_blocking_while_the_other_loops_have_ended_is_counted_once() {
    let site = site("server.threads = 4");
    let host = site.start();
    let mut blocked = host.connect();
    let pipe = pipe(&site, 0);
    blocked.send(&read(&pipe));
    host.wait_for_nth("reading", 1);
    host.signal(Signal::TERM); // mostly before anybody has noticed that it blocks
    assert_eq!(host.wait_for(WARNING)["threads"], 1);
    write(&pipe, "done");
    assert_eq!(blocked.ack().body, b"done");
    assert_eq!(blocked.rest().unwrap(), b"");
    drop(blocked);
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{}", show(&log));
    assert!(!show(&log).contains("panicked"), "{}", show(&log));
}

#[test]
fn who_leaves_while_its_handler_blocks_makes_room_for_others() {
    let site = site("server.threads = 1\nserver.max_connections = 2");
    let host = site.start();
    for round in 0..3 {
        let pipes = [2 * round, 2 * round + 1].map(|number| pipe(&site, number));
        let mut leaving = pipes.each_ref().map(|pipe| {
            let mut client = host.connect();
            client.send(&frame(0x10, b"00000000", b""));
            client.stream.peek(&mut [0]).unwrap();
            client.send(&read(pipe));
            client
        });
        host.wait_for_nth("reading", 2 * (round + 1));
        assert_eq!(leaving[0].ack().result, 0);
        drop(leaving); // the second one with an unread ack, so the kernel resets it
        let waiting = thread::spawn({
            let mut clients = [host.connect(), host.connect()];
            move || clients.each_mut().map(|client| client.submit(0x10, b"").result)
        });
        for pipe in &pipes {
            write(pipe, "nobody gets this");
        }
        assert_eq!(waiting.join().unwrap(), [0, 0], "round {round}");
    }
    let log = host.stop();
    assert!(log.iter().any(|line| line["message"] == "all connections closed"));
}

#[test]
fn the_time_that_a_handler_takes_is_not_its_peers() {
    for line in ["server.frame_timeout = \"1s\"", "server.idle_timeout = \"1s\""] {
        let site = site(&format!("server.threads = 1\nserver.max_frame = \"1MiB\"\n{line}"));
        let host = site.start();
        let pipe = pipe(&site, 0);
        let mut client = host.connect();
        // The frame begins, which the ack of the one before it shows to have been seen.
        let blocking = read(&pipe);
        client.send(&[&frame(0x10, &id(0), b"")[..], &blocking[..10]].concat());
        assert_eq!(client.ack().id, id(0));
        // More than one read takes, and at its end the beginning of another frame.
        let following = frame(0x10, &id(2), &[b'/'; 100_000]);
        client.send(&[&blocking[10..], &following[..90_000]].concat());
        host.wait_for_nth("reading", 1);
        // Others wait for longer than is allowed, and are closed.
        let mut silent = host.connect();
        silent.send(b"\0\0");
        assert_eq!(silent.rest().unwrap(), b"");
        write(&pipe, "done");
        assert_eq!(client.ack().body, b"done", "{line}");
        // Three ticks of the host's clock: who is overdue has been closed by then.
        thread::sleep(Duration::from_millis(150));
        client.send(&following[90_000..]);
        assert_eq!(
            client.try_ack().map(|ack| ack.id),
            Some(id(2)),
            "{line}:\n{}",
            show(&host.log())
        );
        drop((client, silent));
        host.stop();
    }
}

/// A pipe keeps its handler waiting until we write.
fn plugin() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut plugin = PluginCrate::new("blocking");
        plugin.source = include_str!("../plugins/blocking.rs").to_owned();
        plugin.dependencies = "tracing = \"0.1\"".to_owned();
        plugin.library()
    })
}

fn site(configuration: &str) -> Site {
    Site::with(configuration, &[plugin()])
}

fn pipe(site: &Site, number: usize) -> PathBuf {
    fifo(&site.path().join(format!("pipe{number}")))
}

/// Writes into a pipe as soon as somebody reads it.
#[track_caller]
fn write(pipe: &Path, text: &str) {
    writer(pipe).write_all(text.as_bytes()).unwrap();
}

/// A Submit that reads a file.
fn read(file: &Path) -> Vec<u8> {
    frame(0x10, &id(0), file.to_str().unwrap().as_bytes())
}
