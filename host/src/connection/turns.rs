//! The order of things in a connection. Acks that the peer has not taken come before all else: while it does not read, it
//! is not read, so its memory stays bounded. Then what was read and held back, and only then the next read. After a few
//! such turns other connections get the thread.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tracing::debug;

use super::answer::{Answered, Mode, Rest, answer};
use super::input::{Ask, Input, Place};
use super::output::Unsent;
use super::scratch::Scratch;
use super::watchdog::{Waiting, Watchdog};
use super::{Shared, trouble};
use crate::shutdown::Stop;
use crate::wire::AckWriter;

/// How many turns a connection may have before others get the thread.
const TURNS: usize = 8;
/// How many reads a stopping host still answers: up to 1 MiB that came before it stopped.
const LAST_READS: usize = 16;

pub(super) struct Connection<'s> {
    stream: &'s mut TcpStream,
    peer: &'s SocketAddr,
    shared: &'s Shared,
    stop: &'s Stop,
    phase: Phase,
    input: Input,
    unsent: Unsent,
    watchdog: Watchdog<'s>,
}

#[derive(Clone, Copy)]
enum Phase {
    /// Until further notice.
    Serving,
    /// The host stops: Submits that are already here are read, in this many reads at most, and turned away.
    Stopping { reads: usize },
    /// No more requests; when the acks are out, so is our end of the stream.
    Closing,
    /// Discarding what still comes: to close with unread input would reset the peer, and lose it the acks.
    Lingering,
}

/// How a connection ended, for the log.
#[derive(Clone, Copy, Debug)]
enum End {
    ClosedByPeer,
    ClosedByHost,
    Idle,
    NotReading,
}

impl<'s> Connection<'s> {
    pub(super) fn new(
        stream: &'s mut TcpStream,
        peer: &'s SocketAddr,
        shared: &'s Shared,
        stop: &'s Stop,
        watchdog: Watchdog<'s>,
    ) -> Connection<'s> {
        Connection {
            stream,
            peer,
            shared,
            stop,
            phase: Phase::Serving,
            input: Input::default(),
            unsent: Unsent::default(),
            watchdog,
        }
    }

    /// Ready when the connection is to be dropped; why is in the log.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = Scratch::take();
        let turns = self.poll_turns(cx, &mut scratch);
        scratch.put_back();
        let end = match turns {
            Poll::Ready(end) => end,
            Poll::Pending => Ok(ready!(self.poll_watchdog(cx))),
        };
        match end {
            Ok(end) => debug!(peer = %self.peer, ?end, "connection closed"),
            // A peer that resets or vanishes is everyday business.
            Err(error) => debug!(peer = %self.peer, %error, "connection lost"),
        }
        Poll::Ready(())
    }

    fn poll_turns(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Poll<io::Result<End>> {
        for _ in 0..TURNS {
            ready!(self.unsent.poll_flush(cx, self.stream, &mut self.watchdog))?;
            if self.input.is_held_back() {
                self.answer(cx, scratch, Place::Own)?;
                continue;
            }
            match self.phase {
                Phase::Serving if self.stop.is_set() => {
                    self.phase = Phase::Stopping { reads: LAST_READS };
                }
                Phase::Serving => {
                    if let Some(end) = ready!(self.poll_requests(cx, scratch, Ask::Runtime))? {
                        return Poll::Ready(Ok(end));
                    }
                }
                Phase::Stopping { reads: 0 } => self.phase = Phase::Closing,
                Phase::Stopping { reads } => {
                    self.phase = Phase::Stopping { reads: reads - 1 }; // first: a malformed frame changes it again
                    match self.poll_requests(cx, scratch, Ask::Kernel)? {
                        Poll::Ready(Some(end)) => return Poll::Ready(Ok(end)),
                        Poll::Ready(None) => {}
                        Poll::Pending => self.phase = Phase::Closing,
                    }
                }
                Phase::Closing => {
                    ready!(Pin::new(&mut *self.stream).poll_shutdown(cx))?;
                    self.input = Input::default();
                    self.phase = Phase::Lingering;
                }
                Phase::Lingering => {
                    let mut discarded = ReadBuf::new(&mut scratch.input);
                    ready!(Pin::new(&mut *self.stream).poll_read(cx, &mut discarded))?;
                    if discarded.filled().is_empty() {
                        return Poll::Ready(Ok(End::ClosedByHost));
                    }
                }
            }
        }
        // There is more to do, but others wait.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads once and answers what came. Only for when no ack is unsent and nothing is held back.
    fn poll_requests(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
        ask: Ask,
    ) -> Poll<io::Result<Option<End>>> {
        let place = ready!(self.input.poll_read(cx, self.stream, ask, &mut scratch.input))?;
        match place {
            Some(place) => self.answer(cx, scratch, place)?,
            None => {
                self.note_half_frame("closed by the peer");
                return Poll::Ready(Ok(Some(End::ClosedByPeer)));
            }
        }
        Poll::Ready(Ok(None))
    }

    /// Answers the frames at `place`, sends the acks, and keeps the rest.
    fn answer(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, place: Place) -> io::Result<()> {
        let Scratch {
            input: read,
            output,
            run,
        } = scratch;
        let bytes = self.input.at(place, read);
        let mode = match self.phase {
            Phase::Serving => Mode::Serving,
            Phase::Stopping { .. } | Phase::Closing | Phase::Lingering => Mode::Stopping,
        };
        let mut acks = AckWriter::new(output, self.shared.numbering, self.shared.limits.max_frame);
        let mut submits = run.take();
        // One snapshot of the routes for all of it.
        let routes = self.shared.routes.load();
        let Answered { consumed, rest } = answer(bytes, &routes, mode, self.shared.limits, &mut submits, &mut acks);
        drop(routes);
        run.put_back(submits);
        let acks = acks.finish();

        if consumed > 0 {
            self.watchdog.progress();
        }
        if let Rest::Malformed(reason) = rest {
            self.shared.counters.count_malformed(reason);
            trouble::malformed(*self.peer, reason, &bytes[consumed..]);
            self.phase = Phase::Closing;
        }
        self.input.keep(place, read, consumed, matches!(rest, Rest::HeldBack));
        self.unsent.send(cx, self.stream, acks)
    }

    /// Ready when the connection has waited too long.
    fn poll_watchdog(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let waiting = match self.phase {
            _ if !self.unsent.is_empty() => Waiting::Peer,
            Phase::Lingering => Waiting::Close,
            Phase::Serving | Phase::Stopping { .. } | Phase::Closing => Waiting::Frame,
        };
        ready!(self.watchdog.poll(cx, waiting));
        Poll::Ready(match waiting {
            Waiting::Peer => {
                self.shared.counters.count_write_timeout();
                trouble::not_reading(*self.peer, self.unsent.len());
                End::NotReading
            }
            Waiting::Frame => {
                self.note_half_frame("idle timeout");
                End::Idle
            }
            Waiting::Close => End::ClosedByHost,
        })
    }

    fn note_half_frame(&self, reason: &str) {
        let bytes = self.input.bytes();
        if !bytes.is_empty() {
            self.shared.counters.count_half_frame();
            trouble::half_frame(*self.peer, reason, bytes, self.shared.limits.max_frame);
        }
    }
}
