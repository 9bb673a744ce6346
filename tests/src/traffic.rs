//! Submits on many connections without a pause, while who answers them changes; and every ack checked: it comes once, in
//! order, and from somebody who may answer then.
//!
//! Who may answer is a line of plugins, each in force after the one before. A Submit that was sent when the change to one of
//! them was known to be over must not be answered by an earlier one; an ack that came before the change to one of them was
//! asked for can't be its; and on one connection nobody answers again whose time was over. No clock has a part in that.

use std::collections::VecDeque;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, RwLock};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use crate::client::{Client, frame, read_ack};
use crate::host::{Host, PATIENCE};

/// The connections, each on a thread of its own.
pub struct Traffic {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Report>>,
    /// Acks that must have come before every connection has turned its window over twice.
    turn: u64,
}

#[derive(Default)]
struct Shared {
    /// The bodies of those who answer, one after another.
    line: RwLock<Vec<String>>,
    /// The first of them that may answer what is sent now.
    settled: AtomicUsize,
    acked: AtomicU64,
    is_over: AtomicBool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// How many Submits were sent.
    pub sent: u64,
    /// How many Submits each in the line has answered.
    pub answered: Vec<u64>,
    /// From the write of each Submit to the read of its ack.
    pub latencies: Vec<Duration>,
}

impl Traffic {
    /// Begins, with as many Submits under way on each connection as its window allows. `first` is who answers now.
    #[track_caller]
    pub fn start(host: &Host, connections: usize, window: usize, command: u8, first: &str) -> Traffic {
        let shared = Arc::new(Shared::default());
        shared.line.write().unwrap().push(first.to_owned());
        let clients = (0..connections).map(|_| {
            let client = Connection {
                stream: host.connect(),
                shared: Arc::clone(&shared),
                window,
                command,
                owed: VecDeque::new(),
                at: 0,
                report: Report::default(),
            };
            spawn(move || client.run())
        });
        Traffic {
            clients: clients.collect(),
            turn: (2 * connections * window) as u64,
            shared,
        }
    }

    /// From now on this one may answer too: to be called before the change is asked for.
    pub fn may_answer(&self, body: &str) {
        self.shared.line.write().unwrap().push(body.to_owned());
    }

    /// From now on nobody before the last one may answer what is sent: to be called when the change is over.
    pub fn must_answer(&self) {
        let last = self.shared.line.read().unwrap().len() - 1;
        self.shared.settled.store(last, SeqCst);
    }

    /// Waits until every connection may have turned its window over twice: so long a time between two changes is under load.
    #[track_caller]
    pub fn flow(&self) {
        let (goal, deadline) = (self.acked() + self.turn, Instant::now() + PATIENCE);
        while self.acked() < goal {
            let is_alive = self.clients.iter().all(|client| !client.is_finished());
            assert!(is_alive && Instant::now() < deadline, "the traffic has stopped");
            sleep(Duration::from_millis(1));
        }
    }

    fn acked(&self) -> u64 {
        self.shared.acked.load(SeqCst)
    }

    /// Sends no more, and reads all acks that are owed and nothing after them.
    #[track_caller]
    pub fn finish(mut self) -> Report {
        self.shared.is_over.store(true, SeqCst);
        let mut all = Report::default();
        for client in std::mem::take(&mut self.clients) {
            let report = client.join().expect("a connection without a fault");
            all.sent += report.sent;
            all.answered.resize(all.answered.len().max(report.answered.len()), 0);
            for (sum, count) in all.answered.iter_mut().zip(&report.answered) {
                *sum += count;
            }
            all.latencies.extend(report.latencies);
        }
        all
    }
}

/// Who fails meanwhile leaves nobody behind that goes on sending.
impl Drop for Traffic {
    fn drop(&mut self) {
        self.shared.is_over.store(true, SeqCst);
    }
}

struct Connection {
    stream: Client,
    shared: Arc<Shared>,
    window: usize,
    command: u8,
    owed: VecDeque<Owed>,
    /// Who in the line has answered last.
    at: usize,
    report: Report,
}

struct Owed {
    id: [u8; 8],
    /// The first in the line that may answer it.
    from: usize,
    sent: Instant,
}

impl Connection {
    fn run(mut self) -> Report {
        let mut acks = BufReader::with_capacity(1 << 16, self.stream.stream.try_clone().unwrap());
        let mut next = 0u64;
        loop {
            if !self.shared.is_over.load(SeqCst) {
                self.fill(&mut next);
            }
            if self.owed.is_empty() {
                return self.end(acks);
            }
            loop {
                self.take(&mut acks);
                if acks.buffer().is_empty() || self.owed.is_empty() {
                    break;
                }
            }
        }
    }

    /// Sends as many Submits as the window has room for, in one write.
    fn fill(&mut self, next: &mut u64) {
        let mut frames = Vec::new();
        let from = self.shared.settled.load(SeqCst);
        let sent = Instant::now();
        while self.owed.len() < self.window {
            let id = next.to_be_bytes();
            frames.extend(frame(self.command, &id, b"whoever answers"));
            self.owed.push_back(Owed { id, from, sent });
            *next += 1;
            self.report.sent += 1;
        }
        self.stream.stream.write_all(&frames).unwrap();
    }

    /// Reads one ack, which must be that of the oldest Submit.
    fn take(&mut self, acks: &mut BufReader<TcpStream>) {
        let ack = read_ack(acks).expect("an ack, found the end of the stream");
        let owed = self.owed.pop_front().unwrap();
        assert_eq!(
            (ack.command, ack.id, ack.result),
            (self.command + 0x7F, owed.id, 0),
            "{ack:?}"
        );
        let line = self.shared.line.read().unwrap();
        let from = owed.from.max(self.at);
        let body = String::from_utf8(ack.body).unwrap();
        let who = (from..line.len()).find(|who| line[*who] == body);
        self.at = who.unwrap_or_else(|| panic!("{body:?} answers, where {:?} may", &line[from..]));
        drop(line);
        self.report
            .answered
            .resize(self.report.answered.len().max(self.at + 1), 0);
        self.report.answered[self.at] += 1;
        self.report.latencies.push(owed.sent.elapsed());
        self.shared.acked.fetch_add(1, SeqCst);
    }

    fn end(self, mut acks: BufReader<TcpStream>) -> Report {
        self.stream.stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        acks.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "{} bytes that nobody asked for", rest.len());
        self.report
    }
}
