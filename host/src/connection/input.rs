//! What a connection keeps of its input: nothing while it is idle, the beginning of a frame while the rest is on its way,
//! and whole frames only while the peer has acks to take first. Memory grows by what was received, never by what the
//! length of a frame promises.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::io::Errno;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

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

/// Who is asked whether there is something to read.
#[derive(Clone, Copy)]
pub(super) enum Ask {
    /// The runtime, which wakes us when there is.
    Runtime,
    /// The kernel: the runtime may not have looked for a while, and there is no waiting for it. Wakes nobody.
    Kernel,
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

    /// Reads once, and joins what came to what is here. `None` at the end of the stream.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut TcpStream,
        ask: Ask,
        scratch: &mut [u8],
    ) -> Poll<io::Result<Option<Place>>> {
        let kept = self.bytes.len();
        // The usual beginning of a frame is short, and joined in the scratch buffer: no memory is needed for the frame. A
        // long one would leave too little room to read; it stays here and grows.
        let join_in_scratch = kept <= scratch.len() / 2;
        let start = if join_in_scratch { kept } else { 0 };
        let Poll::Ready(received) = poll_read(cx, stream, ask, &mut scratch[start..]) else {
            if kept == 0 {
                self.bytes = Vec::new(); // it may be a long wait
            }
            return Poll::Pending;
        };
        let received = received?;
        Poll::Ready(Ok(match received {
            0 => None,
            _ if join_in_scratch => {
                scratch[..kept].copy_from_slice(&self.bytes);
                Some(Place::Scratch { len: kept + received })
            }
            _ => {
                self.bytes.extend_from_slice(&scratch[..received]);
                Some(Place::Own)
            }
        }))
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

/// How many bytes came; 0 at the end of the stream.
fn poll_read(cx: &mut Context<'_>, stream: &mut TcpStream, ask: Ask, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
    match ask {
        Ask::Runtime => {
            let mut buffer = ReadBuf::new(bytes);
            let read = Pin::new(stream).poll_read(cx, &mut buffer);
            read.map_ok(|()| buffer.filled().len())
        }
        Ask::Kernel => match rustix::io::read(&*stream, bytes) {
            Err(Errno::AGAIN | Errno::INTR) => Poll::Pending,
            read => Poll::Ready(read.map_err(io::Error::from)),
        },
    }
}
