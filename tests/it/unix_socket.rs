//! `server.listen = "unix:PATH"`: the same wire over a Unix socket, for its owner alone, and a path that is taken only when
//! nobody else has it.

use std::fs::{self, File};
use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::io::{Errno, ioctl_fionread};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg};
use rustix::process::{Signal, getuid};
use tests::cargo::{sample, text};
use tests::client::{Client, frame, hex};
use tests::files::fifo;
use tests::host::{Host, PATIENCE, Site, fatal};

const CONFIGURATION: &str = "server.listen = \"unix:host.sock\"\n[plugin.submit-echo.config]\nreply = true\n";
const UNUSABLE: Option<i32> = Some(78);

/// A site whose host has submit-echo and listens at a path in it.
fn site() -> (Site, PathBuf) {
    let site = Site::new(CONFIGURATION);
    site.install(&sample("submit-echo"));
    let path = site.path().join("host.sock");
    (site, path)
}

/// What a host says that must not start here.
#[track_caller]
fn refused(site: &Site) -> String {
    let (status, log) = site.spawn(&[]).wait();
    assert_eq!(status.code(), UNUSABLE);
    fatal(&log).to_owned()
}

#[track_caller]
fn serves(host: &Host, path: &std::path::Path) {
    assert_eq!(Client::connect_unix(path).submit(0x02, b"hello").body, b"hello");
    assert_eq!(host.address(), format!("unix:{}", path.display()));
}

#[test]
fn the_wire_is_the_same_and_the_socket_is_its_owners() {
    let (site, path) = site();
    let host = site.spawn_after("umask 0");
    host.wait_for("listening");
    let metadata = fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    serves(&host, &path);

    let mut other = Client::connect_unix(&path);
    let mut client = Client::connect_unix(&path);
    client.send(&frame(0x01, b"00000000", b""));
    assert_eq!((client.ack().command, other.submit(0x02, b"").result), (0x80, 0));
    // In pieces, and many at once.
    for byte in frame(0x02, b"00000001", b"in pieces") {
        client.send(&[byte]);
    }
    assert_eq!(client.ack().body, b"in pieces");
    let numbers = 0..10_000u64;
    let frames: Vec<u8> = numbers
        .clone()
        .flat_map(|number| frame(0x02, &number.to_be_bytes(), b"payload"))
        .collect();
    let mut sender = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || sender.write_all(&frames).unwrap());
    for number in numbers {
        assert_eq!(client.ack().id, number.to_be_bytes());
    }
    sending.join().unwrap();
    assert_eq!(client.submit(0x04, b"").result, 0xF0);

    // A malformed frame: the acks before it, then the end; nobody else notices.
    client.send(&[frame(0x02, b"00000002", b"last"), hex("00000003")].concat());
    assert_eq!(client.ack().body, b"last");
    assert_eq!(client.try_ack(), None);
    assert_eq!(other.submit(0x02, b"still").body, b"still");
    let line = host.wait_for("malformed frame, closing");
    let peer = format!("unix:pid={},uid={}", std::process::id(), getuid().as_raw());
    assert_eq!((&line["peer"], &line["bytes"]), (&peer.into(), &"00000003".into()));

    // Who closes its end gets all acks and then the end.
    other.send(&frame(0x02, b"00000003", b"bye"));
    other.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!((other.ack().body, other.try_ack()), (b"bye".to_vec(), None));

    host.stop();
    assert!(!path.exists(), "the socket is removed at the end");
    assert!(!path.with_file_name("host.sock.lock").exists());
}

#[test]
fn many_connections_are_served_and_end_in_order() {
    let (site, path) = site();
    let host = site.start();
    let mut clients: Vec<_> = (0..300).map(|_| Client::connect_unix(&path)).collect();
    for round in 0..3u8 {
        for client in &mut clients {
            client.send(&frame(0x02, &[round; 8], &[round]));
        }
        for client in &mut clients {
            assert_eq!(client.ack().body, [round]);
        }
    }
    // What was sent before the signal is acked, whoever is asked first.
    host.signal(Signal::STOP);
    clients
        .iter_mut()
        .for_each(|client| client.send(&frame(0x02, b"00000009", b"")));
    host.signal(Signal::TERM);
    host.signal(Signal::CONT);
    for client in &mut clients {
        assert!(matches!(client.ack().result, 0 | 0xF5));
        assert_eq!(client.try_ack(), None);
    }
    drop(clients);
    let (status, _) = host.wait();
    assert!(status.success());
}

