//! The wire, byte by byte: what is acked and with what, in whatever pieces it comes, up to the largest frame.

use std::net::Shutdown;

use rustix::net::{SendFlags, send};
use rustix::process::Signal;
use tests::cargo::sample;
use tests::client::{Ack, frame, hex};
use tests::host::{Host, Site};

#[test]
fn what_is_sent_as_urgent_is_in_the_stream_like_all_else() {
    let site = Site::with("", &[&sample("submit-echo")]);
    let host = site.start();
    let mut client = host.connect();
    assert_eq!(client.submit(0x02, b"").result, 0);
    let frames = [1, 2, 3, 4].map(|number| frame(0x02, &[number; 8], b"payload"));
    // All of it is there when the host reads, and it can't be read at once: reads end where something is urgent.
    host.signal(Signal::STOP);
    for (number, frame) in frames.iter().enumerate() {
        let flags = if number % 2 == 0 {
            SendFlags::OOB
        } else {
            SendFlags::empty()
        };
        assert_eq!(send(&client.stream, frame, flags), Ok(frame.len()));
    }
    host.signal(Signal::CONT);
    for number in [1, 2, 3, 4] {
        let ack = client.ack();
        assert_eq!((ack.id, ack.result), ([number; 8], 0));
    }
    // It goes on like that, also when the host waits.
    for number in 5..50 {
        let frame = frame(0x02, &[number; 8], b"payload");
        let (beginning, rest) = frame.split_at(usize::from(number) % 18 + 1);
        assert_eq!(send(&client.stream, beginning, SendFlags::OOB), Ok(beginning.len()));
        client.send(rest);
        assert_eq!(client.ack().id, [number; 8]);
    }
    drop(client);
    host.stop();
}

#[test]
fn known_requests_have_known_acks() {
    let go = [
        "0000000d 01 3030303030303031            -> 0000000e 80 3030303030303031 00",
        "00000012 02 3030303030303031 68656c6c6f -> 0000000e 81 3030303030303031 00",
        "0000000d 02 3030303030303031            -> 0000000e 81 3030303030303031 00",
        "0000000f 01 fffe00c3280a0d80 c328       -> 0000000e 80 fffe00c3280a0d80 00",
        "0000000d 02 ffffffffffffffff            -> 0000000e 81 ffffffffffffffff 00",
        "00000012 04 3030303030303031 68656c6c6f -> 0000000e 83 3030303030303031 f0",
        "0000000d 7f 0000000000000000            -> 0000000e fe 0000000000000000 f0",
    ];
    let documented = [
        "0000000d 01 3030303030303031            -> 0000000e 81 3030303030303031 00",
        "00000012 02 3030303030303031 68656c6c6f -> 0000000e 82 3030303030303031 00",
        "0000000d 7f 0000000000000000            -> 0000000e ff 0000000000000000 f0",
    ];
    for (line, known) in [
        ("", &go[..]),
        ("protocol.ack = \"go\"", &go),
        ("protocol.ack = \"documented\"", &documented),
    ] {
        let (_site, host) = serve(line);
        // All on one connection, which nothing here closes; and nothing more comes than the acks.
        let mut client = host.connect();
        let mut acks = Vec::new();
        for (request, ack) in known.iter().filter_map(|known| known.split_once("->")) {
            client.send(&hex(request));
            acks.extend(hex(ack));
        }
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(show(&client.rest().unwrap()), show(&acks), "{line}");
        host.stop();
    }
}

#[test]
fn every_submit_without_a_plugin_gets_0xf0_and_the_connection_stays_open() {
    let (_site, host) = serve("");
    let mut client = host.connect();
    for command in (0x02..=0x7F).filter(|command| *command != 0x02) {
        let ack = client.submit(command, b"hello");
        assert_eq!((ack.result, ack.body.len()), (0xF0, 0), "command {command:#04x}");
    }
    assert_eq!(client.submit(0x02, b"hello").result, 0);
    host.stop();
}

