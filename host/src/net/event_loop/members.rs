//! The connections of one event loop: what is known of each, who has something to do, and who has waited too long. All of it is
//! with the thread that drives the loop.

use std::collections::VecDeque;
use std::sync::LazyLock;

use mio::Poll;
use slab::Slab;
use tracing::error;

use super::readiness::Readiness;
use super::{EventLoop, Mail};
use crate::logging::{LEFT_OUT, Limit};
use crate::net::connection::{Connection, Next, Readable, Waiting};
use crate::net::connection_limit::Slot;

/// What is said of a connection that the system will not tell of.
const REFUSED: &str = "can't wait for a connection, closing it";
static REFUSED_LIMIT: LazyLock<Limit> =
    LazyLock::new(|| Limit::new(|lines| error!(lines, like = REFUSED, "{LEFT_OUT}")));

pub(in crate::net) struct State {
    readiness: Readiness,
    connections: Slab<Entry>,
    /// Those that have something to do, each once.
    ready: VecDeque<usize>,
    /// How many of them have yet to have their turn in this round.
    left_of_round: usize,
    knows_of_stop: bool,
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
    pub(in crate::net) fn new(poll: Poll) -> State {
        State {
            readiness: Readiness::new(poll),
            connections: Slab::new(),
            ready: VecDeque::new(),
            left_of_round: 0,
            knows_of_stop: false,
        }
    }

    /// Takes in what others have brought.
    pub(in crate::net) fn open_mail(&mut self, own: &EventLoop) {
        for mail in own.take_mail() {
            match mail {
                Mail::New(stream, peer, slot) => self.insert(Connection::new(stream, peer), slot, own),
                Mail::Back(key, connection, next) => self.put_back(key, connection, next, own),
            }
        }
    }

    /// Once the host stops: all connections are told, the first time.
    pub(in crate::net) fn tell_of_stop(&mut self) {
        if !std::mem::replace(&mut self.knows_of_stop, true) {
            let keys: Vec<usize> = self.connections.iter().map(|(key, _)| key).collect();
            keys.into_iter().for_each(|key| self.queue(key));
        }
    }

    fn insert(&mut self, mut connection: Connection, slot: Slot, own: &EventLoop) {
        let vacant = self.connections.vacant_entry();
        if let Err(error) = self.readiness.register(connection.stream(), vacant.key()) {
            // Out of memory, or fs.epoll.max_user_watches.
            if REFUSED_LIMIT.admits() {
                error!(%error, "{REFUSED}");
            }
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
    pub(in crate::net) fn begins_round(&mut self) -> bool {
        if self.left_of_round == 0 {
            self.left_of_round = self.ready.len();
            return true;
        }
        false // another thread has begun it
    }

    /// Whether nobody is left to have a turn in this round.
    pub(in crate::net) fn is_round_over(&self) -> bool {
        self.left_of_round == 0
    }

    /// Takes out the connection whose turn it is in this round.
    pub(in crate::net) fn next_turn(&mut self) -> Option<(usize, Box<Connection>, Readable)> {
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
    pub(in crate::net) fn put_back(
        &mut self,
        key: usize,
        mut connection: Box<Connection>,
        next: Next,
        own: &EventLoop,
    ) {
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
    pub(in crate::net) fn sweep(&mut self, own: &EventLoop) {
        let Some(now) = self.readiness.seen_until().filter(|now| own.first_due() <= *now) else {
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
    pub(in crate::net) fn poll(&mut self, now: u32) {
        let State {
            readiness,
            connections,
            ready,
            ..
        } = self;
        let is_idle = ready.is_empty();
        readiness.poll(is_idle, connections.len(), now, |key, told| {
            let Some(entry) = connections.get_mut(key) else {
                return; // a wake-up
            };
            entry.readable.now |= told.now;
            entry.readable.end |= told.end;
            entry.readable.urgent |= told.urgent;
            entry.queue(key, ready);
        });
    }
}

impl Entry {
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
