//! A connection from its first turn to its end: serving, stopping, closing, lingering. Decides what it does in its turn, in which
//! order, and what an overdue wait comes to; what a malformed frame comes to stands in `protocol_errors`. Acks that the peer has
//! not taken come first: while the peer does not read, its requests are not read (backpressure), so memory stays bounded. Then
//! the frames that were read and held back, and only then the next read. One turn has one read and one answer at most; then other
//! connections have theirs.

use std::io;

use plugin_api::abi::Lent;
use tracing::debug;
use wire::AckWriter;

use super::batches::{Answered, Batches, Mode, Remainder};
use super::info::Info;
use super::input_buffer::{Input, Place, Received};
use super::linger::Linger;
use super::output::Unsent;
use super::phase::Phase;
use super::protocol_errors;
use super::scratch::Scratch;
use super::shared::Shared;
use super::timeouts::Waiting;
use crate::net::peer::Peer;
use crate::net::transport::{self, Readable, Transport};
use crate::process::descriptors::end_if_gone;

/// How many reads a stopping host still answers: up to 1 MiB that came before it stopped.
const LAST_READS: usize = 16;

/// One connection: what it has to do, and what it keeps meanwhile.
pub struct Connection {
    transport: Transport,
    info: Info,
    phase: Phase,
    input: Input,
    unsent: Unsent,
}

/// Why a connection is closed.
#[derive(Debug)]
enum Closed {
    ByPeer,
    ByHost,
    IdleTimeout,
    FrameTimeout,
    WriteTimeout,
    /// The transport failed. A peer that resets or vanishes is everyday business.
    Lost(io::Error),
}

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Closed {
        Closed::Lost(error)
    }
}

impl Closed {
    fn log(&self, peer: Peer) {
        match self {
            Closed::Lost(error) => debug!(%peer, %error, "connection lost"),
            reason => debug!(%peer, ?reason, "connection closed"),
        }
    }
}

/// What follows a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterTurn {
    /// It goes on.
    Wait {
        /// What the peer has to do, unless there is more to do already.
        waiting: Waiting,
        /// Whether that wait begins anew: a frame was completed or acks were taken in this turn.
        progress: bool,
        /// Whether it needs another turn, whatever the peer does.
        more: bool,
    },
    /// It is to be dropped; the log says why.
    End,
}

/// What a step of a turn comes to.
enum Step {
    /// Something was done. `progress`: a frame was completed, or the connection begins to close.
    Done { progress: bool },
    /// There is nothing to do until the peer does this.
    Wait(Waiting),
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(transport: Transport, peer: Peer) -> Connection {
        Connection {
            transport,
            info: Info::of_new(peer),
            phase: Phase::Serving,
            input: Input::default(),
            unsent: Unsent::default(),
        }
    }

    /// What its bytes go over, to be registered where it is waited for.
    pub fn transport(&mut self) -> &mut Transport {
        &mut self.transport
    }

    /// Does what can be done now, with an end: others have their turns as well. `stopping`: no more Submits are served.
    pub fn turn(&mut self, readable: Readable, stopping: bool, scratch: &mut Scratch, shared: &Shared) -> AfterTurn {
        self.transport.note(readable);
        if let (Phase::Serving, true) = (&self.phase, stopping) {
            self.phase = Phase::Stopping { reads: LAST_READS };
        }
        scratch.current_call.begin_turn();
        let outcome = self.steps(scratch, shared);
        scratch.trim();
        outcome.unwrap_or_else(|closed| {
            if let Closed::Lost(error) = &closed {
                end_if_gone(error);
            }
            closed.log(self.info.peer());
            AfterTurn::End
        })
    }

    fn steps(&mut self, scratch: &mut Scratch, shared: &Shared) -> Result<AfterTurn, Closed> {
        let flushed = self.unsent.flush(&mut self.transport)? > 0;
        let (waiting, progress, more) = match self.step(scratch, shared)? {
            Step::Done { progress } => (self.waiting(), progress, self.has_more()),
            Step::Wait(waiting) => (waiting, false, false),
        };
        if !more {
            self.input.release();
        }
        Ok(AfterTurn::Wait {
            waiting,
            progress: progress || flushed,
            more,
        })
    }

