//! What a peer may use: connections, time, memory, descriptors. Who takes more waits or is closed, and the others notice
//! nothing.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tests::cargo::sample;
use tests::client::{Client, frame};
use tests::host::{PATIENCE, Site};

#[test]
fn a_connection_over_the_limit_waits_until_another_leaves() {
    let site = site("server.max_connections = 2");
    let host = site.spawn(&[("RUST_LOG", "debug")]);
    let (mut first, mut second) = (host.connect(), host.connect());
    assert_eq!(
        (first.submit(0x02, b"1").result, second.submit(0x02, b"2").result),
        (0, 0)
    );
    assert_eq!(
        host.wait_for("connection limit reached, further ones wait")["max_connections"],
        2
    );
    // The kernel takes them, the host does not.
    let mut waiting = [host.connect(), host.connect()];
    for client in &mut waiting {
        client.send(&frame(0x02, b"00000003", b"3"));
    }
    assert_eq!(
        (first.submit(0x02, b"1").result, second.submit(0x02, b"2").result),
        (0, 0)
    );
    drop(first);
    assert_eq!(waiting[0].ack().result, 0);
    waiting[0].stream.shutdown(Shutdown::Both).unwrap();
    assert_eq!(waiting[1].ack().result, 0);
    assert_eq!(second.submit(0x02, b"2").result, 0);
    drop((second, waiting));

    let mut open = HashSet::new();
    for line in host.stop() {
        let peer = line["peer"].as_str().unwrap_or_default().to_owned();
        match line["message"].as_str() {
            Some("connection accepted") => drop(open.insert(peer)),
            Some("connection closed" | "connection lost") => drop(open.remove(&peer)),
            _ => {}
        }
        assert!(open.len() <= 2, "{open:?}");
    }
}

#[test]
fn who_completes_no_frame_is_closed_and_who_does_is_not() {
    const IDLE: Duration = Duration::from_millis(500);
    let site = site("server.idle_timeout = \"500ms\"\nserver.max_frame = \"16MiB\"");
    let host = site.start();
    let mut silent = host.connect();
    let mut after_a_submit = host.connect();
    assert_eq!(after_a_submit.submit(0x02, b"hello").result, 0);
    let mut half = host.connect();
    half.send(b"\0\0\0\x12\x0200000001");
    // Bytes that come all the time, but never make a frame.
    let mut dripping = host.connect();
    dripping.send(&(16_u32 << 20).to_be_bytes());
    let peers = [&half, &dripping].map(|client| client.stream.local_addr().unwrap().to_string());

    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let active = scope.spawn(|| stay_active(|| host.connect(), 0, &over, IDLE));
        for client in [&mut silent, &mut after_a_submit, &mut half] {
            assert_eq!(client.rest().unwrap(), b"");
        }
        let started = Instant::now();
        // The rest of that frame would be 16 million of these.
        while dripping.stream.write_all(&[0x02]).is_ok() {
            assert!(started.elapsed() < PATIENCE, "a frame byte by byte is no activity");
        }
        over.store(true, Ordering::Relaxed);
        active.join().unwrap();
    });
    for (peer, length) in peers.iter().zip([18, 16 << 20]) {
        let line = host.wait_until(peer, |log| log.iter().find(|line| line["peer"] == **peer).cloned());
        assert_eq!(
            (&line["message"], &line["reason"]),
            (&"connection ended inside a frame".into(), &"idle timeout".into())
        );
        let whole = line["received"].as_u64().unwrap() + line["missing"].as_u64().unwrap();
        assert_eq!(whole, length, "{line}");
    }
    host.stop();
}

