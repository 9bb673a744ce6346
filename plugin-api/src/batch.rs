//! A batch of Submits and the place where their acks go: the author's view of the two sides of one call.

use crate::abi::{Batch, Each, Lent, RawSubmit, Sink};
use crate::guard::guard;
use crate::{Ack, Connection, Submit};

/// The Submits of one call, in the order in which they arrived; all of one connection.
#[derive(Clone, Copy)]
pub struct Submits<'a> {
    batch: Lent<'a, Batch<'a>>,
}

impl<'a> Submits<'a> {
    pub(crate) fn new(batch: Lent<'a, Batch<'a>>) -> Submits<'a> {
        Submits { batch }
    }

    /// How many there are; at least one.
    pub fn len(&self) -> usize {
        self.batch.submits.len()
    }

    /// Whether there are none. A host never calls with an empty batch.
    pub fn is_empty(&self) -> bool {
        self.batch.submits.is_empty()
    }

    /// The connection that all of them came by.
    pub fn connection(&self) -> Connection<'a> {
        Connection::new(&self.batch.first().connection)
    }

    /// Goes through them without giving the batch away.
    pub fn iter(&self) -> Iter<'a> {
        Iter {
            raw: self.batch.first().submits.iter(),
            connection: self.connection(),
        }
    }
}

impl<'a> IntoIterator for Submits<'a> {
    type Item = Submit<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The Submits of a batch, one by one.
#[derive(Clone)]
pub struct Iter<'a> {
    raw: Each<'a, RawSubmit<'a>>,
    connection: Connection<'a>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Submit<'a>;

    #[inline]
    fn next(&mut self) -> Option<Submit<'a>> {
        let raw = self.raw.next()?.first();
        Some(Submit {
            command: raw.command as u8,
            id: raw.id,
            payload: raw.payload.as_slice(),
            connection: self.connection,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.raw.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl Iter<'_> {
    fn is_done(&self) -> bool {
        self.raw.is_done()
    }
}

/// How many results are held at most before they cross.
const HELD: usize = 64;

/// Takes the acks of one batch, in the order of its Submits, straight into the connection's output.
pub struct Acks<'s> {
    sink: Sink<'s>,
    owed: usize,
    surplus: usize,
    /// The largest body that an override may give.
    largest_body: usize,
    /// Acks without a body, which most are, cross together.
    results: [u8; HELD],
    held: usize,
    /// How many may be held: never more than there is room for.
    most_held: usize,
    /// Whether the room is gone.
    is_full: bool,
    /// Whether what has no ack is left for another call.
    leaves_rest: bool,
}

impl<'s> Acks<'s> {
    pub(crate) fn new(sink: Sink<'s>, owed: usize, largest_body: usize) -> Acks<'s> {
        let most_held = sink.room().clamp(1, HELD);
        Acks {
            sink,
            owed,
            surplus: 0,
            largest_body,
            results: [0; HELD],
            held: 0,
            most_held,
            is_full: false,
            leaves_rest: false,
        }
    }

    /// Acks the next Submit. An ack beyond the batch's last Submit goes nowhere and is logged. A body may have
    /// [`Handler::LARGEST_BODY`](crate::Handler::LARGEST_BODY) bytes, else the Submit fails.
    #[inline]
    pub fn push(&mut self, ack: Ack<'_>) {
        if ack.body.len() > self.largest_body {
            self.refuse(ack.body.len());
        } else if self.take_turn() {
            self.put(ack);
        }
    }

    /// Acks the next Submit, which is not owed any more; whether there is room for more.
    #[inline]
    fn put(&mut self, ack: Ack<'_>) -> bool {
        if !ack.body.is_empty() {
            if self.held > 0 {
                self.flush();
            }
            let room = self.sink.push(ack.result, &ack.body);
            return self.note_room(room);
        }
        if let Some(place) = self.results.get_mut(self.held) {
            *place = ack.result;
            self.held += 1;
        }
        // No further compare: when the room is gone, that is found out where what is held has to cross anyway.
        self.held < self.most_held || self.flush()
    }

    #[cold]
    fn refuse(&mut self, length: usize) {
        self.fail(&format!(
            "handle_batch gave an ack body of {length} bytes, its LARGEST_BODY is {}",
            self.largest_body
        ));
    }

    /// Acks the next Submit with what the closure returns. If it panics, that Submit alone fails.
    pub fn answer<'a>(&mut self, handle: impl FnOnce() -> Ack<'a>) {
        match guard(handle) {
            Ok(ack) => self.push(ack),
            Err(panic) => self.fail(&panic),
        }
    }

    /// Acks every Submit with what the closure returns for it, up to the one with whose ack the room is gone. Those for which
    /// it panics fail.
    pub(crate) fn answer_all<'a>(&mut self, submits: Submits<'a>, mut handle: impl FnMut(Submit<'a>) -> Ack<'a>) {
        let mut rest = submits.iter();
        // One guard for all up to a panic, which are mostly all: what crosses a guard goes through memory.
        while !rest.is_done() && !self.is_full {
            let answered = guard(|| {
                for submit in rest.by_ref() {
                    if !self.put(handle(submit)) {
                        break;
                    }
                }
            });
            // Counted here, not one by one: each that was taken has its ack.
            self.owed = if rest.is_done() { 0 } else { rest.len() };
            if let Err(panic) = answered {
                self.owed += 1; // but for the last one, in which it panicked
                self.fail(&panic);
            }
        }
        self.leaves_rest = self.is_full;
    }

    pub(crate) fn fail(&mut self, reason: &str) {
        if self.take_turn() {
            self.flush();
            let room = self.sink.fail(reason);
            self.note_room(room);
        }
    }

    /// Fails what has no ack yet, unless it is left for another call, and tells how many acks came too many.
    #[inline]
    pub(crate) fn close(&mut self, reason: &str) -> usize {
        if self.owed > 0 && !self.leaves_rest {
            self.fail_rest(reason);
        }
        self.flush();
        self.surplus
    }

    #[cold]
    fn fail_rest(&mut self, reason: &str) {
        while self.owed > 0 {
            self.fail(reason);
        }
    }

    /// Hands over what is held; whether there is room for more.
    fn flush(&mut self) -> bool {
        let held = std::mem::take(&mut self.held);
        if let Some(results @ [_, ..]) = self.results.get(..held) {
            let room = self.sink.push_results(results);
            self.note_room(room);
        }
        !self.is_full
    }

    fn note_room(&mut self, room: usize) -> bool {
        self.is_full = room == 0;
        self.most_held = room.clamp(1, HELD);
        !self.is_full
    }

    fn take_turn(&mut self) -> bool {
        match self.owed.checked_sub(1) {
            Some(left) => {
                self.owed = left;
                true
            }
            None => {
                self.surplus += 1;
                false
            }
        }
    }
}
