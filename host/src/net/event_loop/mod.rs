//! An event loop: some of the connections, the poll that tells which of them have something to do, and the order in which
//! they do it. Whoever is ready has one turn, and then those who are ready by then; so nobody waits longer than one turn of
//! each of the others.
//!
//! One thread at a time drives it. While a connection has its turn, a handler may block, so the rest of the loop is not held
//! then: another thread can take the loop over (see `handover`), and the one that was blocked hands its connection back.
//!
//! No clock is read for a turn. Time is the number of the tick at hand, which the clock counts.

mod members;
pub(in crate::net) mod pace;
mod readiness;

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::net::TcpStream;
use mio::{Poll, Token, Waker};
use tracing::error;

use super::connection::{Call, Connection, Next, Readable, Scratch, Shared, UnderWay, Waiting};
use super::connection_limit::Slot;
use super::event_loop::members::State;
use super::event_loop::pace::{Pace, Probe};
use super::handover::{Relay, Turns};
use crate::process::descriptors::end_if_gone;
use crate::process::stop::Stop;

/// What no connection is registered under.
const WAKE: Token = Token(usize::MAX);

/// What passes loops from thread to thread.
pub(in crate::net) type Loops = Relay<Arc<EventLoop>, Option<Call>>;

pub(in crate::net) struct EventLoop {
    state: Mutex<State>,
    pub(in crate::net) turns: Turns,
    pub(in crate::net) pace: Pace,
    /// What its driver calls.
    driver: Mutex<Arc<UnderWay>>,
    inbox: Mutex<Vec<Mail>>,
    waker: Waker,
    connections: AtomicUsize,
    /// The first tick at which somebody may have waited too long.
    first_due: AtomicU32,
    context: Arc<Context>,
}

/// What all loops of a server have in common.
pub(in crate::net) struct Context {
    pub(in crate::net) shared: Arc<Shared>,
    pub(in crate::net) stop: Stop,
    /// Whether there may be new connections.
    pub(in crate::net) accepting: AtomicBool,
    /// The tick at hand.
    pub(in crate::net) now: AtomicU32,
}

/// What others bring.
pub(in crate::net) enum Mail {
    /// A connection that was accepted.
    New(TcpStream, SocketAddr, Slot),
    /// A connection whose turn outlasted its driver's time.
    Back(usize, Box<Connection>, Next),
}

impl EventLoop {
    pub(in crate::net) fn new(context: Arc<Context>) -> io::Result<EventLoop> {
        let poll = Poll::new()?;
        Ok(EventLoop {
            turns: Turns::new(),
            pace: Pace::default(),
            driver: Mutex::default(),
            inbox: Mutex::default(),
            waker: Waker::new(poll.registry(), WAKE)?,
            connections: AtomicUsize::new(0),
            first_due: AtomicU32::new(u32::MAX),
            context,
            state: Mutex::new(State::new(poll)),
        })
    }

    /// How many connections it has.
    pub(in crate::net) fn len(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Gives it a connection.
    pub(in crate::net) fn adopt(&self, stream: TcpStream, peer: SocketAddr, slot: Slot) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.post(Mail::New(stream, peer, slot));
    }

    /// Has it give up those that have waited too long, if there may be any.
    pub(in crate::net) fn sweep(&self, now: u32) {
        if self.first_due() <= now {
            self.wake();
        }
    }

    /// Has it look at what has changed from outside.
    pub(in crate::net) fn wake(&self) {
        // Mostly it fails when the system is out of memory; what was to be seen is seen at the next event then.
        if let Err(error) = self.waker.wake() {
            end_if_gone(&error);
        }
    }

    /// The call that its driver is in, or was in last.
    pub(in crate::net) fn call(&self) -> Option<Call> {
        lock(&self.driver).call()
    }

    /// Drives it until another thread has taken it over (true) or there is nothing left to do. By one thread at a time.
    pub(in crate::net) fn drive(self: &Arc<EventLoop>, scratch: &mut Scratch, loops: &Loops) -> bool {
        *lock(&self.driver) = Arc::clone(scratch.under_way());
        let mut probe = None;
        let mut state = lock(&self.state);
        loop {
            state.open_mail(self);
            if self.context.stop.is_set() && self.has_ended(&mut state) {
                return false;
            }
            if state.begins_round() {
                self.pace.begin_round();
            }
            while let Some((key, mut connection, readable)) = state.next_turn() {
                let is_last = state.is_round_over();
                let stopping = self.context.stop.is_set();
                let turn = self.turns.begin();
                drop(state);
                if !self.pace.is_normal() && self.pace.hands_over(self.now(), &mut probe) {
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
                state = lock(&self.state);
                state.put_back(key, connection, next, self);
            }
            state.sweep(self);
            state.poll(self.now());
        }
    }

    /// Settles whether calls block, if that is to be found out and known by now.
    fn after_turn(&self, probing: &mut Option<Probe>, is_over: bool, scratch: &Scratch, loops: &Loops) {
        let Some(probe) = probing else { return };
        probe.note(scratch.under_way().call());
        if let Some(do_block) = probe.verdict(is_over) {
            self.pace.settle(do_block, self.now());
            if do_block {
                loops.report(probe.call());
            }
            *probing = None;
        }
    }

    /// Whether a stopping host has nothing left here.
    fn has_ended(&self, state: &mut State) -> bool {
        state.tell_of_stop();
        !self.context.accepting.load(Ordering::Acquire) && self.len() == 0
    }

    pub(in crate::net) fn take_mail(&self) -> Vec<Mail> {
        std::mem::take(&mut *lock(&self.inbox))
    }

    /// When a wait is over that begins now.
    pub(in crate::net) fn due(&self, waiting: Waiting) -> u32 {
        let due = self.shared().timeouts().due(waiting, self.now());
        // One thread at a time writes it.
        if due < self.first_due() {
            self.set_first_due(due);
        }
        due
    }

    pub(in crate::net) fn first_due(&self) -> u32 {
        self.first_due.load(Ordering::Relaxed)
    }

    pub(in crate::net) fn set_first_due(&self, tick: u32) {
        self.first_due.store(tick, Ordering::Relaxed);
    }

    /// One of its connections is no more.
    pub(in crate::net) fn forget_one(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(in crate::net) fn shared(&self) -> &Shared {
        &self.context.shared
    }

    pub(in crate::net) fn now(&self) -> u32 {
        self.context.now.load(Ordering::Relaxed)
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
) -> Next {
    let turn = || connection.turn(readable, stopping, scratch, shared);
    catch_unwind(AssertUnwindSafe(turn)).unwrap_or_else(|_| {
        error!("a connection ends for a fault of the host's own"); // the panic hook has said what and where
        Next::End
    })
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
