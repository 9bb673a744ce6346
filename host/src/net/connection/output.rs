//! What a connection keeps of its output: nothing, as long as the socket takes acks as they come.

use std::io::{self, ErrorKind, Write};

use mio::net::TcpStream;

use super::scratch::KEPT_OUTPUT;

/// Acks that the socket did not take at once.
#[derive(Default)]
pub(super) struct Unsent {
    acks: Vec<u8>,
    /// How many bytes of them it has taken since.
    taken: usize,
}

impl Unsent {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In bytes.
    pub(super) fn len(&self) -> usize {
        self.acks.len() - self.taken
    }

    /// Writes what is here as far as the socket takes it; gives how many bytes that were.
    pub(super) fn flush(&mut self, stream: &mut TcpStream) -> io::Result<usize> {
        if self.acks.is_empty() {
            return Ok(0);
        }
        let taken = write(stream, &self.acks[self.taken..])?;
        self.taken += taken;
        if self.is_empty() {
            *self = Unsent::default();
        }
        Ok(taken)
    }

    /// Writes the acks that are the first `written` bytes of a buffer, as far as the socket takes them, and keeps the rest. Only
    /// for when nothing is unsent.
    pub(super) fn send(&mut self, stream: &mut TcpStream, buffer: &mut Vec<u8>, written: usize) -> io::Result<()> {
        let acks = &buffer[..written];
        let taken = write(stream, acks)?;
        if taken == written {
            return Ok(());
        }
        if buffer.len() > KEPT_OUTPUT {
            // It would be given back to the system: better kept than copied.
            self.acks = std::mem::take(buffer);
            self.acks.truncate(written);
            self.taken = taken;
        } else {
            self.acks.extend_from_slice(&acks[taken..]);
        }
        Ok(())
    }
}

/// How many bytes the socket took before it was full.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match stream.write(&bytes[taken..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(some) => taken += some,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}
