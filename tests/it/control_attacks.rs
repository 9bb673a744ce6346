//! Clients of the control socket that mean no good, plugins that break what it stands on, and a machine that has little: the
//! packet path and the manager notice nothing, memory stays bounded, and the next honest client is answered.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tests::cargo::sample;
use tests::client::{Client, frame};
use tests::control::{Answer, STATUS, request};
use tests::crates::{PluginCrate, source};
use tests::host::{PATIENCE, Site, show};
use tests::swaps::{NAME, Probe, body, real_name, start};
use tests::traffic::Traffic;

use crate::control::socket;

const COMMAND: u8 = 0x10;
const MIB: u64 = 1 << 20;

/// What comes of these bytes: all that is answered until the host closes, or nothing if it does not answer.
fn answer_to(socket: &Path, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(bytes); // it may be closed before it has read everything
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer); // a reset is an end as well
    answer
}

#[track_caller]
fn is_served(socket: &Path) {
    let answer = request(socket, "GET", STATUS).unwrap();
    assert_eq!(answer.code, 200);
    assert_eq!(answer.json()["host"]["phase"], "serving");
}

// Long: tables of cases.
#[test]
fn what_is_no_request_is_refused_and_costs_its_own_connection() {
    let site = Site::with("", &[&sample("submit-echo")]);
    let host = site.start();
    let socket = socket(&site);
    let code = |bytes: &[u8]| Answer::parse(&answer_to(&socket, bytes)).map(|answer| answer.code);
    let huge_head = [
        b"GET /api/status HTTP/1.1\r\nHost: a\r\nX: ".as_slice(),
        &vec![b'a'; 1 << 20],
    ]
    .concat();
    let many_heads = [
        b"GET /api/status HTTP/1.1\r\n".as_slice(),
        &b"A: b\r\n".repeat(10_000),
        b"\r\n",
    ]
    .concat();
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(1 << 20));
    for rubbish in [
        b"\0\0\0\x0d\x0200000001".as_slice(),
        &[0xFF; 4096],
        b"GET /api/status HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &huge_head,
        &many_heads,
        long_path.as_bytes(),
    ] {
        let code = code(rubbish);
        let start = String::from_utf8_lossy(&rubbish[..rubbish.len().min(30)]);
        assert!(
            code.is_none_or(|code| (400..500).contains(&code)),
            "{start:?}: {code:?}"
        );
    }
    // What is a request, but not one that there is.
    for (method, path, expected) in [
        ("GET", "/", 404),
        ("GET", "/api", 404),
        ("GET", "/api/status/", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/api/status?after=x", 400),
        ("GET", "/api/status?after=-1", 400),
        ("GET", "/api/status?after=99999999999999999999", 400),
        ("GET", "/api/status?after=0&after=1", 400),
        ("GET", "/api/status?other=1", 200),
        ("POST", STATUS, 405),
        ("PUT", STATUS, 405),
        ("DELETE", STATUS, 405),
        ("PATCH", STATUS, 405),
        ("OPTIONS", STATUS, 405),
        ("RUBBISH", STATUS, 405),
        ("HEAD", STATUS, 200),
    ] {
        let answer = request(&socket, method, path).unwrap();
        assert_eq!(answer.code, expected, "{method} {path}: {answer:?}");
        if answer.code != 200 {
            let error = answer.json()["error"].as_str().map(str::to_owned);
            assert!(
                error.is_some_and(|error| !error.is_empty()),
                "{method} {path}: {answer:?}"
            );
        }
    }
    // A body that never ends is not read, and neither is what it announces.
    let unread = b"POST /api/status HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\nabc";
    assert_eq!(code(unread), Some(405));
    // A request in pieces is one all the same, and so are two at once.
    let mut pieces = UnixStream::connect(&socket).unwrap();
    for byte in format!("GET {STATUS} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").bytes() {
        pieces.write_all(&[byte]).unwrap();
    }
    let mut whole = Vec::new();
    pieces.read_to_end(&mut whole).unwrap();
    assert_eq!(Answer::parse(&whole).unwrap().json()["host"]["pid"], host.pid());
    is_served(&socket);
    assert_eq!(host.connect().submit(0x02, b"").result, 0);
    host.stop();
}

