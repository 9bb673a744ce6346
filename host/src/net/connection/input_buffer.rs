//! What a connection keeps of its input: nothing while it is idle, the beginning of a frame while the rest is on its way,
//! and whole frames only while the peer has acks to take first. Memory grows by what was received, never by what the
//! length of a frame promises.

use std::io;

use crate::net::transport::{self, Transport};

/// The room that may stay, in bytes, while one beginning of a frame follows another.
const KEPT: usize = 4 * 1024;

/// Bytes that were read and not answered.
#[derive(Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    held_back: bool,
}

/// Where the bytes that are to be answered are.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// This many, in the buffer that they were read into.
    Scratch { len: usize },
    /// In the connection's own memory.
    Own,
}

/// What a read brought.
pub(super) enum Received {
    /// Bytes, and they are there now.
    Bytes(Place),
    /// Nothing for now.
    Nothing,
    /// The peer's end of the stream.
    End,
}

impl Input {
    /// Whether there may be whole frames, left for when the acks of earlier ones are sent.
    pub(super) fn is_held_back(&self) -> bool {
        self.held_back
    }

    /// All that is kept: the beginning of a frame, unless it was held back.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads once, and joins what came to what is here: less than a frame, and never more than a frame and a read.
    pub(super) fn read(
        &mut self,
        transport: &mut Transport,
        scratch: &mut [u8],
        max_frame: usize,
    ) -> io::Result<Received> {
        let kept = self.bytes.len();
        // The usual beginning of a frame is short, and joined in the scratch buffer: no memory is needed for the frame. A
        // long one would leave too little room to read; it stays here and grows.
        let join_in_scratch = kept <= scratch.len() / 2;
        let start = if join_in_scratch { kept } else { 0 };
        let received = match transport.read(&mut scratch[start..])? {
            transport::Received::Bytes(received) => received,
            transport::Received::Nothing => return Ok(Received::Nothing),
            transport::Received::End => return Ok(Received::End),
        };
        let place = if join_in_scratch {
            scratch[..kept].copy_from_slice(&self.bytes);
            Place::Scratch { len: kept + received }
        } else {
            self.make_room(received, max_frame + scratch.len());
            self.bytes.extend_from_slice(&scratch[..received]);
            Place::Own
        };
        Ok(Received::Bytes(place))
    }

    /// Makes room for further bytes. It is doubled, as long as there can ever be so `many`.
    fn make_room(&mut self, further: usize, many: usize) {
        let needed = self.bytes.len() + further;
        if needed > self.bytes.capacity() {
            let wanted = (2 * self.bytes.capacity()).min(many).max(needed);
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
    }

    /// It may be a long wait: no memory is kept for nothing.
    pub(super) fn release(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }

    /// The bytes at a place; `scratch` is the buffer of the read that said so.
    pub(super) fn at<'b>(&'b self, place: Place, scratch: &'b [u8]) -> &'b [u8] {
        match place {
            Place::Scratch { len } => &scratch[..len],
            Place::Own => &self.bytes,
        }
    }

    /// Keeps what follows the first `consumed` bytes of a place, in no more memory than that takes.
    pub(super) fn keep(&mut self, place: Place, scratch: &[u8], consumed: usize, held_back: bool) {
        self.held_back = held_back;
        match place {
            Place::Scratch { len } => {
                self.bytes.clear();
                self.bytes.extend_from_slice(&scratch[consumed..len]);
            }
            Place::Own => drop(self.bytes.drain(..consumed)),
        }
        if self.bytes.capacity() > KEPT && self.bytes.len() < self.bytes.capacity() / 4 {
            self.bytes.shrink_to(KEPT);
        }
    }
}
