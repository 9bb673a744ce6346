//! The order of things in a connection. Acks that the peer has not taken come before all else: while it does not read, it
//! is not read, so its memory stays bounded. Then what was read and held back, and only then the next read. One turn has one
//! read and one answer at most; then other connections have theirs.

use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, SocketAddr};

use mio::net::TcpStream;
use plugin_api::abi::Lent;
use tracing::debug;
use wire::AckWriter;

use super::batches::{Answered, Caller, Mode, Rest, answer};
use super::facts::Facts;
use super::input::{Input, Place, Received};
use super::linger::Linger;
use super::output::Unsent;
use super::scratch::Scratch;
use super::timeouts::Waiting;
use super::{Shared, peer_errors};
use crate::process::descriptors::end_if_gone;

/// How many reads a stopping host still answers: up to 1 MiB that came before it stopped.
const LAST_READS: usize = 16;

/// One connection: what it has to do, and what it keeps meanwhile.
pub struct Connection {
    stream: TcpStream,
    facts: Facts,
    phase: Phase,
    /// Whether the socket may have something to read.
    readable: Readable,
    input: Input,
    unsent: Unsent,
}

/// What is known of the socket's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readable {
    /// There may be something.
    pub now: bool,
    /// The peer has closed its end: there is the end of the stream, whatever is before it.
    pub end: bool,
    /// The peer has sent something as urgent. A read stops where that is, so what a read leaves is not told by its length.
    pub urgent: bool,
}

enum Phase {
    /// Until further notice.
    Serving,
    /// The host stops: Submits that are already here are read, in this many reads at most, and turned away.
    Stopping { reads: usize },
    /// No more requests; when the acks are out, so is our end of the stream.
    Closing,
    /// Discarding what still comes: to close with unread input would reset the peer, and lose it the acks.
    Lingering(Linger),
}

/// How a connection ended, for the log.
#[derive(Clone, Copy, Debug)]
enum End {
    ClosedByPeer,
    ClosedByHost,
    Idle,
    NotReading,
}

/// What follows a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes on.
    Wait {
        /// What the peer has to do, unless there is more to do already.
        waiting: Waiting,
        /// Whether that wait begins anew: a frame was completed or acks were taken in this turn.
        progress: bool,
        /// Whether it needs another turn, whatever the peer does.
        more: bool,
    },
    /// It is to be dropped; why is in the log.
    End,
}

enum Step {
    Next { progress: bool },
    Wait(Waiting),
    End(End),
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(stream: TcpStream, peer: SocketAddr) -> Connection {
        Connection {
            stream,
            facts: Facts::of_new(peer),
            phase: Phase::Serving,
            readable: Readable::default(),
            input: Input::default(),
            unsent: Unsent::default(),
        }
    }

    /// Its socket, to be registered where it is waited for.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Does what can be done now, with an end: others have their turns as well. `stopping`: no more Submits are served.
    pub fn turn(&mut self, readable: Readable, stopping: bool, scratch: &mut Scratch, shared: &Shared) -> Next {
        self.readable.now |= readable.now;
        self.readable.end |= readable.end;
        self.readable.urgent |= readable.urgent;
        if let (Phase::Serving, true) = (&self.phase, stopping) {
            self.phase = Phase::Stopping { reads: LAST_READS };
        }
        scratch.under_way.begin_turn();
        let next = self.steps(scratch, shared);
        scratch.trim();
        match next {
            Ok(Ok(next)) => return next,
            Ok(Err(end)) => debug!(peer = %self.facts.peer(), ?end, "connection closed"),
            // A peer that resets or vanishes is everyday business.
            Err(error) => {
                end_if_gone(&error);
                debug!(peer = %self.facts.peer(), %error, "connection lost");
            }
        }
        Next::End
    }

    fn steps(&mut self, scratch: &mut Scratch, shared: &Shared) -> io::Result<Result<Next, End>> {
        let flushed = self.unsent.flush(&mut self.stream)? > 0;
        let (waiting, progress, more) = match self.step(scratch, shared)? {
            Step::Next { progress } => (self.waiting(), progress, self.has_more()),
            Step::Wait(waiting) => (waiting, false, false),
            Step::End(end) => return Ok(Err(end)),
        };
        if !more {
            self.input.rest();
        }
        Ok(Ok(Next::Wait {
            waiting,
            progress: progress || flushed,
            more,
        }))
    }

    fn step(&mut self, scratch: &mut Scratch, shared: &Shared) -> io::Result<Step> {
        if !self.unsent.is_empty() {
            return Ok(Step::Wait(Waiting::Peer));
        }
        if self.input.is_held_back() {
            return self.answer(scratch, shared, Place::Own);
        }
        match self.phase {
            Phase::Serving if !self.readable.now => Ok(Step::Wait(self.waiting_for_input())),
            Phase::Serving => self.requests(scratch, shared),
            Phase::Stopping { reads: 0 } => self.close(),
            Phase::Stopping { reads } => {
                self.phase = Phase::Stopping { reads: reads - 1 }; // first: a malformed frame changes it again
                self.readable.now = true; // what the kernel has by now counts, known or not
                match self.requests(scratch, shared)? {
                    Step::Wait(_) => self.close(),
                    step => Ok(step),
                }
            }
            Phase::Closing => self.close(),
            Phase::Lingering(_) => self.linger(scratch),
        }
    }