#[test]
fn a_frame_that_has_begun_is_completed_in_time_and_silence_between_frames_may_last() {
    const FRAME: Duration = Duration::from_millis(500);
    let site = site("server.frame_timeout = \"500ms\"\nserver.idle_timeout = \"1h\"\nserver.max_frame = \"16MiB\"");
    let host = site.start();
    let mut silent = host.connect();
    let mut after_a_submit = host.connect();
    assert_eq!(after_a_submit.submit(0x02, b"hello").result, 0);
    let mut half = host.connect();
    half.send(&[&frame(0x02, b"00000001", b"whole")[..], b"\0\0\0\x12\x0200000001"].concat());
    assert_eq!(half.ack().result, 0);
    let mut dripping = host.connect();
    dripping.send(&(16_u32 << 20).to_be_bytes());
    let peers = [&half, &dripping].map(|client| client.stream.local_addr().unwrap().to_string());

    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Always inside a frame, but never for long inside the same.
        let active = scope.spawn(|| stay_active(|| host.connect(), 10, &over, FRAME));
        assert_eq!(half.rest().unwrap(), b"");
        let started = Instant::now();
        while dripping.stream.write_all(&[0x02]).is_ok() {
            assert!(started.elapsed() < PATIENCE, "a frame byte by byte lasts");
        }
        over.store(true, Ordering::Relaxed);
        active.join().unwrap();
    });
    for (peer, length) in peers.iter().zip([18, 16 << 20]) {
        let line = host.wait_until(peer, |log| log.iter().find(|line| line["peer"] == **peer).cloned());
        assert_eq!(
            (&line["message"], &line["reason"]),
            (&"connection ended inside a frame".into(), &"frame timeout".into())
        );
        let whole = line["received"].as_u64().unwrap() + line["missing"].as_u64().unwrap();
        assert_eq!(whole, length, "{line}");
    }
    for client in [&mut silent, &mut after_a_submit] {
        assert_eq!(client.submit(0x02, b"hello").result, 0);
    }
    host.stop();
}

#[test]
fn silence_ends_while_more_peers_are_always_ready_than_a_poll_tells_of() {
    // One event loop hears of 1,024 at once.
    const BUSY: usize = 4000;
    let busy = BUSY.min(raise_open_files().saturating_sub(500));
    let site = site("server.threads = 1\nserver.frame_timeout = \"2s\"\nserver.idle_timeout = \"2s\"");
    let host = site.start();
    let address = host.address();
    let busy: Vec<TcpStream> = (0..busy).map(|_| Client::connect(&address).stream).collect();
    let mut silent = host.connect();
    let mut half = host.connect();
    half.send(b"\0\0\0\x12\x0200000001");
    let over = AtomicBool::new(false);
    let request = frame(0x02, b"00000001", b"");
    thread::scope(|scope| {
        // To write costs less than to read and to answer: there is always more than the host has come to.
        for half in busy.chunks(busy.len().div_ceil(2)) {
            scope.spawn(|| while half.iter().all(|mut stream| stream.write_all(&request).is_ok()) {});
        }
        scope.spawn(|| {
            let mut acks = [0; 4096];
            while busy
                .iter()
                .all(|mut stream| stream.read(&mut acks).is_ok_and(|read| read > 0))
            {}
            assert!(over.load(Ordering::Relaxed), "one that is busy was closed");
        });
        let ends = [&mut silent, &mut half].map(|client| client.rest());
        over.store(true, Ordering::Relaxed);
        for stream in &busy {
            stream.shutdown(Shutdown::Both).unwrap();
        }
        for end in ends {
            assert_eq!(end.unwrap(), b"");
        }
    });
    drop((busy, silent, half));
    host.stop();
}

#[test]
fn who_goes_on_sending_after_a_malformed_frame_is_closed_all_the_same() {
    let site = site("server.threads = 1");
    let host = site.start();
    let mut client = host.connect();
    client.send(&frame(0x00, b"00000001", b""));
    host.wait_for("malformed frame, closing");
    let started = Instant::now();
    thread::scope(|scope| {
        // More than one, so that there is always something to read.
        for _ in 0..3 {
            let mut stream = client.stream.try_clone().unwrap();
            scope.spawn(move || {
                let rubbish = vec![0xEE; 1 << 20];
                while stream.write_all(&rubbish).is_ok() {
                    if started.elapsed() >= PATIENCE / 4 {
                        stream.shutdown(Shutdown::Both).unwrap_or_default();
                        panic!("still read after {:?}", started.elapsed());
                    }
                }
            });
        }
    });
    assert_eq!(host.connect().submit(0x02, b"other").result, 0);
    host.stop();
}

