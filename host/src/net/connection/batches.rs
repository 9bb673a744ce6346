//! Bytes of one read to acks: every whole frame in them, with neighbours for the same plugin in one call, and a snapshot of
//! the routes for each call. No I/O and no state from one read to the next; what the peer then gets to see of it, and when, is
//! the connection's.

use std::sync::Arc;

use plugin_api::abi::{Bytes, Lent, RawConnection, RawSubmit};
use wire::result;
use wire::{AckWriter, Decoded, MIN_FRAME, Malformed, Packet};

use super::current_call::UnderWay;
use crate::dispatch::routes::{Reader, RouteTable};
use crate::runtime::Plugin;

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
}

impl Limits {
    pub(super) fn new(max_frame: usize, max_output: usize) -> Limits {
        Limits { max_frame, max_output }
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

/// What goes with each call that is made for one connection.
#[derive(Clone, Copy)]
pub(super) struct Caller<'c> {
    /// The connection, as the plugin sees it.
    pub(super) connection: Lent<'c, RawConnection<'c>>,
    /// Where the thread writes down what it calls.
    pub(super) under_way: &'c UnderWay,
}

/// Answers the frames at the start of `bytes`, in their order. `run` is empty before and after.
pub(super) fn answer<'b>(
    bytes: &'b [u8],
    routes: &Reader,
    mode: Mode,
    limits: Limits,
    caller: Caller<'_>,
    run: &mut Vec<RawSubmit<'b>>,
    acks: &mut AckWriter<'_>,
) -> Answered {
    let mut consumed = 0;
    // What stopped the last call's run is not decoded twice.
    let mut following = None;
    let rest = 'read: loop {
        // The table is not held during the call, only the plugin: what never returns would hold all others as well.
        let table = routes.lock();
        let (packet, plugin) = loop {
            let packet = match following.take() {
                Some(packet) => packet,
                None => match wire::decode(&bytes[consumed..], limits.max_frame) {
                    Decoded::Frame { packet, .. } => packet,
                    Decoded::Incomplete { .. } => break 'read Rest::Incomplete,
                    Decoded::Malformed(reason) => break 'read Rest::Malformed(reason),
                },
            };
            if acks.left() == 0 {
                break 'read Rest::HeldBack;
            }
            // The table has no plugin for Conn, which is no Submit.
            match table.get(packet.command) {
                Some(plugin) if mode == Mode::Serving => break (packet, plugin),
                _ => acks.ack(packet.command, packet.id, without_plugin(packet.command, mode), &[]),
            }
            consumed += MIN_FRAME + packet.payload.len();
        };
        let most = (acks.left() / plugin.longest_ack()).clamp(1, LARGEST_CALL);
        let (length, next) = neighbours(&bytes[consumed..], packet, plugin, &table, limits.max_frame, most, run);
        let plugin = Arc::clone(plugin);
        drop(table);

        caller.under_way.enter(plugin.number(), packet.command);
        let answered = plugin.answer(caller.connection, run, acks);
        if answered == run.len() {
            consumed += length;
            following = next;
        } else {
            consumed += length_of(&run[..answered]);
        }
        run.clear();
        if consumed == bytes.len() {
            break Rest::Incomplete;
        }
    };
    Answered { consumed, rest }
}

/// How many bytes these were as frames.
#[cold]
fn length_of(submits: &[RawSubmit<'_>]) -> usize {
    submits.iter().map(|submit| MIN_FRAME + submit.payload.len()).sum()
}

/// Collects the Submits at the start of `bytes`, `first` and its neighbours that are this plugin's as well, `most` of them at
/// most; gives how many bytes they are, and the frame that follows them, if it is whole. Nothing but this is in the loop, so
/// that all of it stays in registers.
fn neighbours<'b>(
    bytes: &'b [u8],
    first: Packet<'b>,
    plugin: &Arc<Plugin>,
    routes: &RouteTable,
    max_frame: usize,
    most: usize,
    run: &mut Vec<RawSubmit<'b>>,
) -> (usize, Option<Packet<'b>>) {
    let mut packet = first;
    let mut rest = bytes;
    loop {
        run.push(RawSubmit {
            payload: Bytes::from_slice(packet.payload),
            id: *packet.id,
            command: packet.command.into(),
        });
        rest = &rest[MIN_FRAME + packet.payload.len()..];
        match wire::whole(rest, max_frame) {
            Some(next)
                if run.len() < most && routes.get(next.command).is_some_and(|other| Arc::ptr_eq(other, plugin)) =>
            {
                packet = next;
            }
            next => return (bytes.len() - rest.len(), next),
        }
    }
}

fn without_plugin(command: u8, mode: Mode) -> u8 {
    match (wire::is_submit(command), mode) {
        (false, _) => result::SUCCESS, // Conn: there is nothing to authorise yet
        (true, Mode::Serving) => result::NO_PLUGIN,
        (true, Mode::Stopping) => result::SHUTTING_DOWN,
    }
}