/// All at once, while plugins are exchanged under load.
// Long: one scene.
#[test]
fn clients_that_mean_no_good_delay_neither_packets_nor_the_manager() {
    raise_open_files();
    let site = Site::default();
    let probe = Probe::new();
    probe.write(&site.plugins().join(real_name(NAME, "1.0.0")), "1.0.0");
    for number in 0..400 {
        fs::write(
            site.plugins().join(format!("libbad_{number}.so.1.0.0")),
            format!("{number}"),
        )
        .unwrap();
    }
    let host = start(&site);
    let socket = socket(&site);
    let size = request(&socket, "GET", STATUS).unwrap().body.len() as u64;
    assert!(size > 200_000, "a big status: {size}");
    let before = host.memory("VmHWM");
    let traffic = Traffic::start(&host, 4, 16, COMMAND, &body("1.0.0"));
    traffic.flow();

    let is_over = AtomicBool::new(false);
    let get = format!("GET {STATUS} HTTP/1.1\r\nHost: a\r\n\r\n");
    // Those who ask and read nothing; half a request; nothing at all.
    let silent = [get.repeat(20), get.clone(), get[..20].to_owned(), String::new()];
    let connect = |number: usize| {
        let mut stream = UnixStream::connect(&socket).ok()?;
        let _ = stream.write_all(silent[number % silent.len()].as_bytes());
        Some(stream)
    };
    thread::scope(|scope| {
        let connect = &connect;
        let mut clients: Vec<_> = (0..1000).map(|number| scope.spawn(move || connect(number))).collect();
        let slow = scope.spawn(|| {
            let mut stream = UnixStream::connect(&socket).unwrap();
            stream.write_all(get.as_bytes()).unwrap();
            let mut byte = [0];
            while !is_over.load(SeqCst) && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                thread::sleep(Duration::from_millis(100)); // that is how slow it is
            }
        });
        for minor in 1..=3 {
            let version = format!("1.{minor}.0");
            traffic.may_answer(&body(&version));
            probe.write(&site.path().join("new"), &version);
            fs::rename(site.path().join("new"), site.plugins().join(real_name(NAME, &version))).unwrap();
            host.wait_for_change_where("upgraded", "version", &version);
            traffic.must_answer();
            traffic.flow();
        }
        let held: Vec<Option<UnixStream>> = clients.drain(..).map(|client| client.join().unwrap()).collect();
        // While all of them are still there.
        is_served(&socket);
        drop(held);
        is_over.store(true, SeqCst);
        slow.join().unwrap();
    });
    assert_eq!(traffic.finish().answered.iter().filter(|count| **count > 0).count(), 4);
    let grown = host.memory("VmHWM").saturating_sub(before);
    // A status for each client that holds one, and what the exchanged versions and the traffic take.
    let most = 32 * size + 48 * MIB;
    assert!(grown < most, "{grown} bytes, with a status of {size}");
    is_served(&socket);
    assert_eq!(host.status()["host"]["phase"], "serving");
    host.stop();
}

