//! An event loop: some of the connections, the poll that tells which of them have something to do, and the order in which
//! they do it. Whoever is ready has one turn, and then those who are ready by then; so nobody waits longer than one turn of
//! each of the others.
//!
//! One thread at a time drives it. While a connection has its turn, a handler may block, so the rest of the loop is not held
//! then: another thread can take the loop over (see `crew`), and the one that was blocked hands its connection back.
//!
//! No clock is read for a turn. Time is the number of the tick at hand, which the crew's clock counts.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;
use tracing::error;

use super::slots::Slot;
use crate::connection::{Connection, Next, Readable, Scratch, Shared, Waiting};
use crate::shutdown::Stop;

/// How many sockets one poll may tell of.
const EVENTS: usize = 1024;
/// Between two tries of a poll that fails.
const PAUSE: Duration = Duration::from_millis(10);
/// What no connection is registered under.
const WAKE: Token = Token(usize::MAX);

pub(super) struct EventLoop {
    state: Mutex<State>,
    /// Even between turns, odd during one; it only grows.
    turn: AtomicU64,
    inbox: Mutex<Vec<Mail>>,
    waker: Waker,
    connections: AtomicUsize,
    /// The first tick at which somebody may have waited too long.
    first_due: AtomicU32,
    context: Arc<Context>,
}

/// What all loops of a server have in common.
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    pub(super) stop: Stop,
    /// Whether there may be new connections.
    pub(super) accepting: AtomicBool,
    /// The tick at hand.
    pub(super) now: AtomicU32,
}

impl Context {
    fn now(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }
}

/// What others bring.
enum Mail {
    /// A connection that was accepted.
    New(TcpStream, SocketAddr, Slot),
    /// A connection whose turn outlasted its driver's time.
    Back(usize, Box<Connection>, Next),
}

struct State {
    poll: Poll,
    events: Events,
    connections: Slab<Entry>,
    /// Those that have something to do, each once.
    ready: VecDeque<usize>,
    /// The polls that together tell of all that was ready before the first of them.
    survey: Option<Survey>,
    /// The tick before the first poll of a survey that is over.
    seen_until: Option<u32>,
    knows_of_stop: bool,
}

/// A poll tells of so many sockets only, and where many are always ready, each is full. The system keeps them in the order
/// in which they became ready, so after as many polls as all of them take, everything has been told that was ready before
/// the first.
struct Survey {
    began: u32,
    polls_left: usize,
}

/// One connection as the loop knows it.
struct Entry {
    /// None while it has its turn.
    connection: Option<Box<Connection>>,
    /// What events have said since its last turn.
    readable: Readable,
    is_queued: bool,
    /// Whether there was something for it while it had its turn.
    is_wanted: bool,
    waiting: Waiting,
    /// The tick at which it has waited too long.
    due: u32,
    _slot: Slot,
}

impl EventLoop {
    pub(super) fn new(context: Arc<Context>) -> io::Result<EventLoop> {
        let poll = Poll::new()?;
        Ok(EventLoop {
            turn: AtomicU64::new(0),
            inbox: Mutex::default(),
            waker: Waker::new(poll.registry(), WAKE)?,
            connections: AtomicUsize::new(0),
            first_due: AtomicU32::new(u32::MAX),
            context,
            state: Mutex::new(State {
                poll,
                events: Events::with_capacity(EVENTS),
                connections: Slab::new(),
                ready: VecDeque::new(),
                survey: None,
                seen_until: None,
                knows_of_stop: false,
            }),
        })
    }

    /// How many connections it has.
    pub(super) fn len(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Gives it a connection.
    pub(super) fn adopt(&self, stream: TcpStream, peer: SocketAddr, slot: Slot) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.post(Mail::New(stream, peer, slot));
    }

    /// Has it give up those that have waited too long, if there may be any.
    pub(super) fn sweep(&self, now: u32) {
        if self.first_due.load(Ordering::Relaxed) <= now {
            self.wake();
        }
    }

    /// Has it look at what has changed from outside.
    pub(super) fn wake(&self) {
        // Fails when the system is out of memory; what was to be seen is seen at the next event then.
        let _ = self.waker.wake();
    }

