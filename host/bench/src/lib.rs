//! A load generator: Submits on many connections, every ack checked against its Submit, and what it all cost in time.
//!
//! In a closed loop each connection keeps a window full: an ack makes room for the next Submit, so a slow host is asked for
//! less, and its latencies look better than what a client would see that does not wait. In an open loop each Submit has an
//! instant at which it is due, and its latency counts from there, whenever it could be sent: what waits behind a stalled host
//! is in the figures.
//!
//! Threads share nothing but the clock and one counter each; what a thread saw is put together at the end.

mod address;
mod connection;
mod cpu;
mod in_flight;
mod schedule;
mod tally;
mod timer;
mod worker;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::Socket;

pub use address::Address;
use cpu::cpu_time;
pub use in_flight::{Body, Fault};
use schedule::Schedule;
pub use tally::Tally;
use worker::Worker;

/// How long acks that are owed at the end are waited for; those that come later are lost.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// How often progress is told.
const TELL: Duration = Duration::from_millis(500);

/// What to send, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The host's address.
    pub address: Address,
    /// How many connections; at least one.
    pub connections: usize,
    /// The most Submits that a connection may have without an ack; at least one.
    pub window: usize,
    /// The commands of a connection's Submits, over and over in this order; at least one.
    pub commands: Vec<u8>,
    /// The bytes of each payload.
    pub payload: usize,
    /// What an ack's body has to be.
    pub body: Body,
    /// Submits per second of all connections together, evenly spread; `None` for a closed loop.
    pub rate: Option<f64>,
    /// How long the load lasts before anything is measured.
    pub warmup: Duration,
    /// How long it is measured.
    pub duration: Duration,
    /// How many threads share the connections; at least one.
    pub threads: usize,
    /// The process whose processor time is measured: the host's.
    pub pid: Option<u32>,
}

/// Why there is nothing to measure.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A connection can't be made.
    #[error("can't open connection {number} of {connections} to {address}: {error}")]
    Connect {
        /// Which one, from 1.
        number: usize,
        /// How many were asked for.
        connections: usize,
        /// The host's address.
        address: Address,
        /// What the system said.
        error: io::Error,
    },
    /// A connection was made, but its Conn is not acked as a host does.
    #[error(
        "connection {number} of {connections} to {address} gets no ack for its Conn: {reason}; is a host there, and is its \
         server.max_connections large enough?"
    )]
    Conn {
        /// Which one, from 1.
        number: usize,
        /// How many were asked for.
        connections: usize,
        /// The host's address.
        address: Address,
        /// What came instead.
        reason: String,
    },
    /// The process that was named can't be looked at.
    #[error("can't read the processor time of process {pid}: {error}")]
    Pid {
        /// Its number.
        pid: u32,
        /// What the system said.
        error: io::Error,
    },
    /// The system gives no poll, timer or thread.
    #[error("can't generate load: {0}")]
    System(#[from] io::Error),
}

/// How far it has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since the load began.
    pub elapsed: Duration,
    /// Warm-up and measurement together.
    pub whole: Duration,
    /// Acks per second of late.
    pub rate: f64,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// How long was measured.
    pub measured: Duration,
    /// The acks that came in that time.
    pub acks: u64,
    /// All that the connections saw, latencies of what was sent or due in that time.
    pub tally: Tally,
    /// What the host's process used in that time, if it was named.
    pub host: Option<Duration>,
    /// What this process used in that time; not known everywhere.
    pub client: Option<Duration>,
}

impl Report {
    /// Acks per second.
    pub fn rate(&self) -> f64 {
        self.acks as f64 / self.measured.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The host's processor time for each ack, in nanoseconds.
    pub fn host_ns_per_ack(&self) -> Option<f64> {
        let host = self.host.filter(|_| self.acks > 0)?;
        Some(host.as_nanos() as f64 / self.acks as f64)
    }
}

/// What threads share.
struct Shared {
    plan: Plan,
    schedule: Schedule,
    /// What is added to a request's command in its ack.
    offset: u8,
    /// When the load begins, and all times count from.
    start: Instant,
    /// Whether what is still owed is not waited for.
    given_up: AtomicBool,
}

impl Shared {
    /// Nanoseconds since the load began.
    fn now(&self) -> u64 {
        nanoseconds(self.start.elapsed())
    }

    fn measured_from(&self) -> u64 {
        nanoseconds(self.plan.warmup)
    }