#[test]
fn the_end_waits_for_no_client() {
    let site = Site::with("server.drain_timeout = \"30s\"\n", &[&sample("submit-echo")]);
    let host = site.start();
    let socket = socket(&site);
    let revision = host.status()["revision"].as_u64().unwrap();
    let mut waiting = UnixStream::connect(&socket).unwrap();
    write!(waiting, "GET {STATUS}?after={revision} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let _silent = UnixStream::connect(&socket).unwrap();
    is_served(&socket);
    host.signal(Signal::TERM);
    let (status, log) = host.wait();
    assert!(status.success(), "{}", show(&log));
    assert!(!show(&log).contains("the end takes too long"), "{}", show(&log));
    assert!(!socket.exists());
}

/// Its second opening in one place, which is the host's, waits until somebody writes into the pipe: the dynamic linker's lock is
/// held meanwhile. What a thread does for the first time may want that lock.
#[test]
fn start_up_code_that_never_returns_keeps_no_client_from_being_answered() {
    let site = Site::with(
        "plugins.init_timeout = \"1s\"\nserver.drain_timeout = \"5s\"\n",
        &[&sample("submit-echo")],
    );
    let host = crate::stuck::spawn(&site);
    host.wait_for("listening");
    let socket = socket(&site);
    site.copy(&crate::stuck::library(), crate::stuck::FILE);
    host.wait_until("load-once", |log| {
        log.iter().find(|line| line["code"] == "load-once").cloned()
    });
    // The first clients of all kinds.
    is_served(&socket);
    assert_eq!(request(&socket, "GET", "/other").unwrap().code, 404);
    assert_eq!(request(&socket, "GET", "/api/status?after=x").unwrap().code, 400);
    assert_eq!(request(&socket, "POST", STATUS).unwrap().code, 405);
    answer_to(&socket, &[0xFF; 4096]);
    answer_to(&socket, b"GET /api/st");
    let silent: Vec<UnixStream> = (0..200).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    is_served(&socket);
    drop(silent);
    let revision = host.status()["revision"].as_u64().unwrap();
    // A reload is asked for by another thread, and shows in the status: a refused configuration needs no plugin.
    site.configure("rubbish = 1\n");
    host.signal(Signal::HUP);
    host.wait_for_event("configuration-refused", |_| true);
    assert!(host.status()["revision"].as_u64().unwrap() > revision);
    assert_eq!(host.connect().submit(0x02, b"").result, 0);
    host.signal(Signal::TERM);
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{}", show(&log));
}

#[test]
fn a_host_without_descriptors_serves_on_and_answers_when_it_has_some() {
    raise_open_files();
    let site = Site::with("server.max_connections = 200", &[&sample("submit-echo")]);
    let host = site.spawn_after("ulimit -n 64");
    host.wait_for("listening");
    let socket = socket(&site);
    // Clients of the control socket take no more than their share: who sends packets gets in.
    let control: Vec<UnixStream> = (0..100).filter_map(|_| UnixStream::connect(&socket).ok()).collect();
    is_served(&socket);
    assert_eq!(host.connect().submit(0x02, b"").result, 0);
    // And the other way round: connections take all that is left.
    let mut clients: Vec<Client> = (0..100).map(|_| host.connect()).collect();
    host.wait_for("can't accept connections, trying again");
    drop(control);
    assert_eq!(clients[0].submit(0x02, b"first").result, 0);
    clients
        .iter_mut()
        .for_each(|client| client.send(&frame(0x02, b"00000001", b"")));
    for mut client in clients {
        assert_eq!(client.ack().result, 0);
    }
    is_served(&socket);
    host.stop();
}

/// A plugin that closes of the host's descriptors what its Submit's payload says: the first of that kind, which is the control
/// thread's, or its socket.
fn closer() -> PathBuf {
    let mut plugin = PluginCrate::new("closing-some");
    let items = "use std::os::fd::FromRawFd;
        unsafe extern \"C\" { fn close(descriptor: i32) -> i32; }
        fn is_wanted(descriptor: i32, wanted: &str) -> bool {
            if wanted == \"socket\" {
                let socket = unsafe { std::os::unix::net::UnixListener::from_raw_fd(descriptor) };
                let socket = std::mem::ManuallyDrop::new(socket);
                return socket.local_addr().is_ok_and(|address| format!(\"{address:?}\").contains(\"host-control-\"));
            }
            let link = std::fs::read_link(format!(\"/proc/self/fd/{descriptor}\"));
            link.is_ok_and(|link| link.to_str().is_some_and(|link| link.contains(wanted)))
        }";
    let close = "let wanted = String::from_utf8(submit.payload.to_vec()).unwrap();
        let mut descriptors = 3..200;
        match descriptors.find(|descriptor| is_wanted(*descriptor, &wanted)) {
            Some(found) => unsafe { close(found) },
            None => panic!(\"no {wanted}\"),
        };
        Ack::ok()";
    plugin.source = source(items, close);
    plugin.library()
}

/// What is left would be a host that nobody can ask, or that spins: it ends, and says so.
#[test]
fn a_host_whose_control_thread_has_lost_its_descriptors_ends() {
    let site = Site::with("plugins.watch = false", &[&closer()]);
    for kind in ["eventpoll", "eventfd", "socket"] {
        let host = site.start();
        let socket = socket(&site);
        let mut client = host.connect();
        client.send(&frame(COMMAND, b"00000001", kind.as_bytes()));
        let _ = client.try_ack(); // or the end: the control thread may notice at once
        // It notices when it uses them: somebody asks.
        let _ = request(&socket, "GET", STATUS);
        // And with an eventfd, when another thread has something to tell.
        host.signal(Signal::HUP);
        let (status, log) = host.wait();
        assert_eq!(status.code(), Some(70), "{kind}:\n{}", show(&log));
    }
}

/// Gives no number: as many as there may be.
fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}
