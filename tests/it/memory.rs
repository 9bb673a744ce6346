//! What a connection may cost in memory is known before: a frame and a read of what comes, `max_unsent` and one ack of what
//! goes. However long a plugin's bodies are and whenever they become so, nothing is more.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tests::client::{Client, frame};
use tests::crates::{PluginCrate, source};
use tests::host::{Host, Site, show};

const MIB: usize = 1 << 20;
/// `server.max_frame` of these hosts.
const MAX_FRAME: usize = MIB;
const MAX_UNSENT: usize = 256 * 1024;
const PEERS: usize = 8;
/// What one call needs beyond any connection: a body in the plugin, the thread's buffers, and some for the process.
const BESIDE: usize = 12 * MIB;

/// Answers one by one; and in batches, with an override.
const BY_ITSELF: u8 = 0x10;
const BATCHES: u8 = 0x11;

#[test]
fn acks_that_turn_from_short_to_long_take_no_more_than_is_configured() {
    for command in [BY_ITSELF, BATCHES] {
        let (_site, host) = serve("server.write_timeout = \"1s\"");
        assert_eq!(host.connect().submit(command, b"long").body.len(), MAX_FRAME - 14);
        let before = host.memory("VmHWM");
        let mut requests = frame(command, b"00000001", b"").repeat(1040);
        requests.extend(frame(command, b"00000002", b"long").repeat(1024));
        let peers: Vec<Client> = (0..PEERS)
            .map(|_| {
                let mut client = host.connect();
                client.send(&requests);
                client
            })
            .collect();
        for peer in &peers {
            let address = peer.stream.local_addr().unwrap().to_string();
            let line = host.wait_until("its end", |log| {
                log.iter().find(|line| line["peer"] == address).cloned()
            });
            assert_eq!(line["message"], "peer does not read its acks, closing");
            let unsent = line["unsent"].as_u64().unwrap();
            assert!((1..=(MAX_UNSENT + MAX_FRAME) as u64).contains(&unsent), "{line}");
        }
        let grown = host.memory("VmHWM").saturating_sub(before);
        let most = PEERS * (MAX_UNSENT + MAX_FRAME + requests.len()) + BESIDE;
        assert!(grown <= most as u64, "{command:#x}: {grown} bytes, at most {most}");
        drop(peers);
        host.stop();
    }
}

#[test]
fn what_there_was_no_room_for_is_answered_when_there_is() {
    for command in [BY_ITSELF, BATCHES] {
        let (_site, host) = serve("");
        let mut client = host.connect();
        let payload = |number: u64| if number % 7 == 3 { &b"long"[..] } else { b"" };
        let requests: Vec<u8> = (0..300_u64)
            .flat_map(|number| frame(command, &number.to_be_bytes(), payload(number)))
            .collect();
        client.send(&requests);
        for number in 0..300_u64 {
            let ack = client.ack();
            assert_eq!((ack.id, ack.result), (number.to_be_bytes(), 0));
            let expected = if payload(number).is_empty() { 0 } else { MAX_FRAME - 14 };
            assert_eq!(ack.body.len(), expected);
        }
        drop(client);
        let log = host.stop();
        // What was left for later is not counted twice.
        let total = log.iter().rfind(|line| line["message"] == "submits").unwrap();
        assert_eq!(total["total"], 300, "{}", show(&log));
    }
}

#[test]
fn an_override_gives_no_larger_body_than_it_has_said() {
    let (_site, host) = serve("");
    let mut client = host.connect();
    let payloads: [&[u8]; 4] = [b"", b"too long", b"long", b""];
    client.send(&payloads.map(|payload| frame(BATCHES, b"00000001", payload)).concat());
    let results = payloads.map(|_| client.ack().result);
    assert_eq!(results, [0, 0xF1, 0, 0]);
    let reason = host.wait_for("handler failed")["reason"].as_str().unwrap().to_owned();
    let said = format!(
        "handle_batch gave an ack body of {} bytes, its LARGEST_BODY is {}",
        MAX_FRAME - 13,
        MAX_FRAME - 14
    );
    assert_eq!(reason, said);
    drop(client);
    host.stop();
}

#[test]
fn beginnings_of_frames_take_no_more_than_has_come() {
    const LONG: usize = 8 * MIB;
    let site = Site::with(
        "server.threads = 1\nserver.max_frame = \"8MiB\"\nserver.frame_timeout = \"3s\"",
        &[plugin("memory-single")],
    );
    let host = site.start();
    assert_eq!(host.connect().submit(BY_ITSELF, b"").result, 0);
    let before = host.memory("VmHWM");
    let whole = frame(BY_ITSELF, b"00000001", &vec![0; LONG - 13]);
    let peers: Vec<Client> = (0..PEERS)
        .map(|_| {
            let mut client = host.connect();
            client.send(&whole[..LONG - 1]);
            client
        })
        .collect();
    let mut received = 0;
    for peer in &peers {
        let address = peer.stream.local_addr().unwrap().to_string();
        let line = host.wait_until("its end", |log| {
            log.iter().find(|line| line["peer"] == address).cloned()
        });
        assert_eq!(line["message"], "connection ended inside a frame");
        received += line["received"].as_u64().unwrap();
    }
    let grown = host.memory("VmHWM").saturating_sub(before);
    assert!(
        grown <= received + (PEERS * 64 * 1024 + BESIDE) as u64,
        "{grown} bytes for {received}"
    );
    drop(peers);
    host.stop();
}

fn serve(configuration: &str) -> (Site, Host) {
    let site = Site::new(&format!(
        "server.threads = 1\nserver.max_frame = \"1MiB\"\n{configuration}"
    ));
    site.install(plugin("memory-single"));
    site.install(plugin("memory-batches"));
    let host = site.start();
    (site, host)
}

/// A body as long as it can be for the payload "long", a byte more for "too long", else none.
fn plugin(name: &str) -> &'static Path {
    static LIBRARIES: OnceLock<[PathBuf; 2]> = OnceLock::new();
    let [single, batches] = LIBRARIES.get_or_init(|| {
        let body = format!(
            "const LONG: usize = {};
            fn ack(payload: &[u8]) -> Ack<'static> {{
                match payload {{
                    b\"long\" => Ack::ok().body(vec![7; LONG]),
                    b\"too long\" => Ack::ok().body(vec![7; LONG + 1]),
                    _ => Ack::ok(),
                }}
            }}",
            MAX_FRAME - 14
        );
        let mut single = PluginCrate::new("memory-single");
        single.source = source(&body, "ack(submit.payload)");
        let mut batches = PluginCrate::new("memory-batches");
        batches.commands = Some(format!("[{BATCHES}]"));
        let handle = "fn handle<'a>(";
        let handle_batch = "const LARGEST_BODY: usize = LONG;
            fn handle_batch<'a>(&'a self, submits: plugin_api::Submits<'a>, acks: &mut plugin_api::Acks<'_>) {
                submits.into_iter().for_each(|submit| acks.push(ack(submit.payload)));
            }
            fn handle<'a>(";
        batches.source = source(&body, "ack(submit.payload)").replace(handle, handle_batch);
        [single.library(), batches.library()]
    });
    if name == "memory-single" { single } else { batches }
}
