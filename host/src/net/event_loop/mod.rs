//! An event loop: some of the connections, and a poll of their sockets. Decides the order of turns: each ready connection has
//! one turn, and then each one that is ready by then; so a connection waits for one turn of each of the others at most. What
//! a turn does is `connection`'s decision.
//!
//! One thread at a time drives the loop. During a turn, in which a handler may block, the loop's lock is not held: another
//! thread can take the loop over (see `loop_handover`), and the blocked thread hands its connection back when it is free.
//!
//! A turn reads no clock. Time is the number of the current tick, which the relief clock counts.

mod context;
pub(super) mod pace;
mod readiness;
mod run_queue;
mod timeout_sweep;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::{Poll, Token, Waker};
use tracing::error;

use super::connection::{AfterTurn, Call, Connection, CurrentCall, Scratch, Shared};
use super::connection_limit::Slot;
use super::loop_handover::{Relay, Turns};
use super::peer::Peer;
use super::transport::{Readable, Transport};
use crate::process::descriptors::end_if_gone;
pub(super) use context::Context;
use context::Load;
use pace::{Pace, Probe};
use run_queue::RunQueue;

/// What no connection is registered under.
const WAKE: Token = Token(usize::MAX);

/// What passes loops from thread to thread.
pub(super) type Loops = Relay<Arc<EventLoop>, Option<Call>>;

pub(super) struct EventLoop {
    members: Mutex<RunQueue>,
    pub(super) turns: Turns,
    pub(super) pace: Pace,
    /// Where its driver writes down which call it is in.
    driver: Mutex<Arc<CurrentCall>>,
    inbox: Mutex<Vec<Mail>>,
    waker: Waker,
    load: Arc<Load>,
    context: Arc<Context>,
}

/// What other threads give a loop.
enum Mail {
    /// A connection that was accepted.
    New(Transport, Peer, Slot),
    /// A connection whose turn lasted longer than the thread had the loop.
    Back(usize, Box<Connection>, AfterTurn),
}

impl EventLoop {
    pub(super) fn new(context: Arc<Context>) -> io::Result<EventLoop> {
        let poll = Poll::new()?;
        let load = Arc::new(Load::new());
        Ok(EventLoop {
            turns: Turns::new(),
            pace: Pace::default(),
            driver: Mutex::default(),
            inbox: Mutex::default(),
            waker: Waker::new(poll.registry(), WAKE)?,
            members: Mutex::new(RunQueue::new(poll, Arc::clone(&context), Arc::clone(&load))),
            load,
            context,
        })
    }

    /// How many connections it has.
    pub(super) fn len(&self) -> usize {
        self.load.connections()
    }

    /// Gives it a connection.
    pub(super) fn adopt(&self, transport: Transport, peer: Peer, slot: Slot) {
        self.load.add_connection();
        self.post(Mail::New(transport, peer, slot));
    }

    /// Wakes the loop if a timeout of one of its connections may have come by this tick.
    pub(super) fn wake_if_due(&self, now: u32) {
        if self.load.first_due() <= now {
            self.wake();
        }
    }

    /// Ends the loop's wait for events: something has changed from outside.
    pub(super) fn wake(&self) {
        // Mostly it fails when the system is out of memory; what was to be seen is seen at the next event then.
        if let Err(error) = self.waker.wake() {
            end_if_gone(&error);
        }
    }

    /// The call that its driver is in, or was in last.
    pub(super) fn call(&self) -> Option<Call> {
        lock(&self.driver).call()
    }

    /// Drives it until another thread has taken it over (true) or there is nothing left to do. By one thread at a time.
    pub(super) fn drive(self: &Arc<EventLoop>, scratch: &mut Scratch, loops: &Loops) -> bool {
        *lock(&self.driver) = Arc::clone(scratch.current_call());
        let mut probe = None;
        let mut members = lock(&self.members);
        loop {
            for mail in std::mem::take(&mut *lock(&self.inbox)) {
                match mail {
                    Mail::New(transport, peer, slot) => members.insert(Connection::new(transport, peer), slot),
                    Mail::Back(key, connection, next) => members.put_back(key, connection, next),
                }
            }
            if self.context.is_stopping() && self.has_ended(&mut members) {
                return false;
            }
            if members.begins_round() {
                self.pace.begin_round();
            }
            while let Some((key, mut connection, readable)) = members.next_turn() {
                let is_last = members.is_round_over();
                let stopping = self.context.is_stopping();
                let turn = self.turns.begin();
                drop(members);
                if !self.pace.is_normal() && self.pace.hands_over(self.context.now(), &mut probe) {
                    loops.relieve(Arc::clone(self), &self.turns, turn, None);
                }
                let next = give_turn(&mut connection, readable, stopping, scratch, &self.context.shared);
                if probe.is_some() {
                    let is_over = is_last || self.turns.current() != Some(turn);
                    self.after_turn(&mut probe, is_over, scratch, loops);
                }
                if !self.turns.end(turn) {
                    self.post(Mail::Back(key, connection, next));
                    return true;
                }
                members = lock(&self.members);
                members.put_back(key, connection, next);
            }
            members.sweep();
            members.poll();
        }
    }

    /// Finds out whether calls block, if that was asked and is known by now.
    fn after_turn(&self, probing: &mut Option<Probe>, is_over: bool, scratch: &Scratch, loops: &Loops) {
        let Some(probe) = probing else { return };
        probe.note(scratch.current_call().call());
        if let Some(do_block) = probe.decide(is_over) {
            self.pace.conclude(do_block, self.context.now());
            if do_block {
                loops.report(probe.call());
            }
            *probing = None;
        }
    }

    /// Whether a stopping host has nothing left here.
    fn has_ended(&self, members: &mut RunQueue) -> bool {
        members.begin_stop();
        !self.context.accepting.load(Ordering::Acquire) && self.len() == 0
    }

    fn post(&self, mail: Mail) {
        lock(&self.inbox).push(mail);
        self.wake();
    }
}

/// A turn. What panics in it, which nothing means to, costs its connection and no other.
fn give_turn(
    connection: &mut Connection,
    readable: Readable,
    stopping: bool,
    scratch: &mut Scratch,
    shared: &Shared,
) -> AfterTurn {
    let turn = || connection.turn(readable, stopping, scratch, shared);
    catch_unwind(AssertUnwindSafe(turn)).unwrap_or_else(|_| {
        error!("a connection ends for a fault of the host's own"); // the panic hook has said what and where
        AfterTurn::End
    })
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
