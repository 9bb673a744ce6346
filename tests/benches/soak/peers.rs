//! Peers that break the rules, or stretch them. Where they are owed acks all the same, these are checked.

use std::io::Write;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustix::net::{SendFlags, send};
use tests::client::frame;

use crate::clients::{Ask, Checked};
use crate::scene::{ECHO, Part};

/// More than the host keeps for a peer, and more than the system does.
const LATE: usize = 400;
const LATE_LENGTH: usize = 8 << 10;
/// What one that never reads sends at most, in frames of this size.
const UNREAD: usize = 1000;
const UNREAD_LENGTH: usize = 16 << 10;

/// Starts all of them.
pub(crate) fn all(spawn: &impl Fn(&str, fn(&Part<'_>))) {
    spawn("peers that come and go", rough);
    spawn("peers that read late", late);
    spawn("peers that never read", never);
}

/// One after another, each for a moment.
fn rough(part: &Part<'_>) {
    let mut rng = part.rng(6);
    let balance = &part.scene.balance;
    while part.goes_on() {
        let client = Checked::connect(&part.scene.host, "peers that break rules later", balance);
        let asks = [Ask::echo(ECHO, rng.u64(..), b"before the end")];
        match rng.usize(..5) {
            0 => {
                malformed(&client, &asks, rng.usize(..4));
                balance.did("peers: malformed frame");
            }
            1 => {
                let whole = frame(ECHO, b"00000000", b"never whole");
                let _ = (&client.stream).write_all(&whole[..rng.usize(1..whole.len())]);
                balance.did("peers: half a frame");
            }
            2 => {
                set_socket_linger(&client.stream, Some(Duration::ZERO)).unwrap();
                balance.did("peers: reset at once");
            }
            3 => {
                // Acks are under way, or not read.
                let _ = (&client.stream).write_all(&frame(ECHO, b"00000000", b"unread").repeat(rng.usize(1..100)));
                set_socket_linger(&client.stream, Some(Duration::ZERO)).unwrap();
                std::thread::sleep(Duration::from_micros(rng.u64(..500)));
                balance.did("peers: reset with acks under way");
            }
            _ => {
                urgent(&client, &asks);
                balance.did("peers: urgent data");
            }
        }
        drop(client);
        part.pause(Duration::from_millis(rng.u64(..15)));
    }
}

/// What was sent before it is answered, then comes the end.
fn malformed(client: &Checked<'_>, asks: &[Ask], which: usize) {
    client.send(asks);
    let mut bad = frame(ECHO, b"00000000", b"");
    match which {
        0 => bad[..4].copy_from_slice(&12u32.to_be_bytes()),
        1 => bad[..4].copy_from_slice(&u32::MAX.to_be_bytes()),
        2 => bad[4] = 0,
        _ => bad[4] = 0x80,
    }
    let _ = (&client.stream).write_all(&bad);
    client.receive(asks);
    let rest = std::io::copy(&mut &client.stream, &mut std::io::sink());
    assert_eq!(rest.unwrap_or(0), 0, "bytes after a malformed frame");
}

/// A frame whose last byte is urgent, and one behind it: both are in the stream like all else.
fn urgent(client: &Checked<'_>, asks: &[Ask]) {
    client.send_by(asks, |frames| {
        send(&client.stream, frames, SendFlags::OOB).map_or_else(|error| Err(error.into()), |_| Ok(()))
    });
    client.send(asks);
    client.receive(&[asks, asks].concat());
}

/// Sends more than anybody keeps, and reads none of its acks for a while; then all of them.
fn late(part: &Part<'_>) {
    let mut rng = part.rng(7);
    let balance = &part.scene.balance;
    while part.goes_on() {
        let client = Checked::connect(&part.scene.host, "peers that read late", balance);
        let payload = vec![rng.u8(..); LATE_LENGTH];
        let asks: Vec<Ask> = (0..LATE as u64)
            .map(|number| Ask::echo(ECHO, number, &payload))
            .collect();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(rng.u64(100..1000)));
                client.receive(&asks);
            });
            client.send(&asks);
            reader.join().unwrap();
        });
        balance.did("peers: read late");
        part.pause(Duration::from_millis(rng.u64(100..500)));
    }
}

/// Some of them leave before the host closes them, some do not.
fn never(part: &Part<'_>) {
    let mut rng = part.rng(8);
    let balance = &part.scene.balance;
    let request = frame(ECHO, b"00000000", &vec![7; UNREAD_LENGTH]);
    while part.goes_on() {
        let peers: Vec<Checked<'_>> = (0..3)
            .map(|_| {
                let client = Checked::connect(&part.scene.host, "", balance);
                let timeout = Some(Duration::from_millis(200));
                client.stream.set_write_timeout(timeout).unwrap();
                let _ = (0..UNREAD).try_for_each(|_| (&client.stream).write_all(&request));
                balance.did("peers: never read");
                client
            })
            .collect();
        part.pause(Duration::from_millis(rng.u64(1000..7000)));
        drop(peers);
    }
}