/// A read of a Unix socket ends where descriptors were passed, and where something is urgent, whatever is behind it.
#[test]
fn what_ends_a_read_early_holds_nothing_up() {
    let (site, path) = site();
    let host = site.start();
    let [mut passing, mut urgent] = [(); 2].map(|()| Client::connect_unix(&path));
    for client in [&mut passing, &mut urgent] {
        assert_eq!(client.submit(0x02, b"").result, 0);
    }
    let mine = File::open(site.configuration()).unwrap();
    // All of it is there when the host reads.
    host.signal(Signal::STOP);
    let frames = [1, 2, 3, 4].map(|number| frame(0x02, &[number; 8], b"payload"));
    for frame in &frames {
        let passed = [mine.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&passed)));
        let sent = sendmsg(
            &passing.stream,
            &[IoSlice::new(frame)],
            &mut control,
            SendFlags::empty(),
        );
        assert_eq!(sent, Ok(frame.len()));
        match send(&urgent.stream, frame, SendFlags::OOB) {
            Err(Errno::OPNOTSUPP) => urgent.send(frame), // before Linux 5.15
            sent => assert_eq!(sent, Ok(frame.len())),
        }
    }
    host.signal(Signal::CONT);
    for client in [&mut passing, &mut urgent] {
        // They all come before one is taken: that would be an event, and the host would read on.
        let deadline = Instant::now() + PATIENCE;
        while ioctl_fionread(&client.stream).unwrap() < 4 * (14 + b"payload".len() as u64) {
            assert!(Instant::now() < deadline, "some Submits were never read");
            std::thread::sleep(Duration::from_millis(5));
        }
        for number in [1, 2, 3, 4] {
            let ack = client.ack();
            assert_eq!((ack.id, ack.result), ([number; 8], 0));
        }
    }
    let kept = fs::read_dir(format!("/proc/{}/fd", host.pid()))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .find(|path| *path == site.configuration());
    assert_eq!(kept, None, "what a peer passes is not kept");
    drop((passing, urgent));
    host.stop();
}

#[test]
fn a_path_is_taken_from_nobody_who_has_it() {
    let (site, path) = site();
    let taken = format!(
        "can't listen on unix:{}: another process listens there; stop it, or set server.listen to another path",
        path.display()
    );
    let first = site.start();
    assert_eq!(refused(&site), taken);
    serves(&first, &path);

    // Left over from a host that was killed: replaced.
    let killed = first.pid();
    drop(first);
    assert!(path.exists(), "of {killed}");
    let second = site.start();
    serves(&second, &path);
    // Another file by its name is not the host's to remove.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "mine").unwrap();
    second.stop();
    assert_eq!(fs::read(&path).unwrap(), b"mine");

    let found = |what: &str| {
        format!(
            "can't listen on unix:{}: expected a socket or nothing there, found {what}; move it away, or set server.listen to \
             another path",
            path.display()
        )
    };
    assert_eq!(refused(&site), found("a regular file"));
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    assert_eq!(refused(&site), found("a symlink"));
    fs::remove_file(&path).unwrap();

    // Programs that are no hosts, and a host that does not listen yet.
    let listener = UnixListener::bind(&path).unwrap();
    assert_eq!(refused(&site), taken);
    assert!(listener.accept().is_ok(), "it was asked");
    drop(listener);
    fs::remove_file(&path).unwrap();
    let datagrams = UnixDatagram::bind(&path).unwrap();
    assert!(refused(&site).contains("Protocol wrong type for socket"));
    drop(datagrams);
    fs::remove_file(&path).unwrap();
    let lock = File::create(path.with_file_name("host.sock.lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(refused(&site), taken);
    drop(lock);
    let third = site.start();
    serves(&third, &path);
    third.stop();
}

#[test]
fn a_path_that_can_not_be_had_is_named() {
    let (site, _) = site();
    let configure = |listen: &str| site.configure(&format!("server.listen = \"{listen}\""));
    let long = "x".repeat(200);
    configure(&format!("unix:/{long}"));
    assert_eq!(
        refused(&site),
        format!(
            "can't listen on unix:/{long}: expected a path of at most 107 bytes, found 201; set server.listen to a shorter one"
        )
    );
    configure("unix:nowhere/host.sock");
    let said = refused(&site);
    assert!(
        said.contains("No such file or directory") && said.contains("nowhere/host.sock.lock"),
        "{said}"
    );
    // Nobody waits for a writer's or a reader's other end.
    drop(fifo(&site.path().join("pipe.lock")));
    configure("unix:pipe");
    let said = refused(&site);
    assert!(said.contains("pipe.lock"), "{said}");
    configure("unix:");
    let said = refused(&site);
    assert!(
        said.contains("`server.listen`: \"unix:\" has no path of a Unix socket"),
        "{said}"
    );
}

#[test]
fn the_clients_reach_it() {
    let (site, path) = site();
    let host = site.start();
    let address = format!("unix:{}", path.display());
    let output = site.host(&["submit", "--addr", &address, "hello"]);
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(
        output.stdout,
        b"ack 0x81 of 00000001: result 0x00 (success), body \"hello\"\n"
    );
    let load = [
        "--duration",
        "200ms",
        "--warmup",
        "50ms",
        "-n",
        "3",
        "--window",
        "8",
        "--body",
        "echo",
    ];
    let report = site.json(&[&["bench", "--addr", &address], load.as_slice()].concat());
    assert_eq!(report["address"], address.as_str());
    assert!(report["acks"].as_u64() > Some(0), "{report:#}");
    host.stop();
    let output = site.host(&["submit", "--addr", &address, "hello"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains(&format!("can't reach a host at {address}; does it run?")),
        "{}",
        text(&output)
    );
    drop(UnixStream::connect(&path).unwrap_err());
}