    /// The turn that is under way, if one is.
    pub(super) fn current_turn(&self) -> Option<u64> {
        let turn = self.turn.load(Ordering::Acquire);
        (turn % 2 == 1).then_some(turn)
    }

    /// Ends the turn's hold on the loop: its driver does so when it is over, another thread that takes over when it lasts
    /// too long. Whoever comes first drives on.
    pub(super) fn end_turn(&self, turn: u64) -> bool {
        let ended = self
            .turn
            .compare_exchange(turn, turn + 1, Ordering::AcqRel, Ordering::Relaxed);
        ended.is_ok()
    }

    /// Drives it until another thread has taken it over (true) or there is nothing left to do. By one thread at a time.
    pub(super) fn drive(&self, scratch: &mut Scratch) -> bool {
        let mut state = self.lock();
        loop {
            state.open_mail(self);
            if self.context.stop.is_set() && self.has_ended(&mut state) {
                return false;
            }
            for _ in 0..state.ready.len() {
                let Some((key, mut connection, readable)) = state.next_turn() else {
                    break;
                };
                let stopping = self.context.stop.is_set();
                let turn = self.turn.load(Ordering::Relaxed) + 1; // between turns nobody else writes it
                self.turn.store(turn, Ordering::Release);
                drop(state);
                let next = give_turn(&mut connection, readable, stopping, scratch, &self.context.shared);
                if !self.end_turn(turn) {
                    self.post(Mail::Back(key, connection, next));
                    return true;
                }
                state = self.lock();
                state.put_back(key, connection, next, self);
            }
            // By the tick before the polls: after a pause of the process, what came meanwhile is seen before anyone is overdue.
            if let Some(now) = state.seen_until.take()
                && self.first_due.load(Ordering::Relaxed) <= now
            {
                state.sweep(now, self);
            }
            state.poll(self.context.now());
        }
    }

    /// Whether a stopping host has nothing left here. The first time it is asked, all connections are told.
    fn has_ended(&self, state: &mut State) -> bool {
        if !state.knows_of_stop {
            state.knows_of_stop = true;
            let keys: Vec<usize> = state.connections.iter().map(|(key, _)| key).collect();
            keys.into_iter().for_each(|key| state.queue(key));
        }
        !self.context.accepting.load(Ordering::Acquire) && self.len() == 0
    }

    /// When a wait is over that begins now.
    fn due(&self, waiting: Waiting) -> u32 {
        let due = self.context.shared.timeouts().due(waiting, self.context.now());
        // One thread at a time writes it.
        if due < self.first_due.load(Ordering::Relaxed) {
            self.first_due.store(due, Ordering::Relaxed);
        }
        due
    }

