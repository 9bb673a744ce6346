//! What a connection keeps of its output: nothing, as long as the transport takes acks as they come.

use std::io;

use super::scratch::KEPT_OUTPUT;
use crate::net::transport::Transport;

/// Acks that the transport did not take at once.
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

    /// Writes what is here as far as the transport takes it; gives how many bytes that were.
    pub(super) fn flush(&mut self, transport: &mut Transport) -> io::Result<usize> {
        if self.acks.is_empty() {
            return Ok(0);
        }
        let taken = transport.write(&self.acks[self.taken..])?;
        self.taken += taken;
        if self.is_empty() {
            *self = Unsent::default();
        }
        Ok(taken)
    }

    /// Writes the acks that are the first `written` bytes of a buffer, as far as the transport takes them, and keeps the rest. Only
    /// for when nothing is unsent.
    pub(super) fn send(&mut self, transport: &mut Transport, buffer: &mut Vec<u8>, written: usize) -> io::Result<()> {
        let acks = &buffer[..written];
        let taken = transport.write(acks)?;
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
