//! Who reads slowly gets all of its acks, and who does not read is closed; neither takes more memory than the configuration
//! says.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;

use tests::cargo::sample;
use tests::client::frame;
use tests::crates::{PluginCrate, source};
use tests::host::Site;

#[test]
fn who_does_not_read_is_closed_and_takes_no_memory_until_then() {
    const MIB: usize = 1024 * 1024;
    let site = site("server.write_timeout = \"500ms\"\n[plugin.submit-echo.config]\nreply = true\n");
    let host = site.start();
    let mut other = host.connect();
    assert_eq!(other.submit(0x02, b"before").result, 0);
    let before = host.memory("VmHWM");
    let flooding: Vec<TcpStream> = (0..8).map(|_| host.connect().stream).collect();
    let peers = flooding
        .iter()
        .map(|stream| stream.local_addr().unwrap().to_string())
        .collect::<Vec<_>>();
    thread::scope(|scope| {
        for mut stream in flooding {
            scope.spawn(move || {
                // 128 MiB of payload, sent back for as long as someone takes it.
                let request = frame(0x02, b"00000001", &[7; 32 * 1024]);
                let sent = (0..4096).take_while(|_| stream.write_all(&request).is_ok()).count();
                assert!(sent < 4096, "everything was read, though no ack was taken");
            });
        }
        for peer in peers {
            let line = host.wait_until(&peer, |log| log.iter().find(|line| line["peer"] == *peer).cloned());
            assert_eq!(line["message"], "peer does not read its acks, closing");
            let unsent = line["unsent"].as_u64().unwrap();
            assert!((1..=MIB as u64).contains(&unsent), "{line}");
            assert_eq!(other.submit(0x02, b"meanwhile").body, b"meanwhile");
        }
    });
    let grown = host.memory("VmHWM") - before;
    assert!(grown < 64 * MIB as u64, "{grown} bytes");
    host.stop();
}

#[test]
fn acks_that_are_not_taken_are_as_many_as_the_configuration_says() {
    for (max_unsent, bytes) in [("14", 14), ("100KiB", 100 << 10), ("4MiB", 4 << 20)] {
        let site = Site::new(&format!(
            "server.write_timeout = \"500ms\"\nserver.max_unsent = \"{max_unsent}\""
        ));
        site.install(&long_acks());
        let host = site.start();
        let mut stream = host.connect().stream;
        let peer = stream.local_addr().unwrap().to_string();
        // Many acks for each read, each longer than all of its Submits: the host could make as many as it liked.
        let requests = frame(0x10, b"00000001", b"").repeat(10_000);
        let sent = (0..1000).take_while(|_| stream.write_all(&requests).is_ok()).count();
        assert!(sent < 1000, "everything was read, though no ack was taken");
        let line = host.wait_until(&peer, |log| log.iter().find(|line| line["peer"] == *peer).cloned());
        assert_eq!(line["message"], "peer does not read its acks, closing");
        let unsent = line["unsent"].as_u64().unwrap();
        assert!((1..=bytes + LONG_ACK as u64).contains(&unsent), "{max_unsent}: {line}");
        host.stop();
    }
}

#[test]
fn who_closes_its_end_gets_all_acks_and_then_the_end() {
    for threads in [1, 2] {
        let site = site(&format!("server.threads = {threads}"));
        site.install(&long_acks());
        let host = site.start();
        // 20 MB are more than kernel buffers hold: the end comes long before the acks are out.
        for (command, length, count) in [
            (0x02, 14, 1),
            (0x02, 14, 20_000),
            (0x10, LONG_ACK, 1),
            (0x10, LONG_ACK, 500),
        ] {
            let mut client = host.connect();
            client.send(&frame(command, b"00000001", b"").repeat(count));
            client.stream.shutdown(Shutdown::Write).unwrap();
            let acks = client.rest().unwrap();
            assert_eq!(acks.len(), length * count, "{count} of command {command:#04x}");
            assert!(acks.chunks(length).all(|ack| ack[..14] == acks[..14]));
        }
        host.stop();
    }
}

#[test]
fn who_reads_slowly_gets_everything() {
    for max_unsent in ["14", "256KiB"] {
        read_slowly(max_unsent);
    }
}

fn read_slowly(max_unsent: &str) {
    let site = site(&format!(
        "server.write_timeout = \"30s\"\nserver.max_unsent = \"{max_unsent}\"\n[plugin.submit-echo.config]\nreply = true\n"
    ));
    let host = site.start();
    let mut client = host.connect();
    let mut writer = client.stream.try_clone().unwrap();
    let payload: Vec<u8> = (0..60_000_u32).map(|at| (at % 251) as u8).collect();
    let requests = |id: u32| frame(0x02, &u64::from(id).to_be_bytes(), &payload);
    thread::scope(|scope| {
        scope.spawn(move || {
            (0..500).for_each(|id| writer.write_all(&requests(id)).unwrap());
            writer.shutdown(Shutdown::Write).unwrap();
        });
        for id in 0..500_u64 {
            // Bit by bit, so that the host's socket is full most of the time.
            let mut ack = vec![0; 14 + payload.len()];
            for piece in ack.chunks_mut(1000) {
                client.stream.read_exact(piece).unwrap();
            }
            assert_eq!((&ack[5..13], ack[13]), (&id.to_be_bytes()[..], 0));
            assert!(ack[14..] == payload, "body {id}");
        }
    });
    assert_eq!(client.rest().unwrap(), b"");
    host.stop();
}

fn site(configuration: &str) -> Site {
    Site::with(configuration, &[&sample("submit-echo")])
}

/// The bytes of an ack of [`long_acks`].
const LONG_ACK: usize = 14 + 40_000;

/// A plugin with acks that are much longer than their Submits, of command 0x10.
fn long_acks() -> PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let mut plugin = PluginCrate::new("limits-long");
        plugin.source = source("static BODY: [u8; 40_000] = [7; 40_000];", "Ack::ok().body(&BODY[..])");
        plugin.library()
    };
    LIBRARY.get_or_init(build).clone()
}