#[test]
fn what_came_while_the_host_was_paused_is_in_time() {
    // More than an event loop hears of at once.
    const PEERS: usize = 1100;
    raise_open_files();
    let site = site("server.threads = 1\nserver.frame_timeout = \"3s\"");
    let host = site.start();
    let mut clients: Vec<Client> = (0..PEERS).map(|_| host.connect()).collect();
    let request = frame(0x02, b"00000001", b"hello");
    let (beginning, rest) = request.split_at(10);
    // An ack first, so that its event is over and the beginning of the next frame is read before the pause.
    for client in &mut clients {
        client.send(&[&request, beginning].concat());
    }
    for client in &mut clients {
        assert_eq!(client.ack().result, 0);
    }
    host.signal(Signal::STOP);
    for client in &mut clients {
        client.send(rest);
    }
    thread::sleep(Duration::from_secs(4)); // the pause is what this is about
    host.signal(Signal::CONT);
    for client in &mut clients {
        assert_eq!(client.ack().result, 0);
    }
    host.stop();
}

#[test]
fn too_few_descriptors_keep_peers_waiting_and_nothing_else() {
    let site = site("server.max_connections = 200");
    let host = site.spawn_after("ulimit -n 64");
    let warning = host.wait_for("listening");
    assert!(warning["address"].is_string());
    let warning = &host.log()[0];
    assert_eq!(
        (&warning["limit"], &warning["max_connections"]),
        (&64.into(), &200.into()),
        "{warning}"
    );
    assert!(
        warning["message"].as_str().unwrap().starts_with("too few open files"),
        "{warning}"
    );

    let mut clients: Vec<Client> = (0..100).map(|_| host.connect()).collect();
    let failure = host.wait_for("can't accept connections, trying again");
    assert!(failure["error"].as_str().unwrap().contains("os error 24"), "{failure}");
    // Those that got in are served, the others when those have left.
    assert_eq!(clients[0].submit(0x02, b"first").result, 0);
    for client in &mut clients {
        client.send(&frame(0x02, b"00000001", b"hello"));
    }
    for mut client in clients {
        assert_eq!(client.ack().result, 0);
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.rest().unwrap(), b"");
    }
    assert_eq!(host.connect().submit(0x02, b"last").result, 0);
    host.stop();
}

/// Gives how many files there may be.
fn raise_open_files() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    maximum.map_or(usize::MAX, |maximum| maximum as usize)
}

/// Submits without pause until it is over, each write with so many bytes of the next frame; the connection must last. On a
/// machine so busy that we were silent for as long as the host tolerates, that says nothing: then another connection takes
/// over.
fn stay_active(connect: impl Fn() -> Client, begun: usize, over: &AtomicBool, tolerated: Duration) {
    let request = frame(0x02, b"00000001", b"hello");
    let (beginning, rest) = request.split_at(begun);
    let request = [rest, beginning].concat();
    let connect = || {
        let mut client = connect();
        client.send(beginning);
        client
    };
    let mut client = connect();
    let mut sent = Instant::now();
    let mut longest = Duration::ZERO;
    while !over.load(Ordering::Relaxed) {
        let written = client.stream.write_all(&request);
        let read = written.and_then(|()| client.stream.read_exact(&mut [0; 14]));
        longest = longest.max(sent.elapsed());
        sent = Instant::now();
        if let Err(error) = read {
            assert!(
                longest >= tolerated,
                "closed ({error}) after a silence of {longest:?} at most"
            );
            client = connect();
            longest = Duration::ZERO;
        }
    }
}

fn site(configuration: &str) -> Site {
    Site::with(configuration, &[&sample("submit-echo")])
}
