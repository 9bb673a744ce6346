//! A batch of Submits and the place where their acks go: the author's view of the two sides of one call.

use abi_stable::std_types::RSlice;

use crate::abi::{AckSink, RawSubmit};
use crate::guard::guard;
use crate::{Ack, Submit};

/// The Submits of one call, in the order in which they arrived.
#[derive(Clone, Copy)]
pub struct Submits<'a> {
    raw: &'a [RawSubmit<'a>],
}

impl<'a> Submits<'a> {
    pub(crate) fn new(raw: &'a [RawSubmit<'a>]) -> Submits<'a> {
        Submits { raw }
    }

    /// How many there are; at least one.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether there are none. A host never calls with an empty batch.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Goes through them without giving the batch away.
    pub fn iter(&self) -> Iter<'a> {
        Iter { raw: self.raw.iter() }
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
    raw: std::slice::Iter<'a, RawSubmit<'a>>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Submit<'a>;

    fn next(&mut self) -> Option<Submit<'a>> {
        self.raw.next().map(|raw| Submit {
            command: raw.command,
            id: raw.id,
            payload: raw.payload.as_slice(),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.raw.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// How many results are held before they cross.
const HELD: usize = 64;

/// Takes the acks of one batch, in the order of its Submits, straight into the connection's output.
pub struct Acks<'s> {
    sink: AckSink<'s>,
    owed: usize,
    surplus: usize,
    /// Acks without a body, which most are, cross together.
    results: [u8; HELD],
    held: usize,
}

impl<'s> Acks<'s> {
    pub(crate) fn new(sink: AckSink<'s>, owed: usize) -> Acks<'s> {
        Acks {
            sink,
            owed,
            surplus: 0,
            results: [0; HELD],
            held: 0,
        }
    }

    /// Acks the next Submit. An ack beyond the batch's last Submit goes nowhere and is logged.
    #[inline]
    pub fn push(&mut self, ack: Ack<'_>) {
        if !self.take_turn() {
            return;
        }
        if !ack.body.is_empty() {
            self.flush();
            self.sink.push(ack.result, RSlice::from_slice(&ack.body));
            return;
        }
        if self.held == HELD {
            self.flush();
        }
        if let Some(place) = self.results.get_mut(self.held) {
            *place = ack.result;
            self.held += 1;
        }
    }

    /// Acks the next Submit with what the closure returns. If it panics, that Submit alone fails.
    pub fn answer<'a>(&mut self, handle: impl FnOnce() -> Ack<'a>) {
        match guard(handle) {
            Ok(ack) => self.push(ack),
            Err(panic) => self.fail(&panic),
        }
    }

    /// Acks every Submit with what the closure returns for it. Those for which it panics fail.
    pub(crate) fn answer_all<'a>(&mut self, submits: Submits<'a>, mut handle: impl FnMut(Submit<'a>) -> Ack<'a>) {
        let mut rest = submits.iter();
        // One guard for all up to a panic, which are mostly all: what crosses a guard goes through memory.
        while rest.len() > 0 {
            let answered = guard(|| {
                for submit in rest.by_ref() {
                    self.push(handle(submit));
                }
            });
            if let Err(panic) = answered {
                self.fail(&panic); // the Submit that was taken and has no ack
            }
        }
    }

    pub(crate) fn fail(&mut self, reason: &str) {
        if self.take_turn() {
            self.flush();
            self.sink.fail(reason.into());
        }
    }

    /// Fails what has no ack yet, and tells how many acks came too many.
    pub(crate) fn close(mut self, reason: &str) -> usize {
        while self.owed > 0 {
            self.fail(reason);
        }
        self.flush();
        self.surplus
    }

    /// Hands over what is held.
    fn flush(&mut self) {
        let held = std::mem::take(&mut self.held);
        if let Some(results @ [_, ..]) = self.results.get(..held) {
            self.sink.push_results(RSlice::from_slice(results));
        }
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
