//! Listening: who gets in, and how it ends. Each connection is a task of its own, and what happens inside is
//! `connection`'s. Too many connections or too few descriptors never end the server: further peers wait in the kernel's
//! backlog, unaccepted, until there is room.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use crate::config::Server;
use crate::connection::{self, Shared};
use crate::shutdown::Stop;

/// How many connections the kernel may hold for us; it lowers this to its own limit (net.core.somaxconn, usually 4096).
const BACKLOG: u32 = 4096;
/// The pause after accepting failed; doubles with each failure in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often the log hears of it while it lasts.
const REMINDER: Duration = Duration::from_secs(10);

/// Binds an address and listens. Port 0 takes a free one.
///
/// # Errors
/// When the address is not ours or is taken. To be called within a tokio runtime.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Without it a restart would have to wait for the last connections' TIME_WAIT to pass.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still open when `server.drain_timeout` had passed.
    pub left: usize,
}

/// Serves `listener` until `stop`, then lets the connections finish, for `settings.drain_timeout` at most. Those that are
/// left then are inside a call to a plugin, or have acks that the peer does not take; they go on until the runtime ends.
///
/// At most `settings.max_connections` are open at once.
pub async fn run(listener: TcpListener, settings: &Server, shared: Arc<Shared>, stop: Stop) -> Drained {
    let drain_timeout = settings.drain_timeout;
    let max_connections = settings.max_connections.clamp(1, Semaphore::MAX_PERMITS);
    let permits = Arc::new(Semaphore::new(max_connections));
    // Nothing is ever sent: each connection holds a sender, and the receiver's end of stream says that all are gone.
    let (open, mut closed) = mpsc::channel(1);

    let mut acceptor = Acceptor {
        listener,
        max_connections,
        permits: Arc::clone(&permits),
        open,
        at_limit: false,
    };
    tokio::select! {
        never = acceptor.accept_all(&shared, &stop) => match never {},
        () = stop.wait() => {}
    }
    // Closes the listener, so that new peers are refused rather than kept waiting, and drops the one sender that is no
    // connection's; without that the next line would wait for itself.
    drop(acceptor);

    let left = || max_connections - permits.available_permits();
    info!(connections = left(), "no longer accepting");
    let _: Result<Option<()>, _> = timeout(drain_timeout, closed.recv()).await;
    let drained = Drained { left: left() };
    match drained.left {
        0 => info!("all connections closed"),
        left => warn!(left, ?drain_timeout, "connections left open"),
    }
    drained
}

enum Never {}

struct Acceptor {
    listener: TcpListener,
    max_connections: usize,
    permits: Arc<Semaphore>,
    open: mpsc::Sender<()>,
    /// Whether the log knows that the limit is reached.
    at_limit: bool,
}

/// What an open connection holds until its descriptor is free. The permit first: when the last sender goes, all permits
/// are back and can be counted.
struct Slot {
    _permit: OwnedSemaphorePermit,
    _open: mpsc::Sender<()>,
}

impl Acceptor {
    async fn accept_all(&mut self, shared: &Arc<Shared>, stop: &Stop) -> Never {
        let mut pause = FIRST_PAUSE;
        let mut logged: Option<Instant> = None;
        loop {
            let slot = self.slot(shared).await;
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    pause = FIRST_PAUSE;
                    spawn(stream, peer, slot, Arc::clone(shared), stop.clone());
                }
                Err(error) if concerns_one_peer(&error) => {
                    debug!(%error, "connection lost before it was accepted");
                }
                Err(error) => {
                    // Mostly too few descriptors. The peer stays in the backlog, so the next accept would fail at once.
                    shared.counters().count_accept_failure();
                    if logged.is_none_or(|logged| logged.elapsed() >= REMINDER) {
                        logged = Some(Instant::now());
                        let failures = shared.counters().accept_failures();
                        warn!(%error, failures, "can't accept connections, trying again");
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Waits for room. Asked before accepting: a peer that there is no room for is better off in the backlog.
    async fn slot(&mut self, shared: &Shared) -> Slot {
        let permits = &self.permits;
        if permits.available_permits() == 0 && !self.at_limit {
            self.at_limit = true;
            shared.counters().count_limit_reached();
            warn!(
                max_connections = self.max_connections,
                "connection limit reached, further ones wait"
            );
        } else if permits.available_permits() > self.max_connections / 10 {
            // Well below it: reaching it again is news again. Without this margin each connection that comes for one
            // that went would be a line.
            self.at_limit = false;
        }
        let permit = match Arc::clone(permits).acquire_owned().await {
            Ok(permit) => permit,
            Err(_) => pending().await, // nobody closes the semaphore; should that change, no one gets in
        };
        Slot {
            _permit: permit,
            _open: self.open.clone(),
        }
    }
}

fn spawn(stream: TcpStream, peer: SocketAddr, slot: Slot, shared: Arc<Shared>, stop: Stop) {
    // Acks leave in one write per read; to wait for more would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "can't set TCP_NODELAY"); // the peer is gone already
    }
    debug!(%peer, "connection accepted");
    tokio::spawn(connection::serve(stream, peer, shared, stop, slot));
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