    fn post(&self, mail: Mail) {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
        self.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

impl State {
    fn open_mail(&mut self, own: &EventLoop) {
        let mail = std::mem::take(&mut *own.inbox.lock().unwrap_or_else(PoisonError::into_inner));
        for mail in mail {
            match mail {
                Mail::New(stream, peer, slot) => self.insert(Connection::new(stream, peer), slot, own),
                Mail::Back(key, connection, next) => self.put_back(key, connection, next, own),
            }
        }
    }

    fn insert(&mut self, mut connection: Connection, slot: Slot, own: &EventLoop) {
        let vacant = self.connections.vacant_entry();
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self
            .poll
            .registry()
            .register(connection.stream(), Token(vacant.key()), both)
        {
            error!(%error, "can't wait for a connection, closing it"); // out of memory, or fs.epoll.max_user_watches
            drop(connection); // before its slot
            own.connections.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let key = vacant.key();
        vacant.insert(Entry {
            connection: Some(Box::new(connection)),
            readable: Readable::default(),
            is_queued: false,
            is_wanted: false,
            waiting: Waiting::Frame,
            due: own.due(Waiting::Frame),
            _slot: slot,
        });
        if self.knows_of_stop {
            self.queue(key);
        }
    }

    /// Puts a connection at the end of those that have something to do.
    fn queue(&mut self, key: usize) {
        if let Some(entry) = self.connections.get_mut(key) {
            entry.queue(key, &mut self.ready);
        }
    }

    /// Takes out the connection whose turn it is.
    fn next_turn(&mut self) -> Option<(usize, Box<Connection>, Readable)> {
        loop {
            let key = self.ready.pop_front()?;
            if let Some(entry) = self.connections.get_mut(key) {
                entry.is_queued = false;
                entry.is_wanted = false;
                if let Some(connection) = entry.connection.take() {
                    return Some((key, connection, std::mem::take(&mut entry.readable)));
                }
            }
        }
    }

    fn put_back(&mut self, key: usize, mut connection: Box<Connection>, next: Next, own: &EventLoop) {
        let Next::Wait {
            waiting,
            progress,
            more,
        } = next
        else {
            drop(connection); // before its slot: then there is room for another descriptor
            self.remove(key, own);
            return;
        };
        let Some(entry) = self.connections.get_mut(key) else {
            return; // nobody else removes what has its turn
        };
        if progress || waiting != entry.waiting {
            entry.waiting = waiting;
            entry.due = own.due(waiting);
        } else if waiting == Waiting::Close && entry.due <= own.context.now() {
            // Others that have something to do are not overdue, but this one could go on for ever.
            connection.give_up(waiting, &own.context.shared);
            drop(connection); // before its slot
            self.remove(key, own);
            return;
        }
        entry.connection = Some(connection);
        if more || entry.is_wanted {
            entry.queue(key, &mut self.ready);
        }
    }

    fn remove(&mut self, key: usize, own: &EventLoop) {
        self.connections.remove(key);
        own.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Gives up those that have waited too long, and finds out when to look again.
    fn sweep(&mut self, now: u32, own: &EventLoop) {
        let mut first = u32::MAX;
        let mut overdue = Vec::new();
        for (key, entry) in &self.connections {
            if entry.due > now {
                first = first.min(entry.due);
            } else if entry.is_queued || entry.connection.is_none() {
                first = now.saturating_add(1); // it is not waiting; then we shall see
            } else {
                overdue.push(key);
            }
        }
        own.first_due.store(first, Ordering::Relaxed);
        for key in overdue {
            let entry = &mut self.connections[key];
            if let Some(mut connection) = entry.connection.take() {
                connection.give_up(entry.waiting, &own.context.shared);
                drop(connection); // before its slot
                self.remove(key, own);
            }
        }
    }

    /// Asks what there is to do; waits for it if there is nothing yet.
    fn poll(&mut self, now: u32) {
        let timeout = (!self.ready.is_empty()).then_some(Duration::ZERO);
        if let Err(error) = self.poll.poll(&mut self.events, timeout) {
            if error.kind() != io::ErrorKind::Interrupted {
                error!(%error, "can't wait for connections, trying again");
                std::thread::sleep(PAUSE); // it is not to spin if it lasts
            }
            return;
        }
        let State {
            events,
            connections,
            ready,
            ..
        } = self;
        let mut count = 0;
        for event in events.iter() {
            count += 1;
            let Some(entry) = connections.get_mut(event.token().0) else {
                continue; // a wake-up
            };
            entry.note(event);
            entry.queue(event.token().0, ready);
        }
        let is_all = count < EVENTS;
        self.note_poll(is_all, now);
    }

    /// After a poll that was begun at tick `now`; `is_all`: it told of everything that was ready.
    fn note_poll(&mut self, is_all: bool, now: u32) {
        // With one for what wakes the loop, which is registered too.
        let polls_left = self.connections.len() / EVENTS + 1;
        let survey = self.survey.get_or_insert(Survey { began: now, polls_left });
        survey.polls_left -= 1;
        if is_all || survey.polls_left == 0 {
            self.seen_until = Some(survey.began);
            self.survey = None;
        }
    }
}

impl Entry {
    fn note(&mut self, event: &Event) {
        let is_over = event.is_read_closed() || event.is_error();
        self.readable.now |= event.is_readable() || is_over;
        self.readable.end |= is_over;
    }

    /// Puts it at the end of those that have something to do. While it has its turn, on another thread, that is for when it
    /// comes back: an event is not told twice, and the turn may have been past what it is about.
    fn queue(&mut self, key: usize, ready: &mut VecDeque<usize>) {
        if self.connection.is_none() {
            self.is_wanted = true;
        } else if !self.is_queued {
            self.is_queued = true;
            ready.push_back(key);
        }
    }
}