    fn end(&self) -> u64 {
        nanoseconds(self.plan.warmup + self.plan.duration)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Opens the connections, keeps up the load, and says what came of it. `tell` hears of progress now and then.
///
/// # Errors
/// When the load can't be set up. What goes wrong later is in the report's tally.
pub fn run(plan: Plan, mut tell: impl FnMut(Progress)) -> Result<Report, BenchError> {
    if let Some(pid) = plan.pid {
        // Before the connections, of which there may be many.
        cpu_time(pid).map_err(|error| BenchError::Pid { pid, error })?;
    }
    let (streams, offset) = connection::open_all(&plan)?;
    let shared = Arc::new(Shared {
        schedule: Schedule::new(&plan),
        offset,
        // The last thread begins a little after the first one was started; the warm-up is for that too.
        start: Instant::now(),
        given_up: AtomicBool::new(false),
        plan,
    });
    let plan = &shared.plan;
    let (threads, ends) = start_threads(streams, &shared)?;
    let acked = || threads.iter().map(|(_, acked)| acked.load(Ordering::Relaxed)).sum();
    let sample = || Sample {
        at: shared.start.elapsed(),
        acks: acked(),
        // A host that has ended meanwhile has none; that it did is among the faults.
        host: plan.pid.and_then(|pid| cpu_time(pid).ok()),
        client: cpu_time(std::process::id()).ok(),
    };

    wait(&shared, plan.warmup, acked, &ends, &mut tell);
    let first = sample();
    wait(&shared, plan.warmup + plan.duration, acked, &ends, &mut tell);
    let last = sample();
    if plan.pid.is_some() && last.host.is_none() {
        shared.given_up.store(true, Ordering::Relaxed); // nobody is there who could ack what is owed
    }
    let mut tally = Tally::default();
    for (thread, _) in threads {
        match thread.join() {
            Ok(seen) => tally.add(&seen?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    Ok(Report {
        measured: last.at - first.at,
        acks: last.acks - first.acks,
        tally,
        host: last
            .host
            .zip(first.host)
            .map(|(last, first)| last.saturating_sub(first)),
        client: last
            .client
            .zip(first.client)
            .map(|(last, first)| last.saturating_sub(first)),
    })
}

/// A thread of the load, and how many acks it has seen.
type Load = (JoinHandle<io::Result<Tally>>, Arc<AtomicU64>);

/// Disconnected when all threads of the load have ended: each holds the other end, and nothing is ever sent.
type Ends = Receiver<Infallible>;

/// Shares the connections among the threads of the plan, and starts those that have some.
fn start_threads(streams: Vec<Socket>, shared: &Arc<Shared>) -> io::Result<(Vec<Load>, Ends)> {
    let (goes_on, ends): (Sender<Infallible>, Ends) = channel();
    let mut shares: Vec<Vec<_>> = (0..shared.plan.threads).map(|_| Vec::new()).collect();
    for (number, stream) in streams.into_iter().enumerate() {
        shares[number % shared.plan.threads].push((number, stream));
    }
    let mut threads = Vec::new();
    for share in shares.into_iter().filter(|share| !share.is_empty()) {
        let acked = Arc::new(AtomicU64::new(0));
        let worker = Worker::new(share, Arc::clone(shared), Arc::clone(&acked))?;
        let thread = std::thread::Builder::new().name("load".to_owned());
        let goes_on = goes_on.clone();
        let run = move || {
            let _goes_on = goes_on;
            worker.run()
        };
        threads.push((thread.spawn(run)?, acked));
    }
    Ok((threads, ends))
}

struct Sample {
    at: Duration,
    acks: u64,
    host: Option<Duration>,
    client: Option<Duration>,
}

/// Waits until then, or until every connection is lost, and tells how it goes.
fn wait(shared: &Shared, until: Duration, acked: impl Fn() -> u64, ends: &Ends, tell: &mut impl FnMut(Progress)) {
    let (mut at, mut before) = (shared.start.elapsed(), acked());
    while at < until && ends.recv_timeout(TELL.min(until - at)) == Err(RecvTimeoutError::Timeout) {
        let (now, acks) = (shared.start.elapsed(), acked());
        tell(Progress {
            elapsed: now,
            whole: shared.plan.warmup + shared.plan.duration,
            rate: (acks - before) as f64 / (now - at).as_secs_f64(),
        });
        (at, before) = (now, acks);
    }
}
