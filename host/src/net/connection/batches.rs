//! From the bytes of one read to acks: decides which Submits go to which target in one call, and what the host answers itself.
//! Each run of neighbouring Submits for the same target is one call, looked up in the route table of that moment. No I/O, and no
//! state from one read to the next; when the peer gets the acks is `lifecycle`'s decision.

use plugin_api::abi::{Bytes, Lent, RawConnection, RawSubmit};
use wire::result;
use wire::{AckWriter, Decoded, MIN_FRAME, Malformed, Packet};

use super::current_call::CurrentCall;
use crate::dispatch::routes::{Reader, RouteTable};
use crate::dispatch::target::Target;

/// How many Submits any call may have: more would gain nothing, and make the thread's buffer for them large.
const LARGEST_CALL: usize = 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Submits go to their targets.
    Serving,
    /// Submits are turned away: the host is about to end.
    Stopping,
}

#[derive(Clone, Copy)]
pub(super) struct AckLimits {
    /// The longest frame, in bytes.
    max_frame: usize,
    /// No call is made while this many bytes of acks are waiting.
    max_output: usize,
}

impl AckLimits {
    pub(super) fn new(max_frame: usize, max_output: usize) -> AckLimits {
        AckLimits { max_frame, max_output }
    }

    pub(super) fn max_frame(&self) -> usize {
        self.max_frame
    }

    pub(super) fn max_output(&self) -> usize {
        self.max_output
    }
}

pub(super) struct Answered {
    /// How many bytes were whole frames and are acked.
    pub(super) consumed: usize,
    pub(super) remainder: Remainder,
}

/// What follows the consumed bytes.
pub(super) enum Remainder {
    /// The beginning of a frame, or nothing.
    Incomplete,
    /// More frames, for when the acks so far have been sent.
    HeldBack,
    /// Nothing that could be a frame.
    Malformed(Malformed),
}

/// What answers the frames of a turn.
pub(super) struct Batches<'t> {
    pub(super) routes: &'t Reader,
    /// The connection, as plugins see it.
    pub(super) connection: Lent<'t, RawConnection<'t>>,
    /// Where the thread writes down which call it is in.
    pub(super) current_call: &'t CurrentCall,
    pub(super) limits: AckLimits,
    pub(super) mode: Mode,
}

impl Batches<'_> {
    /// Answers the frames at the start of `bytes`, in their order. `submits` is room for those of one call: empty before and
    /// after.
    pub(super) fn answer<'b>(
        &self,
        bytes: &'b [u8],
        submits: &mut Vec<RawSubmit<'b>>,
        acks: &mut AckWriter<'_>,
    ) -> Answered {
        let max_frame = self.limits.max_frame;
        let mut consumed = 0;
        // The frame that ended the last call's run is not decoded twice.
        let mut following = None;
        let remainder = 'read: loop {
            // The table is not held during the call, only the target is: a call that never returns would hold all others as well.
            let current = self.routes.lock();
            let table: &RouteTable = &current;
            let (packet, target) = loop {
                let packet = match following.take() {
                    Some(packet) => packet,
                    None => match wire::decode(&bytes[consumed..], max_frame) {
                        Decoded::Frame { packet, .. } => packet,
                        Decoded::Incomplete { .. } => break 'read Remainder::Incomplete,
                        Decoded::Malformed(reason) => break 'read Remainder::Malformed(reason),
                    },
                };
                if acks.left() == 0 {
                    break 'read Remainder::HeldBack;
                }
                // The table has no target for Conn, which is no Submit.
                match table.get(packet.command) {
                    Some(target) if self.mode == Mode::Serving => break (packet, target),
                    _ => acks.ack(packet.command, packet.id, host_result(packet.command, self.mode), &[]),
                }
                consumed += MIN_FRAME + packet.payload.len();
            };
            let neighbours = Neighbours {
                bytes: &bytes[consumed..],
                first: packet,
                max_frame,
                most: (acks.left() / target.longest_ack()).clamp(1, LARGEST_CALL),
            };
            let (length, next) = neighbours.collect(table, target, submits);
            let call = target.begin_call();
            drop(current);

            self.current_call.enter(call.number(), packet.command);
            let answered = call.answer(self.connection, submits, acks);
            if answered == submits.len() {
                consumed += length;
                following = next;
            } else {
                consumed += length_of(&submits[..answered]);
            }
            submits.clear();
            if consumed == bytes.len() {
                break Remainder::Incomplete;
            }
        };
        Answered { consumed, remainder }
    }
}

/// How many bytes these were as frames.
#[cold]
fn length_of(submits: &[RawSubmit<'_>]) -> usize {
    submits.iter().map(|submit| MIN_FRAME + submit.payload.len()).sum()
}

/// The Submits that may share a call.
struct Neighbours<'b> {
    /// From the first one on.
    bytes: &'b [u8],
    first: Packet<'b>,
    max_frame: usize,
    /// How many at most.
    most: usize,
}

impl<'b> Neighbours<'b> {
    /// Collects the first Submit, and those behind it that have the same target. Gives how many bytes they are, and the frame
    /// that follows them, if it is whole. Nothing but this is in the loop, so that all of it stays in registers; table and
    /// target are parameters for the same reason: the compiler then knows that pushing does not change them.
    #[inline]
    fn collect(
        self,
        table: &RouteTable,
        target: &Target,
        submits: &mut Vec<RawSubmit<'b>>,
    ) -> (usize, Option<Packet<'b>>) {
        let Neighbours {
            bytes,
            first: mut packet,
            max_frame,
            most,
        } = self;
        let mut rest = bytes;
        loop {
            submits.push(RawSubmit {
                payload: Bytes::from_slice(packet.payload),
                id: *packet.id,
                command: packet.command.into(),
            });
            rest = &rest[MIN_FRAME + packet.payload.len()..];
            match wire::whole(rest, max_frame) {
                Some(next)
                    if submits.len() < most && table.get(next.command).is_some_and(|other| other.is_same(target)) =>
                {
                    packet = next;
                }
                next => return (bytes.len() - rest.len(), next),
            }
        }
    }
}

/// The result of a request that no target answers.
fn host_result(command: u8, mode: Mode) -> u8 {
    match (wire::is_submit(command), mode) {
        (false, _) => result::SUCCESS, // Conn: there is nothing to authorise yet
        (true, Mode::Serving) => result::NO_PLUGIN,
        (true, Mode::Stopping) => result::SHUTTING_DOWN,
    }
}
