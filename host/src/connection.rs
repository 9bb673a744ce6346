//! One connection: bytes in, acks out, until the peer ends, breaks the rules, falls silent, or the host stops.
//!
//! It is a poll written by hand, because an `async fn` would keep its buffers across every await, once per connection.
//! Here they belong to the thread (`scratch`), and a connection owns memory only for the beginning of a frame (`input`)
//! and for acks that the peer has yet to take (`output`). The order of things is `turns`' decision, how bytes become acks
//! `answer`'s, when silence has lasted too long `watchdog`'s, what the log says of a peer `trouble`'s.

mod answer;
mod counters;
mod input;
mod output;
mod scratch;
mod trouble;
mod turns;
mod watchdog;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::config::{AckNumbering, Server};
use crate::routes::Routes;
use crate::shutdown::Stop;
use answer::Limits;
pub use counters::Counters;
use turns::Connection;
use watchdog::{Timeouts, Watchdog};

/// A connection stops answering while it has this many bytes of acks, unless one frame may be longer.
const MAX_OUTPUT: usize = 256 * 1024;
/// How long a peer gets to read its last acks and close, before we do. The watchdog may take a quarter more, and a
/// second is the most that it should be.
const LINGER: Duration = Duration::from_millis(800);

/// What all connections of a server have in common.
pub struct Shared {
    routes: Arc<Routes>,
    numbering: AckNumbering,
    limits: Limits,
    timeouts: Timeouts,
    counters: Counters,
}

impl Shared {
    /// From the configuration, and the table that the manager keeps current.
    pub fn new(server: &Server, numbering: AckNumbering, routes: Arc<Routes>) -> Shared {
        Shared {
            routes,
            numbering,
            limits: Limits {
                max_frame: server.max_frame,
                max_output: server.max_frame.max(MAX_OUTPUT),
            },
            timeouts: Timeouts {
                frame: server.idle_timeout,
                peer: server.write_timeout,
                close: LINGER,
            },
            counters: Counters::default(),
        }
    }

    /// What went wrong since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// Readies a thread for connections. What a thread registers with the C library the first time (its buffers, its hold on the
/// route table) can't be registered while the start-up code of a library hangs, and connections are to be served then too.
pub fn warm_up(routes: &Routes) {
    scratch::Scratch::take().put_back();
    drop(routes.load());
}

/// Serves one connection until its end, and closes it; then drops `slot`. Nothing that a peer does is an error here: it
/// is logged, counted and over, and other connections notice nothing.
///
/// To be spawned as it is: it counts on being polled with the same waker every time.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn holds its arguments twice: 120 bytes a connection"
)]
pub(crate) fn serve<S: Send + 'static>(
    mut stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    stop: Stop,
    slot: S,
) -> impl Future<Output = ()> + Send + 'static {
    async move {
        {
            // Waiting for the word takes a lock that all connections share, so it is polled once, which leaves our waker
            // there, and kept. From then on `is_set` is asked, which is a load.
            let mut stopped = pin!(stop.wait());
            let _ = poll_fn(|cx| Poll::Ready(stopped.as_mut().poll(cx))).await;

            let mut sleep = pin!(tokio::time::sleep(shared.timeouts.first_tick()));
            let watchdog = Watchdog::new(sleep.as_mut(), &shared.timeouts);
            let mut connection = Connection::new(&mut stream, &peer, &shared, &stop, watchdog);
            poll_fn(|cx| connection.poll(cx)).await;
        }
        drop(stream);
        drop(slot);
    }
}
