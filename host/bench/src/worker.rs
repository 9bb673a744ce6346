//! One thread of the load: waits for its sockets and for what is due, and ends when every ack is there or given up.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use socket2::Socket;

use super::connection::{Connection, Scratch};
use super::in_flight::Fault;
use super::tally::Tally;
use super::timer::{TIMER, Timer};
use super::{Shared, TIMEOUT, nanoseconds};

/// How many sockets one poll may tell of.
const EVENTS: usize = 1024;
/// How many Submits that are due are looked after before acks are.
const AT_ONCE: usize = 1024;
/// How long nothing may happen before the clock is looked at all the same.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

pub(super) struct Worker {
    poll: Poll,
    /// For an open loop.
    timer: Option<Timer>,
    connections: Vec<Connection>,
    shared: Arc<Shared>,
    acked: Arc<AtomicU64>,
    scratch: Scratch,
    tally: Tally,
    /// Which Submit is due next, in an open loop: the nth one of this connection.
    next: (u64, usize),
}

impl Worker {
    /// For these connections, each with its number among all. `acked` is kept current.
    pub(super) fn new(streams: Vec<(usize, Socket)>, shared: Arc<Shared>, acked: Arc<AtomicU64>) -> io::Result<Worker> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(streams.len());
        for (index, (number, stream)) in streams.into_iter().enumerate() {
            let both = Interest::READABLE | Interest::WRITABLE;
            // The poll forgets a socket when it is closed.
            let mut source = SourceFd(&stream.as_raw_fd());
            poll.registry().register(&mut source, Token(index), both)?;
            connections.push(Connection::new(number, stream, shared.plan.window));
        }
        Ok(Worker {
            timer: shared.schedule.is_open().then(|| Timer::new(&poll)).transpose()?,
            scratch: Scratch::new(&shared.plan),
            tally: Tally::default(),
            next: (0, 0),
            poll,
            connections,
            shared,
            acked,
        })
    }

    /// Keeps up the load until its end, and gives what it saw.
    pub(super) fn run(mut self) -> io::Result<Tally> {
        let mut events = Events::with_capacity(EVENTS);
        if !self.shared.schedule.is_open() {
            (0..self.connections.len()).for_each(|index| self.send(index));
        }
        let mut ended = false;
        loop {
            let (now, end) = (self.shared.now(), self.shared.end());
            let wait = if now < end {
                self.send_due(now).min(end - now)
            } else {
                // What became due since the last look; 0 says that there may be more.
                let wait = self.send_due(end.saturating_sub(1));
                if self.is_over(now, wait > 0) {
                    break;
                }
                wait
            };
            let wait = Duration::from_nanos(wait).min(CHECK_INTERVAL);
            let polled = match &self.timer {
                Some(timer) => timer.wait(&mut self.poll, &mut events, wait),
                None => self.poll.poll(&mut events, Some(wait)),
            };
            match polled {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                if event.token() == TIMER {
                    continue;
                }
                let index = event.token().0;
                let is_last = event.is_read_closed() || event.is_error();
                let acks = self.connections[index].receive(is_last, &self.shared, &mut self.scratch, &mut self.tally);
                self.acked.fetch_add(acks, Ordering::Relaxed); // nobody else adds
                self.send(index);
                ended |= !self.connections[index].is_open();
            }
            if std::mem::take(&mut ended) && !self.connections.iter().any(Connection::is_open) {
                break; // nobody is left to send to
            }
        }
        let missing = |connection: &Connection| connection.owed() + connection.unsent(&self.shared);
        let lost = self.connections.iter().map(missing).sum();
        self.tally.fault(Fault::Lost, lost);
        Ok(self.tally)
    }

    fn send(&mut self, index: usize) {
        self.connections[index].send(&self.shared, &self.scratch, &mut self.tally);
    }

    /// In an open loop, sends what is due by now; gives how long until the next is, in nanoseconds.
    fn send_due(&mut self, now: u64) -> u64 {
        if !self.shared.schedule.is_open() {
            return u64::MAX;
        }
        for _ in 0..AT_ONCE {
            let (nth, index) = self.next;
            let due = self.shared.schedule.due(self.connections[index].number(), nth, now);
            if due > now {
                return due - now;
            }
            // A connection that has no room is passed over: its next ack makes it send.
            self.send(index);
            self.next = match index + 1 {
                end if end == self.connections.len() => (nth + 1, 0),
                next => (nth, next),
            };
        }
        0 // there may be more, but acks are waiting
    }

    fn is_over(&self, now: u64, is_all_sent: bool) -> bool {
        is_all_sent && self.connections.iter().all(|connection| connection.owed() == 0)
            || now >= self.shared.end() + nanoseconds(TIMEOUT)
            || self.shared.given_up.load(Ordering::Relaxed)
    }
}