    fn step(&mut self, scratch: &mut Scratch, shared: &Shared) -> Result<Step, Closed> {
        if !self.unsent.is_empty() {
            return Ok(Step::Wait(Waiting::Peer));
        }
        if self.input.is_held_back() {
            return self.answer(scratch, shared, Place::Own);
        }
        match self.phase {
            Phase::Serving if !self.transport.may_be_readable() => Ok(Step::Wait(self.waiting_for_input())),
            Phase::Serving => self.requests(scratch, shared),
            Phase::Stopping { reads: 0 } => self.close(),
            Phase::Stopping { reads } => {
                self.phase = Phase::Stopping { reads: reads - 1 }; // first: a malformed frame changes it again
                // Whatever events have said: what has come by now counts.
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
        self.unsent.is_empty() && (!is_serving || self.input.is_held_back() || self.transport.may_be_readable())
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
            _ => Waiting::RestOfFrame,
        }
    }

    /// Reads once and answers what came. Only for when no ack is unsent and nothing is held back.
    fn requests(&mut self, scratch: &mut Scratch, shared: &Shared) -> Result<Step, Closed> {
        let max_frame = shared.limits.max_frame();
        match self.input.read(&mut self.transport, &mut scratch.input, max_frame)? {
            Received::Bytes(place) => self.answer(scratch, shared, place),
            Received::Nothing => Ok(Step::Wait(self.waiting_for_input())),
            Received::End => {
                self.note_half_frame("closed by the peer", shared);
                Err(Closed::ByPeer)
            }
        }
    }

    /// Answers the frames at `place`, sends the acks, and keeps the rest.
    fn answer(&mut self, scratch: &mut Scratch, shared: &Shared, place: Place) -> Result<Step, Closed> {
        let Scratch {
            input: read,
            output,
            run,
            current_call,
            routes,
        } = scratch;
        let limits = shared.limits;
        let connection = self.info.lend(&shared.listener);
        let batches = Batches {
            routes,
            connection: Lent::new(&connection),
            current_call,
            limits,
            mode: match self.phase {
                Phase::Serving => Mode::Serving,
                Phase::Stopping { .. } | Phase::Closing | Phase::Lingering(_) => Mode::Stopping,
            },
        };
        let bytes = self.input.at(place, read);
        let mut acks = AckWriter::new(output, shared.numbering, limits.max_frame(), limits.max_output());
        let mut submits = run.take();
        let Answered { consumed, remainder } = batches.answer(bytes, &mut submits, &mut acks);
        run.put_back(submits);
        let written = acks.written();

        if let Remainder::Malformed(reason) = remainder {
            self.phase = protocol_errors::malformed(self.info.peer(), reason, &bytes[consumed..], &shared.counters);
        }
        self.input
            .keep(place, read, consumed, matches!(remainder, Remainder::HeldBack));
        self.unsent.send(&mut self.transport, output, written)?;
        Ok(Step::Done { progress: consumed > 0 })
    }

    fn close(&mut self) -> Result<Step, Closed> {
        self.transport.shut_down_writing()?;
        self.input = Input::default();
        self.phase = Phase::Lingering(Linger::begin(&self.transport));
        Ok(Step::Done { progress: true })
    }

    fn linger(&mut self, scratch: &mut Scratch) -> Result<Step, Closed> {
        match self.transport.read(&mut scratch.input)? {
            transport::Received::Bytes(_) => Ok(Step::Done { progress: false }),
            transport::Received::Nothing => Ok(Step::Wait(Waiting::Close)),
            transport::Received::End => Err(Closed::ByHost),
        }
    }

    /// Whether its wait is really over, at tick `now`: then it is to be dropped, and the log says why. Only for when the wait's
    /// time has passed.
    pub fn is_overdue(&mut self, waiting: Waiting, now: u32, shared: &Shared) -> bool {
        let closed = match (waiting, &mut self.phase) {
            (Waiting::Close, Phase::Lingering(linger)) => {
                if !linger.is_over(&self.transport, shared.timeouts.peer(), now) {
                    return false;
                }
                match linger.owed() {
                    0 => Closed::ByHost,
                    owed => self.write_timeout(owed, shared),
                }
            }
            (Waiting::Close, _) => Closed::ByHost,
            (Waiting::Peer, _) => self.write_timeout(self.unsent.len(), shared),
            (Waiting::Frame, _) => Closed::IdleTimeout,
            (Waiting::RestOfFrame, _) => {
                self.note_half_frame(shared.timeouts.name_of_rest(), shared);
                Closed::FrameTimeout
            }
        };
        closed.log(self.info.peer());
        true
    }

    fn write_timeout(&self, owed: usize, shared: &Shared) -> Closed {
        protocol_errors::not_reading(self.info.peer(), owed, &shared.counters);
        Closed::WriteTimeout
    }

    fn note_half_frame(&self, reason: &str, shared: &Shared) {
        let bytes = self.input.bytes();
        if !bytes.is_empty() {
            protocol_errors::half_frame(self.info.peer(), reason, bytes, shared);
        }
    }
}
