//! What a connection keeps of its output: nothing, as long as the socket takes acks as they come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::watchdog::Watchdog;

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

    /// Ready when the socket has taken all; whatever it takes is progress.
    pub(super) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut TcpStream,
        watchdog: &mut Watchdog<'_>,
    ) -> Poll<io::Result<()>> {
        if self.acks.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !self.is_empty() {
            self.taken += ready!(poll_write(cx, stream, &self.acks[self.taken..]))?;
            watchdog.progress();
        }
        *self = Unsent::default();
        Poll::Ready(Ok(()))
    }

    /// Writes acks as far as the socket takes them, and keeps the rest. Only for when nothing is unsent.
    pub(super) fn send(&mut self, cx: &mut Context<'_>, stream: &mut TcpStream, mut acks: &[u8]) -> io::Result<()> {
        while !acks.is_empty() {
            match poll_write(cx, stream, acks)? {
                Poll::Ready(taken) => acks = &acks[taken..],
                Poll::Pending => {
                    self.acks.extend_from_slice(acks);
                    break;
                }
            }
        }
        Ok(())
    }
}

/// How many bytes the socket took; never 0.
fn poll_write(cx: &mut Context<'_>, stream: &mut TcpStream, bytes: &[u8]) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(stream).poll_write(cx, bytes))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        taken => Poll::Ready(Ok(taken)),
    }
}
