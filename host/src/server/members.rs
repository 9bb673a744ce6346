//! The connections of one event loop: what is known of each, who has something to do, and who has waited too long. All of it is
//! with the thread that drives the loop.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use tracing::error;

use super::event_loop::{EventLoop, Mail};
use super::slots::Slot;
use crate::connection::{Connection, Next, Readable, Waiting};
use crate::descriptors::end_if_gone;

/// How many sockets one poll may tell of.
const EVENTS: usize = 1024;
/// Between two tries of a poll that fails.
const PAUSE: Duration = Duration::from_millis(10);

pub(super) struct State {
    poll: Poll,
    events: Events,
    connections: Slab<Entry>,
    /// Those that have something to do, each once.
    ready: VecDeque<usize>,
    /// How many of them have yet to have their turn in this round.
    left_of_round: usize,
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

impl State {
    pub(super) fn new(poll: Poll) -> State {
        State {
            poll,
            events: Events::with_capacity(EVENTS),
            connections: Slab::new(),
            ready: VecDeque::new(),
            left_of_round: 0,
            survey: None,
            seen_until: None,
            knows_of_stop: false,
        }
    }

    /// Takes in what others have brought.
    pub(super) fn open_mail(&mut self, own: &EventLoop) {
        for mail in own.take_mail() {
            match mail {
                Mail::New(stream, peer, slot) => self.insert(Connection::new(stream, peer), slot, own),
                Mail::Back(key, connection, next) => self.put_back(key, connection, next, own),
            }
        }
    }

    /// Once the host stops: all connections are told, the first time.
    pub(super) fn tell_of_stop(&mut self) {
        if !std::mem::replace(&mut self.knows_of_stop, true) {
            let keys: Vec<usize> = self.connections.iter().map(|(key, _)| key).collect();
            keys.into_iter().for_each(|key| self.queue(key));
        }
    }

    fn insert(&mut self, mut connection: Connection, slot: Slot, own: &EventLoop) {
        let vacant = self.connections.vacant_entry();
        if let Err(error) = self
            .poll
            .registry()
            .register(connection.stream(), Token(vacant.key()), interest())
        {
            error!(%error, "can't wait for a connection, closing it"); // out of memory, or fs.epoll.max_user_watches
            drop(connection); // before its slot
            own.forget_one();
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

    /// Whether a new round begins: all that were ready when the last one began have had their turn.
    pub(super) fn begins_round(&mut self) -> bool {
        if self.left_of_round == 0 {
            self.left_of_round = self.ready.len();
            return true;
        }
        false // another thread has begun it
    }

    /// Whether nobody is left to have a turn in this round.
    pub(super) fn is_round_over(&self) -> bool {
        self.left_of_round == 0
    }

    /// Takes out the connection whose turn it is in this round.
    pub(super) fn next_turn(&mut self) -> Option<(usize, Box<Connection>, Readable)> {
        while self.left_of_round > 0 {
            self.left_of_round -= 1;
            let key = self.ready.pop_front()?;
            if let Some(entry) = self.connections.get_mut(key) {
                entry.is_queued = false;
                entry.is_wanted = false;
                if let Some(connection) = entry.connection.take() {
                    return Some((key, connection, std::mem::take(&mut entry.readable)));
                }
            }
        }
        None
    }

    /// After its turn.
    pub(super) fn put_back(&mut self, key: usize, mut connection: Box<Connection>, next: Next, own: &EventLoop) {
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
        } else if waiting == Waiting::Close && entry.due <= own.now() {
            // Others that have something to do are not overdue, but this one could go on for ever.
            if connection.is_overdue(waiting, own.now(), own.shared()) {
                drop(connection); // before its slot
                self.remove(key, own);
                return;
            }
            entry.due = own.due(waiting);
        }
        entry.connection = Some(connection);
        if more || entry.is_wanted {
            entry.queue(key, &mut self.ready);
        }
    }

    fn remove(&mut self, key: usize, own: &EventLoop) {
        self.connections.remove(key);
        own.forget_one();
    }

    /// Gives up those that have waited too long, and finds out when to look again: by the tick before the polls. After a pause
    /// of the process, what came meanwhile is seen before anyone is overdue.
    pub(super) fn sweep(&mut self, own: &EventLoop) {
        let Some(now) = self.seen_until.take().filter(|now| own.first_due() <= *now) else {
            return;
        };
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
        own.set_first_due(first);
        for key in overdue {
            let entry = &mut self.connections[key];
            let Some(mut connection) = entry.connection.take() else {
                continue;
            };
            if connection.is_overdue(entry.waiting, now, own.shared()) {
                drop(connection); // before its slot
                self.remove(key, own);
            } else {
                entry.connection = Some(connection);
                entry.due = own.due(entry.waiting);
            }
        }
    }

    /// Asks what there is to do; waits for it if there is nothing yet.
    pub(super) fn poll(&mut self, now: u32) {
        let timeout = (!self.ready.is_empty()).then_some(Duration::ZERO);
        if let Err(error) = self.poll.poll(&mut self.events, timeout) {
            if error.kind() != io::ErrorKind::Interrupted {
                end_if_gone(&error);
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
        if is_all && self.survey.is_none() {
            self.seen_until = Some(now);
            return;
        }
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
        self.readable.urgent |= event.is_priority(); // and then it is readable as well
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

/// What a connection waits for: whatever it is. That the peer has sent something as urgent is told where the system can.
fn interest() -> Interest {
    let both = Interest::READABLE | Interest::WRITABLE;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let both = both | Interest::PRIORITY;
    both
}
