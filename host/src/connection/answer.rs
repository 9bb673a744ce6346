//! Bytes of one read to acks: every whole frame in them, through one snapshot of the routes, with neighbours for the same
//! plugin in one call. No I/O and no state from one read to the next; what the peer then gets to see of it, and when, is
//! the connection's.

use std::sync::Arc;

use abi_stable::std_types::RSlice;
use plugin_api::abi::RawSubmit;

use super::call::UnderWay;
use crate::plugin::Plugin;
use crate::result;
use crate::routes::RouteTable;
use crate::wire::{self, AckWriter, Decoded, MIN_FRAME, Malformed, Packet};

/// How many Submits the first call of a read may have at most. How long a plugin's acks are is known only once it has
/// written some, so this bounds what a small input can make of a plugin whose bodies are long from the first. One whose acks
/// turn from short to long can exceed the bound by the acks of one call.
const FIRST_CALL: usize = 16;
/// How many Submits any call may have: more would gain nothing, and make the thread's buffer for them large.
const LARGEST_CALL: usize = 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Submits go to their plugins.
    Serving,
    /// Submits are turned away: the host is about to end.
    Stopping,
}

#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// The longest frame, in bytes.
    max_frame: usize,
    /// No call is made while this many bytes of acks are waiting.
    max_output: usize,
    /// How many Submits may be in a call when nothing is known yet of how long a plugin's acks are: as many as fit should
    /// each be as long as it can be.
    first_call: usize,
}

impl Limits {
    pub(super) fn new(max_frame: usize, max_output: usize) -> Limits {
        Limits {
            max_frame,
            max_output,
            first_call: (max_output / max_frame).clamp(1, FIRST_CALL),
        }
    }

    pub(super) fn max_frame(&self) -> usize {
        self.max_frame
    }
}

pub(super) struct Answered {
    /// How many bytes were whole frames and are acked.
    pub(super) consumed: usize,
    pub(super) rest: Rest,
}

/// What follows the consumed bytes.
pub(super) enum Rest {
    /// The beginning of a frame, or nothing.
    Incomplete,
    /// More frames, for when the acks so far have been sent.
    HeldBack,
    /// Nothing that could be a frame.
    Malformed(Malformed),
}

/// Answers the frames at the start of `bytes`, in their order. `run` is empty before and after.
pub(super) fn answer<'b>(
    bytes: &'b [u8],
    routes: &RouteTable,
    mode: Mode,
    limits: Limits,
    under_way: &UnderWay,
    run: &mut Vec<RawSubmit<'b>>,
    acks: &mut AckWriter<'_>,
) -> Answered {
    let mut consumed = 0;
    // Who was called last, for how many Submits, and how many bytes their acks took.
    let mut last: Option<(&Arc<Plugin>, usize, usize)> = None;
    let rest = loop {
        let (packet, length) = match wire::decode(&bytes[consumed..], limits.max_frame) {
            Decoded::Frame { packet, length } => (packet, length),
            Decoded::Incomplete { .. } => break Rest::Incomplete,
            Decoded::Malformed(reason) => break Rest::Malformed(reason),
        };
        if acks.written() >= limits.max_output {
            break Rest::HeldBack;
        }
        // The table has no plugin for Conn, which is no Submit.
        let plugin = match mode {
            Mode::Serving => routes.get(packet.command),
            Mode::Stopping => None,
        };
        match plugin {
            Some(plugin) => {
                let most = match last {
                    Some((last, submits, written)) if Arc::ptr_eq(last, plugin) => {
                        fitting(submits, written, limits.max_output - acks.written())
                    }
                    _ => limits.first_call,
                };
                consumed += neighbours(&bytes[consumed..], packet, plugin, routes, limits.max_frame, most, run);
                let before = acks.written();
                under_way.enter(plugin.number(), packet.command);
                plugin.answer(run, acks);
                last = Some((plugin, run.len(), acks.written() - before));
                run.clear();
            }
            None => {
                acks.ack(packet.command, packet.id, without_plugin(packet.command, mode), &[]);
                consumed += length;
            }
        }
    };
    Answered { consumed, rest }
}

/// Collects the Submits at the start of `bytes`, `first` and its neighbours that are this plugin's as well, `most` of them at
/// most; gives how many bytes they are. Nothing but this is in the loop, so that all of it stays in registers.
fn neighbours<'b>(
    bytes: &'b [u8],
    first: Packet<'b>,
    plugin: &Arc<Plugin>,
    routes: &RouteTable,
    max_frame: usize,
    most: usize,
    run: &mut Vec<RawSubmit<'b>>,
) -> usize {
    let mut packet = first;
    let mut rest = bytes;
    loop {
        run.push(RawSubmit {
            payload: RSlice::from_slice(packet.payload),
            id: *packet.id,
            command: packet.command,
        });
        rest = &rest[MIN_FRAME + packet.payload.len()..];
        match wire::whole(rest, max_frame) {
            Some(next)
                if run.len() < most && routes.get(next.command).is_some_and(|other| Arc::ptr_eq(other, plugin)) =>
            {
                packet = next;
            }
            _ => return bytes.len() - rest.len(),
        }
    }
}

/// How many Submits the next call may have: as many as fit into what is left of the output, if acks go on being as long as
/// these were.
fn fitting(submits: usize, written: usize, room: usize) -> usize {
    let average = written.div_ceil(submits.max(1)).max(1);
    (room / average).clamp(1, LARGEST_CALL)
}

fn without_plugin(command: u8, mode: Mode) -> u8 {
    match (wire::is_submit(command), mode) {
        (false, _) => result::SUCCESS, // Conn: there is nothing to authorise yet
        (true, Mode::Serving) => result::NO_PLUGIN,
        (true, Mode::Stopping) => result::SHUTTING_DOWN,
    }
}
