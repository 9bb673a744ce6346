//! What a connection's bytes go over: TCP or a Unix stream socket. Decides, with each read, whether more may be there to read:
//! edge-triggered events come once, so a connection that stops reading too early never hears of the rest. Knows no frames.

use std::io::{self, ErrorKind, IoSliceMut, Read, Write};
use std::net::Shutdown;

use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use rustix::net::{RecvAncillaryBuffer, RecvFlags, ReturnFlags, recvmsg};

use super::unacknowledged::unacknowledged;

/// A connection's transport, and what is known of its input.
pub struct Transport {
    stream: Stream,
    readable: Readable,
}

/// A socket, by its kind.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What events have said of a socket's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readable {
    /// There may be something.
    pub now: bool,
    /// The peer has closed its end: there is the end of the stream, whatever is before it.
    pub end: bool,
    /// The peer has sent something as urgent. A read stops where that is, so its length does not tell what is left.
    pub urgent: bool,
}

impl Readable {
    /// Adds what a further event has said.
    pub fn add(&mut self, other: Readable) {
        self.now |= other.now;
        self.end |= other.end;
        self.urgent |= other.urgent;
    }
}

/// What a read brought.
pub enum Received {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The peer's end of the stream.
    End,
}

impl Transport {
    pub(super) fn new(stream: Stream) -> Transport {
        Transport {
            stream,
            readable: Readable::default(),
        }
    }

    /// Has a poll report the socket's events, edge-triggered, under this token.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        // Whether the peer has sent something as urgent, where the system reports that.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let interest = interest | Interest::PRIORITY;
        match &mut self.stream {
            Stream::Tcp(stream) => registry.register(stream, token, interest),
            Stream::Unix(stream) => registry.register(stream, token, interest),
        }
    }

    /// Takes in what events have said.
    pub fn note(&mut self, readable: Readable) {
        self.readable.add(readable);
    }

    /// Whether a read may bring something: as long as it may, no event comes for what is there.
    #[inline]
    pub fn may_be_readable(&self) -> bool {
        self.readable.now
    }

    /// Reads once. Afterwards [`Transport::may_be_readable`] says whether more may be there.
    ///
    /// # Errors
    /// When the connection is lost.
    #[inline(always)] // there are two callers, of which one is the packet path
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let (received, is_all) = loop {
            match self.stream.read(buffer) {
                Ok(read) => break read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable.now = false;
                    return Ok(Received::Nothing);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        self.readable.now = !is_all || self.readable.end || self.readable.urgent;
        match received {
            0 => Ok(Received::End),
            received => Ok(Received::Bytes(received)),
        }
    }

    /// Writes as much as the transport takes before it is full; gives how many bytes that were.
    ///
    /// # Errors
    /// When the connection is lost.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken < bytes.len() {
            match self.stream.write(&bytes[taken..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(some) => taken += some,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    /// Ends the stream of bytes to the peer; the peer's own goes on.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn shut_down_writing(&mut self) -> io::Result<()> {
        let outcome = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
        match outcome {
            // Linux says so when the peer has reset the connection; reading will tell.
            Err(error) if error.kind() != ErrorKind::NotConnected => Err(error),
            _ => Ok(()),
        }
    }

    /// How many bytes of what was written the peer has yet to take: over TCP, what the peer's system has not acknowledged; over a
    /// Unix socket, what the peer has not read, by the room that it takes in memory. 0 when it can't be known.
    pub fn unacknowledged(&self) -> usize {
        match &self.stream {
            Stream::Tcp(stream) => unacknowledged(stream),
            Stream::Unix(stream) => unacknowledged(stream),
        }
    }
}

impl Stream {
    /// Reads once; gives how many bytes came, and whether that was all there was.
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
        match self {
            // A stream socket fills the buffer if it can: epoll(7). What is urgent stops a read, and an event says so.
            Stream::Tcp(stream) => {
                let received = stream.read(buffer)?;
                Ok((received, received < buffer.len()))
            }
            Stream::Unix(stream) => read_unix(stream, buffer),
        }
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }
}

/// As [`Stream::read`]. Descriptors that the peer passes stop a read as well. They are not wanted: the system closes them, and says
/// so.
#[inline(never)]
fn read_unix(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
    stream.try_io(|| {
        let room = buffer.len();
        let mut nothing = RecvAncillaryBuffer::default();
        let read = recvmsg(stream, &mut [IoSliceMut::new(buffer)], &mut nothing, RecvFlags::empty())?;
        let is_all = read.bytes < room && !read.flags.contains(ReturnFlags::CTRUNC);
        Ok((read.bytes, is_all))
    })
}
