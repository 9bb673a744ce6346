//! One connection of the load: Submits out, as many as its window and the schedule allow; acks in, each checked.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use socket2::Socket;

use super::in_flight::{Body, Fault, InFlight};
use super::tally::Tally;
use super::{BenchError, Plan, Shared};
use wire::CONN;
use wire::client::{self, Ack, Decoded};

/// How long a host may take to accept a connection and to ack its Conn.
const CONN_TIMEOUT: Duration = Duration::from_secs(10);
const CONN_ID: [u8; 8] = *b"hostload";

/// Opens all connections, one after another, each with a Conn; the offset of its ack is what the host's `protocol.ack` says.
pub(super) fn open_all(plan: &Plan) -> Result<(Vec<Socket>, u8), BenchError> {
    let mut streams = Vec::with_capacity(plan.connections);
    let mut offset = None;
    for number in 1..=plan.connections {
        let failed = |error| BenchError::Connect {
            number,
            connections: plan.connections,
            address: plan.address.clone(),
            error,
        };
        let mut socket = plan.address.connect().map_err(failed)?;
        let acked = conn(&mut socket).map_err(|reason| BenchError::Conn {
            number,
            connections: plan.connections,
            address: plan.address.clone(),
            reason,
        })?;
        offset.get_or_insert(acked);
        socket.set_nonblocking(true).map_err(failed)?;
        streams.push(socket);
    }
    Ok((streams, offset.unwrap_or_default()))
}

/// Sends a Conn; gives what its ack added to the command.
fn conn(socket: &mut Socket) -> Result<u8, String> {
    let mut request = Vec::new();
    client::request(&mut request, CONN, CONN_ID, &[]);
    let mut bytes = [0; wire::MIN_ACK];
    let outcome = socket
        .set_read_timeout(Some(CONN_TIMEOUT))
        .and_then(|()| socket.write_all(&request))
        .and_then(|()| socket.read_exact(&mut bytes));
    outcome.map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("nothing came for {CONN_TIMEOUT:?}"),
        _ => error.to_string(),
    })?;
    match client::decode(&bytes) {
        Decoded::Ack { ack, .. } if ack.id == CONN_ID && ack.result == 0 => Ok(ack.command.wrapping_sub(CONN)),
        other => Err(format!("expected an ack with result 0x00, found {other:?}")),
    }
}

/// One connection.
pub(super) struct Connection {
    /// None once it has ended.
    stream: Option<Socket>,
    /// From 0.
    number: usize,
    in_flight: InFlight,
    /// How many Submits were made.
    made: u64,
    /// What the socket has not taken yet.
    output: Vec<u8>,
    /// The beginning of an ack.
    input: Vec<u8>,
}

/// What a thread's connections share.
pub(super) struct Scratch {
    input: Box<[u8]>,
    /// What payloads are made of; the ID goes over its beginning.
    payload: Box<[u8]>,
}

impl Scratch {
    pub(super) fn new(plan: &Plan) -> Scratch {
        Scratch {
            input: vec![0; 64 << 10].into_boxed_slice(),
            payload: (0..plan.payload).map(|at| b'a' + (at % 26) as u8).collect(),
        }
    }
}

impl Connection {
    pub(super) fn new(number: usize, stream: Socket, window: usize) -> Connection {
        Connection {
            stream: Some(stream),
            number,
            in_flight: InFlight::new(window),
            made: 0,
            output: Vec::new(),
            input: Vec::new(),
        }
    }

    /// From 0, among all connections of the load.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// How many Submits have no ack yet.
    pub(super) fn owed(&self) -> usize {
        self.in_flight.len()
    }

    /// How many Submits were due in time and could not be sent.
    pub(super) fn unsent(&self, shared: &Shared) -> usize {
        if self.stream.is_none() {
            return 0; // that it ended is said by itself
        }
        let is_due = |nth: &u64| shared.schedule.due(self.number, *nth, shared.end()) < shared.end();
        (self.made..).take_while(is_due).count()
    }

    /// When the next Submit is due, if there is room for it.
    fn next_due(&self, shared: &Shared, now: u64) -> Option<u64> {
        let may_send = self.stream.is_some() && self.in_flight.has_room();
        may_send.then(|| shared.schedule.due(self.number, self.made, now))
    }

    /// Makes the Submits that are due, and sends what the socket takes.
    pub(super) fn send(&mut self, shared: &Shared, scratch: &Scratch, tally: &mut Tally) {
        let now = shared.now();
        // What was due in time is sent in any case: it is in the figures how long it had to wait.
        let latest = now.min(shared.end().saturating_sub(1));
        while let Some(due) = self.next_due(shared, now).filter(|due| *due <= latest) {
            self.make(shared, scratch, due);
            tally.behind = tally.behind.max(Duration::from_nanos(now - due));
        }
        if let Err(fault) = self.flush() {
            self.fail(fault, tally);
        }
    }

