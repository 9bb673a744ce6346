//! No bytes, however wrong, do more than end the connection that they came on, after the acks that it is owed.

use std::net::Shutdown;

use serde_json::Value;
use tests::cargo::sample;
use tests::client::{Client, frame, hex};
use tests::crates::{PluginCrate, source};
use tests::host::{Host, Site};

// Long: a table of cases.
#[test]
fn bad_input_ends_its_own_connection_alone_after_the_acks_it_is_owed() {
    const TOO_SHORT: &str = "length too short";
    const HIGH_BIT: &str = "command with the high bit set";
    // what it is, its bytes, the reason in the log
    let cases = [
        ("length 0", "00000000", TOO_SHORT),
        ("length 3", "00000003", TOO_SHORT),
        ("length 4", "00000004", TOO_SHORT),
        ("length 5", "00000005 02", TOO_SHORT),
        ("length 12, a 7-byte ID", "0000000c 02 30303030303030", TOO_SHORT),
        ("length -1", "ffffffff 02 3030303030303031", "length negative"),
        ("length -2^31", "80000000 02 3030303030303031", "length negative"),
        ("length 2^31-1", "7fffffff 02 3030303030303031", "length too long"),
        (
            "length max_frame + 1",
            "00010001 02 3030303030303031",
            "length too long",
        ),
        ("command 0x00", "0000000d 00 3030303030303031", "command 0"),
        ("command 0x80", "0000000d 80 3030303030303031", HIGH_BIT),
        ("command 0x81", "0000000e 81 3030303030303031 00", HIGH_BIT),
        ("command 0xff", "0000000d ff 3030303030303031", HIGH_BIT),
        (
            "another protocol",
            "474554202f20485454502f312e310d0a",
            "length too long",
        ),
        ("half a length, then FIN", "0000", "closed by the peer"),
        (
            "half a frame, then FIN",
            "00000012 02 3030303030303031 68",
            "closed by the peer",
        ),
    ];
    let (_site, host) = serve("");
    let mut other = host.connect();
    for (name, bad, reason) in cases {
        assert_eq!(other.submit(0x02, b"before").result, 0, "{name}");
        let mut client = host.connect();
        let peer = client.stream.local_addr().unwrap().to_string();
        client.send(&[frame(0x02, b"00000001", b"hello"), hex(bad)].concat());
        let half = reason == "closed by the peer";
        if half {
            client.stream.shutdown(Shutdown::Write).unwrap();
        }
        assert_eq!(client.ack().result, 0, "{name}");
        assert_eq!(client.rest().unwrap(), b"", "{name}");
        assert_eq!(other.submit(0x02, b"after").result, 0, "{name}");

        let line = host.wait_until(name, |log| log.iter().find(|line| line["peer"] == *peer).cloned());
        let message = if half {
            "connection ended inside a frame"
        } else {
            "malformed frame, closing"
        };
        assert_eq!(
            (&line["message"], &line["reason"]),
            (&message.into(), &reason.into()),
            "{name}"
        );
        assert_eq!(line["bytes"], bad.replace(' ', ""), "{name}");
    }
    host.stop();
}

#[test]
fn a_reset_ends_its_own_connection_alone() {
    let site = site("");
    let host = site.spawn(&[("RUST_LOG", "debug")]);
    let mut other = host.connect();
    for half in [&b""[..], b"\0\0", b"\0\0\0\x12\x02000"] {
        assert_eq!(other.submit(0x02, b"before").result, 0);
        let mut client = host.connect();
        let peer = client.stream.local_addr().unwrap().to_string();
        client.send(&[&frame(0x02, b"00000001", b"hello"), half].concat());
        client.stream.peek(&mut [0]).unwrap();
        drop(client); // with an unread ack, so the kernel resets
        host.wait_until("the end of the connection", |log| {
            let end = |line: &Value| line["message"] == "connection lost" || line["message"] == "connection closed";
            log.iter().find(|line| line["peer"] == *peer && end(line)).cloned()
        });
        assert_eq!(other.submit(0x02, b"after").result, 0);
    }
    host.stop();
}

#[test]
fn acks_are_not_lost_to_what_follows_a_malformed_frame() {
    let mut long = PluginCrate::new("bad-input-long");
    long.source = source("static BODY: [u8; 40_000] = [7; 40_000];", "Ack::ok().body(&BODY[..])");
    let site = site("");
    site.install(&long.library());
    let host = site.start();
    // More than kernel buffers hold is owed when the bad frame comes, and much follows it that nobody wants.
    for (command, body) in [(0x02, 0), (0x10, 40_000)] {
        let mut client = host.connect();
        let mut bytes = frame(command, b"00000001", b"").repeat(500);
        bytes.extend(hex("00000000"));
        bytes.resize(bytes.len() + 200_000, 0xEE);
        client.send(&bytes);
        for number in 0..500 {
            let ack = client.ack();
            assert_eq!(
                (ack.result, ack.body.len()),
                (0, body),
                "ack {number} of {command:#04x}"
            );
        }
        // The end of the stream, not a reset.
        assert_eq!(client.rest().unwrap(), b"", "{command:#04x}");
    }
    host.stop();
}

#[test]
fn no_length_makes_the_host_take_memory() {
    const MIB: u64 = 1024 * 1024;
    // plugins.toml, the length that a frame claims, on how many connections, whether it is refused
    for (line, length, connections, refused) in [
        ("", 0x7FFF_FFFF_u32, 8, true),
        ("server.max_frame = \"64MiB\"", 64 << 20, 32, false),
    ] {
        let (_site, host) = serve(line);
        let mut other = host.connect();
        assert_eq!(other.submit(0x02, b"before").result, 0);
        let before = (host.memory("VmHWM"), host.memory("VmPeak"));
        let mut clients: Vec<Client> = (0..connections).map(|_| host.connect()).collect();
        for client in &mut clients {
            let claim = [&length.to_be_bytes()[..], &[0x02; 1000]].concat();
            client.send(&[frame(0x02, b"00000001", b"hello"), claim].concat());
        }
        for client in &mut clients {
            assert_eq!(client.ack().result, 0);
            if refused {
                assert_eq!(client.rest().unwrap(), b"");
            }
        }
        assert_eq!(other.submit(0x02, b"after").result, 0);
        let grown = (host.memory("VmHWM") - before.0, host.memory("VmPeak") - before.1);
        // Threads take some addresses for themselves; the lengths together are 16 GiB and 2 GiB.
        assert!(grown.0 < 32 * MIB && grown.1 < 1024 * MIB, "{length}: {grown:?} bytes");
        drop(clients);
        host.stop();
    }
}

fn site(configuration: &str) -> Site {
    Site::with(configuration, &[&sample("submit-echo")])
}

/// A host that serves submit-echo, and the site that it lives in.
fn serve(configuration: &str) -> (Site, Host) {
    let site = site(configuration);
    let host = site.start();
    (site, host)
}
