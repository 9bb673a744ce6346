//! Accepts connections: decides when the next peer is let in, and which event loop gets it. Too many connections or too few
//! descriptors never end the server: further peers wait in the kernel's backlog, unaccepted, until there is room.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use rustix::io::Errno;
use tracing::{debug, info, warn};

use super::connection_limit::{Slot, Slots};
use super::event_loop::Context;
use super::listener::Listener;
use super::loop_threads::LoopThreads;
use super::peer::Peer;
use super::transport::Transport;
use crate::logging::{LEFT_OUT, RateLimit};
use crate::process::descriptors::end_if_gone;

/// The pause after accepting failed; doubles with each failure in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long it waits for a peer before it tries all the same: no event reports a listener that foreign code has closed.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How often the log hears of it while it lasts.
const REMINDER: Duration = Duration::from_secs(10);

const LIMIT_REACHED: &str = "connection limit reached, further ones wait";
/// Peers that come and go together can reach it as often as they like.
static LIMIT_REACHED_LIMIT: LazyLock<RateLimit> =
    LazyLock::new(|| RateLimit::new(|lines| warn!(lines, like = LIMIT_REACHED, "{LEFT_OUT}")));

const LISTENER: Token = Token(0);
const WAKE: Token = Token(1);

pub(super) struct Acceptor {
    listener: Listener,
    poll: Poll,
    context: Arc<Context>,
    threads: Arc<LoopThreads>,
    slots: Arc<Slots>,
    /// Kept here too: closing it would take back that it was used.
    _waker: Arc<Waker>,
    /// Whether the limit is reached, and the log said so.
    at_limit: bool,
    pause: Duration,
    logged: Option<Instant>,
}

impl Acceptor {
    /// Ready to accept, and what ends its waiting for a peer.
    pub(super) fn new(
        mut listener: Listener,
        context: Arc<Context>,
        threads: Arc<LoopThreads>,
        slots: Arc<Slots>,
    ) -> io::Result<(Acceptor, Arc<Waker>)> {
        let poll = Poll::new()?;
        listener.register(poll.registry(), LISTENER)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let acceptor = Acceptor {
            listener,
            poll,
            context,
            threads,
            slots,
            _waker: Arc::clone(&waker),
            at_limit: false,
            pause: FIRST_PAUSE,
            logged: None,
        };
        Ok((acceptor, waker))
    }

    /// Accepts until the host stops; then closes the listener, so that new peers are refused rather than kept waiting.
    pub(super) fn run(mut self) {
        // Asked before accepting: a peer that there is no room for waits in the backlog.
        while let Some(slot) = self.slot() {
            match self.listener.accept() {
                Ok((transport, peer)) => {
                    self.pause = FIRST_PAUSE;
                    self.hand_over(transport, peer, slot);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    drop(slot);
                    self.wait();
                }
                Err(error) if concerns_one_peer(&error) => {
                    debug!(%error, "connection lost before it was accepted");
                }
                Err(error) => {
                    drop(slot);
                    self.failed(&error);
                }
            }
        }
        drop(self.listener);
        info!(connections = self.slots.taken(), "no longer accepting");
        self.context.accepting.store(false, Ordering::Release);
        self.threads.loops().iter().for_each(|each| each.wake());
    }

    /// To the loop that has the fewest connections.
    fn hand_over(&self, transport: Transport, peer: Peer, slot: Slot) {
        debug!(%peer, "connection accepted");
        if let Some(emptiest) = self.threads.loops().iter().min_by_key(|each| each.len()) {
            emptiest.adopt(transport, peer, slot);
        }
    }

    fn wait(&mut self) {
        let mut events = Events::with_capacity(2);
        match self.poll.poll(&mut events, Some(LONGEST_WAIT)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => self.failed(&error),
            _ => {}
        }
    }

    /// Mostly too few descriptors. The peer stays in the backlog, so the next accept would fail at once.
    fn failed(&mut self, error: &io::Error) {
        end_if_gone(error);
        let counters = self.context.shared.counters();
        counters.count_accept_failure();
        if self.logged.is_none_or(|logged| logged.elapsed() >= REMINDER) {
            self.logged = Some(Instant::now());
            let failures = counters.accept_failures();
            warn!(%error, failures, "can't accept connections, trying again");
        }
        self.slots.pause(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// Waits for room; none once the host stops.
    fn slot(&mut self) -> Option<Slot> {
        let (taken, limit) = (self.slots.taken(), self.slots.limit());
        if taken >= limit && !self.at_limit {
            self.at_limit = true;
            self.context.shared.counters().count_limit_reached();
            if LIMIT_REACHED_LIMIT.admits() {
                warn!(max_connections = limit, "{LIMIT_REACHED}");
            }
        } else if limit - taken.min(limit) > limit / 10 {
            // Well below it: reaching it again is news again. Without this margin each connection that comes for one
            // that went would be a line.
            self.at_limit = false;
        }
        self.slots.take()
    }
}

/// Whether accepting failed for a reason that lies with the peer at hand: the next one may be fine. See accept(2), which
/// hands over errors that are already pending on the new socket.
fn concerns_one_peer(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::CONNABORTED
                | Errno::CONNRESET
                | Errno::INTR
                | Errno::PERM
                | Errno::PROTO
                | Errno::NETDOWN
                | Errno::NOPROTOOPT
                | Errno::HOSTUNREACH
                | Errno::OPNOTSUPP
                | Errno::NETUNREACH
                | Errno::TIMEDOUT
        )
    )
}