#[test]
fn frames_may_come_in_any_pieces() {
    let (_site, host) = serve(REPLY);
    let mut client = host.connect();
    let first = frame(0x01, b"conn\xff\xfe\xfd\xfc", b"");
    let second = frame(0x02, b"submit\0\x80", b"hello");
    let (first_ack, second_ack) = (
        ack(0x80, b"conn\xff\xfe\xfd\xfc", 0, b""),
        ack(0x81, b"submit\0\x80", 0, b"hello"),
    );
    // The ack of the first frame shows that what came with it, the beginning of the second, was read before the rest.
    for boundary in 0..=second.len() {
        let (beginning, rest) = second.split_at(boundary);
        client.send(&[&first, beginning].concat());
        assert_eq!(client.ack(), first_ack, "boundary at {boundary}");
        client.send(rest);
        assert_eq!(client.ack(), second_ack, "boundary at {boundary}");
    }
    // Each byte on its own, as TCP without delay sends it.
    for byte in [first.as_slice(), &second].concat() {
        client.send(&[byte]);
    }
    assert_eq!((client.ack(), client.ack()), (first_ack, second_ack));
    host.stop();
}

#[test]
fn many_frames_in_one_write_are_acked_in_their_order() {
    let (_site, host) = serve(REPLY);
    let mut client = host.connect();
    let id = |number: u64| number.to_be_bytes();
    // Some 400 kB: several reads of the host, whose ends fall anywhere in a frame.
    let commands = [0x01, 0x02, 0x02, 0x02, 0x05, 0x02];
    let requests: Vec<(u8, u64)> = commands.into_iter().cycle().zip(0..20_000).collect();
    let bytes = requests
        .iter()
        .flat_map(|(command, number)| frame(*command, &id(*number), &id(*number)));
    let (bytes, mut writer) = (bytes.collect::<Vec<u8>>(), client.stream.try_clone().unwrap());
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &bytes).unwrap());
    for (command, number) in requests {
        let expected = match command {
            0x01 => ack(0x80, &id(number), 0, b""),
            0x02 => ack(0x81, &id(number), 0, &id(number)),
            _ => ack(0x84, &id(number), 0xF0, b""),
        };
        assert_eq!(client.ack(), expected);
    }
    writing.join().unwrap();
    host.stop();
}

#[test]
fn the_largest_frame_is_served_and_one_byte_more_is_not() {
    // plugins.toml, the largest frame in bytes
    let limits = [
        ("", 64 * 1024),
        ("server.max_frame = 14", 14),
        ("server.max_frame = \"1KiB\"", 1024),
        ("server.max_frame = \"1MiB\"", 1024 * 1024),
    ];
    for (line, max_frame) in limits {
        let (_site, host) = serve(&format!("{line}\n{REPLY}"));
        let mut client = host.connect();
        // An ack is one byte longer than its request, so the longest payload can't be sent back.
        let payload: Vec<u8> = (0..max_frame - 13).map(|at| at as u8).collect();
        assert_eq!(client.submit(0x02, &payload[1..]).body, payload[1..], "{line}");
        let ack = client.submit(0x02, &payload);
        assert_eq!((ack.result, ack.body.len()), (0xF1, 0), "{line}");
        assert_eq!(host.wait_for("handler failed")["plugin"], "submit-echo", "{line}");

        client.send(&u32::try_from(max_frame + 1).unwrap().to_be_bytes());
        assert_eq!(client.rest().unwrap(), b"", "{line}");
        assert_eq!(
            host.wait_for("malformed frame, closing")["reason"],
            "length too long",
            "{line}"
        );
        host.stop();
    }
}

const REPLY: &str = "[plugin.submit-echo.config]\nreply = true\n";

fn site(configuration: &str) -> Site {
    Site::with(configuration, &[&sample("submit-echo")])
}

/// A host that serves submit-echo, and the site that it lives in.
fn serve(configuration: &str) -> (Site, Host) {
    let site = site(configuration);
    let host = site.start();
    (site, host)
}

fn ack(command: u8, id: &[u8; 8], result: u8, body: &[u8]) -> Ack {
    Ack {
        command,
        id: *id,
        result,
        body: body.to_vec(),
    }
}

fn show(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
