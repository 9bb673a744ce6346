//! The connections of one event loop, and the queue of those that have something to do: decides which connection has the next
//! turn. Touched by the thread that drives the loop alone; knows neither threads nor what a turn does.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use mio::Poll;
use slab::Slab;
use tracing::error;

use super::context::{Context, Load};
use super::readiness::Readiness;
use crate::logging::{LEFT_OUT, RateLimit};
use crate::net::connection::{AfterTurn, Connection, Waiting};
use crate::net::connection_limit::Slot;
use crate::net::transport::Readable;

/// The log's words for a socket that can't be registered with the poll.
const REFUSED: &str = "can't wait for a connection, closing it";
static REFUSED_LIMIT: LazyLock<RateLimit> =
    LazyLock::new(|| RateLimit::new(|lines| error!(lines, like = REFUSED, "{LEFT_OUT}")));

pub(super) struct RunQueue {
    pub(super) context: Arc<Context>,
    pub(super) load: Arc<Load>,
    pub(super) readiness: Readiness,
    pub(super) connections: Slab<Entry>,
    /// Those that have something to do, each once.
    ready: VecDeque<usize>,
    /// How many of them have yet to have their turn in this round.
    left_of_round: usize,
    is_stopping: bool,
}

/// One connection as the loop knows it.
pub(super) struct Entry {
    /// None while it has its turn.
    pub(super) connection: Option<Box<Connection>>,
    /// What events have said since its last turn.
    readable: Readable,
    pub(super) is_queued: bool,
    /// Whether an event came while it had its turn.
    is_wanted: bool,
    pub(super) waiting: Waiting,
    /// The tick at which it has waited too long.
    pub(super) due: u32,
    _slot: Slot,
}

impl RunQueue {
    pub(super) fn new(poll: Poll, context: Arc<Context>, load: Arc<Load>) -> RunQueue {
        RunQueue {
            context,
            load,
            readiness: Readiness::new(poll),
            connections: Slab::new(),
            ready: VecDeque::new(),
            left_of_round: 0,
            is_stopping: false,
        }
    }

    /// Once the host stops: has every connection take a turn. Later calls do nothing.
    pub(super) fn begin_stop(&mut self) {
        if !std::mem::replace(&mut self.is_stopping, true) {
            let keys: Vec<usize> = self.connections.iter().map(|(key, _)| key).collect();
            keys.into_iter().for_each(|key| self.queue(key));
        }
    }

    /// Takes in a connection that was accepted.
    pub(super) fn insert(&mut self, mut connection: Connection, slot: Slot) {
        let vacant = self.connections.vacant_entry();
        if let Err(error) = self.readiness.register(connection.transport(), vacant.key()) {
            // Out of memory, or fs.epoll.max_user_watches.
            if REFUSED_LIMIT.admits() {
                error!(%error, "{REFUSED}");
            }
            drop(connection); // before its slot
            self.load.remove_connection();
            return;
        }
        let key = vacant.key();
        vacant.insert(Entry {
            connection: Some(Box::new(connection)),
            readable: Readable::default(),
            is_queued: false,
            is_wanted: false,
            waiting: Waiting::Frame,
            due: self.load.due(Waiting::Frame, &self.context),
            _slot: slot,
        });
        if self.is_stopping {
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

    /// Whether every connection of this round has had its turn.
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
    pub(super) fn put_back(&mut self, key: usize, mut connection: Box<Connection>, next: AfterTurn) {
        let AfterTurn::Wait {
            waiting,
            progress,
            more,
        } = next
        else {
            drop(connection); // before its slot: then there is room for another descriptor
            self.remove(key);
            return;
        };
        let Some(entry) = self.connections.get_mut(key) else {
            return; // can't be: a connection is not removed during its turn
        };
        if progress || waiting != entry.waiting {
            entry.waiting = waiting;
            entry.due = self.load.due(waiting, &self.context);
        } else if waiting == Waiting::Close && entry.due <= self.context.now() {
            // Others that have something to do are not overdue, but this one could go on for ever.
            if connection.is_overdue(waiting, self.context.now(), &self.context.shared) {
                drop(connection); // before its slot
                self.remove(key);
                return;
            }
            entry.due = self.load.due(waiting, &self.context);
        }
        entry.connection = Some(connection);
        if more || entry.is_wanted {
            entry.queue(key, &mut self.ready);
        }
    }

    pub(super) fn remove(&mut self, key: usize) {
        self.connections.remove(key);
        self.load.remove_connection();
    }

    /// Polls once; waits for an event if no connection has anything to do.
    pub(super) fn poll(&mut self) {
        let now = self.context.now();
        let RunQueue {
            readiness,
            connections,
            ready,
            ..
        } = self;
        let is_idle = ready.is_empty();
        readiness.poll(is_idle, connections.len(), now, |key, readable| {
            let Some(entry) = connections.get_mut(key) else {
                return; // a wake-up
            };
            entry.readable.add(readable);
            entry.queue(key, ready);
        });
    }
}

impl Entry {
    /// Puts the connection at the end of the queue. While the connection has its turn, on another thread, it is noted for when
    /// the connection comes back: edge-triggered events come once, and the turn may be past what the event is about.
    fn queue(&mut self, key: usize, ready: &mut VecDeque<usize>) {
        if self.connection.is_none() {
            self.is_wanted = true;
        } else if !self.is_queued {
            self.is_queued = true;
            ready.push_back(key);
        }
    }
}