    /// Whether there is something to do that does not wait for the peer.
    fn has_more(&self) -> bool {
        let is_serving = matches!(self.phase, Phase::Serving);
        self.unsent.is_empty() && (!is_serving || self.input.is_held_back() || self.readable.now)
    }

    fn waiting(&self) -> Waiting {
        match self.phase {
            _ if !self.unsent.is_empty() => Waiting::Peer,
            Phase::Lingering(_) => Waiting::Close,
            Phase::Serving | Phase::Stopping { .. } | Phase::Closing => self.waiting_for_input(),
        }
    }

    fn waiting_for_input(&self) -> Waiting {
        match self.input.bytes() {
            [] => Waiting::Frame,
            _ => Waiting::Rest,
        }
    }

    /// Reads once and answers what came. Only for when no ack is unsent and nothing is held back.
    fn requests(&mut self, scratch: &mut Scratch, shared: &Shared) -> io::Result<Step> {
        let max_frame = shared.limits.max_frame();
        match self.input.read(&mut self.stream, &mut scratch.input, max_frame)? {
            Received::Bytes { place, is_all } => {
                self.readable.now = !is_all || self.readable.end || self.readable.urgent;
                self.answer(scratch, shared, place)
            }
            Received::Nothing => {
                self.readable.now = false;
                Ok(Step::Wait(self.waiting_for_input()))
            }
            Received::End => {
                self.note_half_frame("closed by the peer", shared);
                Ok(Step::End(End::ClosedByPeer))
            }
        }
    }

    /// Answers the frames at `place`, sends the acks, and keeps the rest.
    fn answer(&mut self, scratch: &mut Scratch, shared: &Shared, place: Place) -> io::Result<Step> {
        let Scratch {
            input: read,
            output,
            run,
            under_way,
            routes,
        } = scratch;
        let bytes = self.input.at(place, read);
        let mode = match self.phase {
            Phase::Serving => Mode::Serving,
            Phase::Stopping { .. } | Phase::Closing | Phase::Lingering(_) => Mode::Stopping,
        };
        let limits = shared.limits;
        let mut acks = AckWriter::new(output, shared.numbering, limits.max_frame(), limits.max_output());
        let mut submits = run.take();
        let connection = self.facts.lend(&shared.listener);
        let caller = Caller {
            connection: Lent::new(&connection),
            under_way,
        };
        let Answered { consumed, rest } = answer(bytes, routes, mode, limits, caller, &mut submits, &mut acks);
        run.put_back(submits);
        let written = acks.written();

        if let Rest::Malformed(reason) = rest {
            shared.counters.count_malformed(reason);
            peer_errors::malformed(self.facts.peer(), reason, &bytes[consumed..]);
            self.phase = Phase::Closing;
        }
        self.input.keep(place, read, consumed, matches!(rest, Rest::HeldBack));
        self.unsent.send(&mut self.stream, output, written)?;
        Ok(Step::Next { progress: consumed > 0 })
    }

    fn close(&mut self) -> io::Result<Step> {
        match self.stream.shutdown(Shutdown::Write) {
            // Linux says so when the peer has reset the connection; reading will tell.
            Err(error) if error.kind() != ErrorKind::NotConnected => return Err(error),
            _ => {}
        }
        self.input = Input::default();
        self.phase = Phase::Lingering(Linger::begin(&self.stream));
        Ok(Step::Next { progress: true })
    }

    fn linger(&mut self, scratch: &mut Scratch) -> io::Result<Step> {
        match self.stream.read(&mut scratch.input) {
            Ok(0) => Ok(Step::End(End::ClosedByHost)),
            Ok(_) => Ok(Step::Next { progress: false }),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Step::Wait(Waiting::Close)),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Step::Next { progress: false }),
            Err(error) => Err(error),
        }
    }

    /// Whether its wait is really over, at tick `now`: then it is to be dropped, and why is in the log. Only for when the
    /// wait's time has passed.
    pub fn is_overdue(&mut self, waiting: Waiting, now: u32, shared: &Shared) -> bool {
        let end = match (waiting, &mut self.phase) {
            (Waiting::Close, Phase::Lingering(linger)) => {
                if !linger.is_over(&self.stream, shared.timeouts.patience(), now) {
                    return false;
                }
                match linger.owed() {
                    0 => End::ClosedByHost,
                    owed => self.not_reading(owed, shared),
                }
            }
            (Waiting::Close, _) => End::ClosedByHost,
            (Waiting::Peer, _) => self.not_reading(self.unsent.len(), shared),
            (Waiting::Frame, _) => End::Idle,
            (Waiting::Rest, _) => {
                self.note_half_frame(shared.timeouts.name_of_rest(), shared);
                End::Idle
            }
        };
        debug!(peer = %self.facts.peer(), ?end, "connection closed");
        true
    }

    fn not_reading(&self, owed: usize, shared: &Shared) -> End {
        shared.counters.count_write_timeout();
        peer_errors::not_reading(self.facts.peer(), owed);
        End::NotReading
    }

    fn note_half_frame(&self, reason: &str, shared: &Shared) {
        let bytes = self.input.bytes();
        if !bytes.is_empty() {
            shared.counters.count_half_frame();
            peer_errors::half_frame(self.facts.peer(), reason, bytes, shared.limits.max_frame());
        }
    }
}