    fn make(&mut self, shared: &Shared, scratch: &Scratch, due: u64) {
        let commands = &shared.plan.commands;
        let command = commands[(self.made % commands.len() as u64) as usize];
        let Some(id) = self.in_flight.begin(command, due) else {
            return;
        };
        self.made += 1;
        client::request(&mut self.output, command, id, &scratch.payload);
        let start = self.output.len() - scratch.payload.len();
        stamp(&mut self.output[start..], id);
    }

    fn flush(&mut self) -> Result<(), Fault> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let mut taken = 0;
        let outcome = loop {
            if taken == self.output.len() {
                break Ok(());
            }
            match stream.write(&self.output[taken..]) {
                Ok(0) => break Err(Fault::Closed),
                Ok(some) => taken += some,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break Err(Fault::Closed),
            }
        };
        self.output.drain(..taken);
        outcome
    }

    /// Whether the host may still ack something on it.
    pub(super) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Reads what has come, and checks it; gives how many acks there were. `is_last`: behind it is the end of the stream.
    pub(super) fn receive(&mut self, is_last: bool, shared: &Shared, scratch: &mut Scratch, tally: &mut Tally) -> u64 {
        let mut acks = 0;
        loop {
            let Some(stream) = &mut self.stream else { return acks };
            let outcome = stream.read(&mut scratch.input);
            let read = match outcome {
                Ok(0) => Err(Fault::Closed),
                Ok(read) => Ok(read),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return acks,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => Err(Fault::Closed),
            };
            let now = shared.now();
            let checked = read.and_then(|read| {
                let more = self.take(&scratch.input[..read], now, shared, &scratch.payload, tally)?;
                Ok((read, more))
            });
            match checked {
                Ok((read, more)) => {
                    acks += more;
                    // A read that did not fill the buffer has taken all there was, but for the end: epoll(7).
                    if read < scratch.input.len() && !is_last {
                        return acks;
                    }
                }
                Err(fault) => {
                    self.fail(fault, tally);
                    return acks;
                }
            }
        }
    }

    /// Checks the acks in what was read at `now`.
    fn take(
        &mut self,
        read: &[u8],
        now: u64,
        shared: &Shared,
        payload: &[u8],
        tally: &mut Tally,
    ) -> Result<u64, Fault> {
        let mut joined = std::mem::take(&mut self.input);
        let bytes = if joined.is_empty() {
            read
        } else {
            joined.extend_from_slice(read);
            &joined
        };
        let (mut consumed, mut acks) = (0, 0);
        // Acks that come together were mostly sent together.
        let mut run = (0, 0);
        let outcome = loop {
            match client::decode(&bytes[consumed..]) {
                Decoded::Ack { ack, length } => {
                    consumed += length;
                    acks += 1;
                    tally.results[usize::from(ack.result)] += 1;
                    match self.check(&ack, shared, payload) {
                        Ok(due) if due == run.0 => run.1 += 1,
                        Ok(due) => {
                            measure(run, now, shared, tally);
                            run = (due, 1);
                        }
                        Err(fault) => tally.fault(fault, 1),
                    }
                }
                Decoded::Incomplete { .. } => break Ok(acks),
                Decoded::Malformed { .. } => break Err(Fault::Malformed),
            }
        };
        measure(run, now, shared, tally);
        if consumed < bytes.len() {
            self.input = bytes[consumed..].to_vec();
        }
        outcome
    }

    fn check(&mut self, ack: &Ack<'_>, shared: &Shared, payload: &[u8]) -> Result<u64, Fault> {
        let due = self.in_flight.end(ack, shared.offset)?;
        let fits = match shared.plan.body {
            Body::Any => true,
            Body::Empty => ack.body.is_empty(),
            Body::Echo => ack.body.len() == payload.len() && is_stamped(ack.body, payload, ack.id),
        };
        if fits { Ok(due) } else { Err(Fault::WrongBody) }
    }

    /// Ends it; what it is owed is lost.
    fn fail(&mut self, fault: Fault, tally: &mut Tally) {
        self.stream = None;
        tally.fault(fault, 1);
        tally.fault(Fault::Lost, self.owed());
        self.in_flight = InFlight::new(0);
    }
}

/// Counts the latency of a run of Submits that were due at the same time.
fn measure((due, count): (u64, u64), now: u64, shared: &Shared, tally: &mut Tally) {
    if count > 0 && due >= shared.measured_from() {
        tally.latency(now.saturating_sub(due), count);
    }
}

/// Writes the ID over the beginning of a payload that is long enough, so that no two payloads are alike.
fn stamp(payload: &mut [u8], id: [u8; 8]) {
    if let Some((beginning, _)) = payload.split_first_chunk_mut() {
        *beginning = id;
    }
}

fn is_stamped(body: &[u8], payload: &[u8], id: [u8; 8]) -> bool {
    match (body.split_first_chunk(), payload.split_first_chunk::<8>()) {
        (Some((beginning, rest)), Some((_, expected))) => *beginning == id && rest == expected,
        _ => body == payload,
    }
}
