//! Acks that are owed arrive, also at a peer that reads late and sends on: after it broke the rules, and when the host stops.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};
use rustix::process::Signal;
use tests::cargo::sample;
use tests::client::{frame, read_ack};
use tests::host::{Host, PATIENCE, Site};

/// More acks than the peer's system takes before the peer reads.
const SUBMITS: u64 = 30_000;
/// The peer reads nothing for so long after the host has written the last ack: that is what this is about.
const LATE: Duration = Duration::from_secs(3);

#[test]
fn after_a_malformed_frame() {
    let site = Site::with("server.threads = 1", &[&sample("submit-echo")]);
    let host = site.start();
    let mut stream = narrow(&host);
    send_submits(&mut stream);
    stream.write_all(&frame(0x00, b"00000000", b"")).unwrap();
    host.wait_for("malformed frame, closing");
    assert_eq!(read_late(stream, b"rubbish"), (SUBMITS, 0));
    host.stop();
}

#[test]
fn after_the_signal() {
    let site = Site::with("server.threads = 1", &[&sample("submit-echo")]);
    let host = site.start();
    let mut stream = narrow(&host);
    send_submits(&mut stream);
    // All of them were read: an answer to what came after them would be behind their acks, but its connection is another one.
    assert_eq!(host.connect().submit(0x02, b"").result, 0);
    host.signal(Signal::TERM);
    host.wait_for("no longer accepting");
    let (served, turned_away) = read_late(stream, &frame(0x02, &SUBMITS.to_be_bytes(), b""));
    assert!(served + turned_away >= SUBMITS, "{served} and {turned_away}");
    let (status, _) = host.wait();
    assert_eq!(status.code(), Some(0));
}

/// Who takes nothing is not waited for longer than is configured.
#[test]
fn not_for_ever() {
    let site = Site::with(
        "server.threads = 1\nserver.write_timeout = \"1s\"",
        &[&sample("submit-echo")],
    );
    let host = site.start();
    let mut stream = narrow(&host);
    send_submits(&mut stream);
    stream.write_all(&frame(0x00, b"00000000", b"")).unwrap();
    host.wait_for("malformed frame, closing");
    assert!(host.wait_for("peer does not read its acks, closing")["unsent"].as_u64() > Some(0));
    drop(stream);
    host.stop();
}

/// A connection whose peer's system takes little before the peer reads.
fn narrow(host: &Host) -> TcpStream {
    let address: SocketAddr = host.address().parse().unwrap();
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_recv_buffer_size(&socket, 16 * 1024).unwrap();
    connect(&socket, &address).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn send_submits(stream: &mut TcpStream) {
    let submits: Vec<u8> = (0..SUBMITS)
        .flat_map(|number| frame(0x02, &number.to_be_bytes(), b""))
        .collect();
    stream.write_all(&submits).unwrap();
}

/// Reads late, sending meanwhile; how many acks came, in order: those that were served and those that were turned away.
fn read_late(mut stream: TcpStream, meanwhile: &[u8]) -> (u64, u64) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut writer = stream.try_clone().unwrap();
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) && writer.write_all(meanwhile).is_ok() {
                thread::sleep(Duration::from_millis(1));
            }
            drop(writer);
        });
        thread::sleep(LATE);
        let mut acks = Vec::new();
        let end = stream.read_to_end(&mut acks);
        over.store(true, Ordering::Relaxed);
        // A reset after the last ack is the peer's own doing: it sent on.
        assert!(end.is_ok() || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
        count(&acks)
    })
}

fn count(mut acks: &[u8]) -> (u64, u64) {
    let (mut served, mut turned_away) = (0, 0);
    while let Some(ack) = read_ack(&mut acks) {
        match ack.result {
            0 if turned_away == 0 => {
                assert_eq!(ack.id, u64::to_be_bytes(served));
                served += 1;
            }
            result => {
                assert_eq!(result, 0xF5);
                turned_away += 1;
            }
        }
    }
    (served, turned_away)
}
