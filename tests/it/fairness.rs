//! Connections take turns: whoever asks for little is served all the while that others ask for as much as they can.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Scope};

use tests::cargo::sample;
use tests::client::{Client, frame};
use tests::host::Site;

const FLOODERS: usize = 4;
/// What a turn reads at most; its acks are about as long here.
const TURN: u64 = 64 << 10;
/// How many turns each flooder may have for one Submit of somebody else, in the median: one or two while the Submit waits,
/// the rest for a busy machine, where acks wait for their readers.
const TURNS: u64 = 8;
const SUBMITS: usize = 50;

#[test]
fn floods_leave_everybody_their_turns() {
    let small = frame(0x02, b"00000001", b"hello").repeat(5000);
    let large = frame(0x02, b"00000001", &vec![7; 64 * 1024 - 14]).repeat(4);
    for (name, batch, ack) in [("small", &small, 14 + 5), ("large", &large, 64 * 1024)] {
        let site = Site::with(
            "server.threads = 1\n[plugin.submit-echo.config]\nreply = true\n",
            &[&sample("submit-echo")],
        );
        let host = site.start();
        let flood = Flood::default();
        let mut modest = host.connect();
        thread::scope(|scope| {
            let _over = Over(&flood);
            for _ in 0..FLOODERS {
                flood.begin(scope, host.connect(), batch, ack);
            }
            flood.wait_for(batch.len() as u64);
            let mut meanwhile: Vec<u64> = (0..SUBMITS)
                .map(|_| {
                    let before = flood.acked();
                    assert_eq!(modest.submit(0x02, b"modest").body, b"modest");
                    flood.acked() - before
                })
                .collect();
            meanwhile.sort_unstable();
            let median = meanwhile[SUBMITS / 2];
            assert!(
                median < FLOODERS as u64 * TURNS * TURN,
                "{name}: {median} bytes for others in each turn, {meanwhile:?}"
            );
            // It was a flood until the end.
            flood.wait_for(flood.acked() + batch.len() as u64);
        });
        host.stop();
    }
}

/// Connections that send without pause and read what comes.
#[derive(Default)]
struct Flood {
    /// The bytes of all acks.
    acked: AtomicU64,
    is_over: AtomicBool,
}

impl Flood {
    /// Starts one more. Each ack has as many bytes.
    fn begin<'s>(&'s self, scope: &'s Scope<'s, '_>, client: Client, batch: &'s [u8], ack: usize) {
        let mut writer = client.stream.try_clone().unwrap();
        scope.spawn(move || {
            while !self.is_over.load(Ordering::Relaxed) {
                writer.write_all(batch).unwrap();
            }
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut reader = client.stream;
        scope.spawn(move || {
            let (mut buffer, mut all) = (vec![0; 1 << 16], 0);
            loop {
                let read = reader.read(&mut buffer).unwrap();
                if read == 0 {
                    break;
                }
                all += read;
                self.acked.fetch_add(read as u64, Ordering::Relaxed);
            }
            assert_eq!(all % ack, 0, "the last ack is not whole");
        });
    }

    fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    fn wait_for(&self, bytes: u64) {
        while self.acked() < bytes {
            thread::yield_now();
        }
    }
}

/// Ends a flood when the test ends, also when it fails.
struct Over<'a>(&'a Flood);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}
