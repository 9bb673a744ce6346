//! Clients that keep to the rules and check each ack: a bystander, and those whose handlers block, panic and log.

use std::io::{self, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tests::client::{frame, read_ack};
use tests::host::Host;

use crate::balance::Balance;
use crate::scene::{ECHO, HANDLERS, LOG, Part};

/// How long anybody waits for an ack.
const ANSWER: Duration = Duration::from_secs(10);
/// What the host answers for a handler that panics.
const HANDLER_FAILED: u8 = 0xF1;
const BLOCKING: usize = 10;
/// Submits that are sent at once while nobody reads the log: more than its queue has room for.
const FLOOD: usize = 5000;

/// A Submit and what must be answered.
#[derive(Clone)]
pub(crate) struct Ask {
    command: u8,
    id: [u8; 8],
    payload: Vec<u8>,
    result: u8,
    body: Vec<u8>,
}

impl Ask {
    /// One whose payload must come back.
    pub(crate) fn echo(command: u8, number: u64, payload: &[u8]) -> Ask {
        Ask {
            command,
            id: number.to_be_bytes(),
            payload: payload.to_vec(),
            result: 0,
            body: payload.to_vec(),
        }
    }

    /// One that is answered by a result alone.
    fn result(result: u8, ask: Ask) -> Ask {
        let body = Vec::new();
        Ask { result, body, ..ask }
    }
}

/// A connection that counts what it sends and checks what it gets.
pub(crate) struct Checked<'a> {
    kind: &'static str,
    balance: &'a Balance,
    pub(crate) stream: TcpStream,
}

impl<'a> Checked<'a> {
    pub(crate) fn connect(host: &Host, kind: &'static str, balance: &'a Balance) -> Checked<'a> {
        let stream = host.connect().stream;
        stream.set_read_timeout(Some(ANSWER)).unwrap();
        Checked { kind, balance, stream }
    }

    /// Sends all of them in one write.
    pub(crate) fn send(&self, asks: &[Ask]) {
        self.send_by(asks, |frames| (&self.stream).write_all(frames));
    }

    /// Sends all of them in a way of one's own.
    pub(crate) fn send_by(&self, asks: &[Ask], write: impl FnOnce(&[u8]) -> io::Result<()>) {
        let frames = asks.iter().map(|ask| frame(ask.command, &ask.id, &ask.payload));
        self.balance.sent(self.kind, asks.len() as u64);
        let sent = write(&frames.collect::<Vec<_>>().concat());
        sent.unwrap_or_else(|error| panic!("{}: {error}", self.kind));
    }

    /// Reads an ack for each of them, in their order, and nothing after them.
    pub(crate) fn receive(&self, asks: &[Ask]) {
        let mut acks = BufReader::with_capacity(1 << 16, &self.stream);
        for ask in asks {
            let ack = read_ack(&mut acks).unwrap_or_else(|| panic!("{}: no ack, but the end", self.kind));
            let is_right = (ack.command, ack.id, ack.result) == (ask.command + 0x7F, ask.id, ask.result);
            assert!(is_right && ack.body == ask.body, "{}: {ack:?}", self.kind);
        }
        assert!(acks.buffer().is_empty(), "{}: more than was asked for", self.kind);
        self.balance.acked(self.kind, asks.len() as u64);
    }

    pub(crate) fn ask(&self, asks: &[Ask]) {
        self.send(asks);
        self.receive(asks);
    }
}

/// Starts all of them.
pub(crate) fn all(spawn: &impl Fn(&str, fn(&Part<'_>))) {
    spawn("bystander", bystander);
    for _ in 0..BLOCKING {
        spawn("handlers that block", blocking);
    }
    spawn("a handler that blocks long", blocking_long);
    spawn("handlers that panic", panicking);
    spawn("handlers that log", logging);
}

/// One Submit each millisecond.
fn bystander(part: &Part<'_>) {
    let balance = &part.scene.balance;
    let client = Checked::connect(&part.scene.host, "bystander", balance);
    for number in 0.. {
        if !part.goes_on() {
            return;
        }
        let started = Instant::now();
        client.ask(&[Ask::echo(ECHO, number, b"here I am")]);
        let took = started.elapsed();
        balance.took(took);
        std::thread::sleep(Duration::from_millis(1).saturating_sub(took));
    }
}

/// 1 to 30 ms each, one to three in a write.
fn blocking(part: &Part<'_>) {
    let mut rng = part.rng_of_many();
    let client = Checked::connect(&part.scene.host, "handlers that block", &part.scene.balance);
    while part.goes_on() {
        let asks = (0..rng.u64(1..=3)).map(|number| {
            let payload = format!("sleep {}", rng.u64(1..=30));
            Ask::echo(HANDLERS, number, payload.as_bytes())
        });
        client.ask(&asks.collect::<Vec<_>>());
        part.pause(Duration::from_millis(rng.u64(..10)));
    }
}

fn blocking_long(part: &Part<'_>) {
    let mut rng = part.rng(3);
    let client = Checked::connect(&part.scene.host, "a handler that blocks long", &part.scene.balance);
    while part.goes_on() {
        let payload = format!("sleep {}", rng.u64(1000..3000));
        client.ask(&[Ask::echo(HANDLERS, 0, payload.as_bytes())]);
        part.pause(Duration::from_millis(rng.u64(1000..3000)));
    }
}

/// Panics between Submits that are none, in one write.
fn panicking(part: &Part<'_>) {
    let mut rng = part.rng(4);
    let client = Checked::connect(&part.scene.host, "handlers that panic", &part.scene.balance);
    while part.goes_on() {
        let asks = (0..rng.u64(1..=16)).map(|number| match rng.bool() {
            true => Ask::result(HANDLER_FAILED, Ask::echo(HANDLERS, number, b"panic")),
            false => Ask::echo(HANDLERS, number, b"no panic"),
        });
        client.ask(&asks.collect::<Vec<_>>());
        part.pause(Duration::from_millis(rng.u64(5..50)));
    }
}

/// A plugin that logs each payload. Now and then nobody reads the log for some seconds, and sometimes more is logged
/// meanwhile than there is room for.
fn logging(part: &Part<'_>) {
    let mut rng = part.rng(5);
    let (host, balance) = (&part.scene.host, &part.scene.balance);
    let client = Checked::connect(host, "handlers that log", balance);
    let asks = |count: usize, length: usize, rng: &mut fastrand::Rng| -> Vec<Ask> {
        // No line like another: what repeats would be left out.
        let payloads = (0..count).map(|_| (0..length).map(|_| rng.alphanumeric() as u8).collect::<Vec<_>>());
        let asks = payloads
            .zip(0..)
            .map(|(payload, number)| Ask::echo(LOG, number, &payload));
        asks.map(|ask| Ask::result(0, ask)).collect()
    };
    while part.goes_on() {
        for _ in 0..rng.usize(5..30) {
            client.ask(&asks(5, 50, &mut rng));
            part.pause(Duration::from_millis(100));
        }
        host.read_log(false);
        balance.did("log: not read for some seconds");
        if rng.usize(..3) == 0 {
            client.ask(&asks(FLOOD, 1000, &mut rng));
            balance.did("log: flooded meanwhile");
        }
        part.pause(Duration::from_millis(rng.u64(1000..3000)));
        host.read_log(true);
    }
}
