//! What is known of a connection from its beginning, in the form in which plugins are told of it.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use plugin_api::Address;
use plugin_api::abi::{Lent, RawAddress, RawConnection};

/// One connection's number, peer and start.
pub(super) struct Facts {
    id: u64,
    /// In nanoseconds since the beginning of 1970.
    started: u64,
    peer: RawAddress<'static>,
}

impl Facts {
    /// Of a connection that was just accepted: the next number, and the time.
    pub(super) fn of_new(peer: SocketAddr) -> Facts {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Facts {
            id: LAST.fetch_add(1, Ordering::Relaxed) + 1,
            started: since_1970.map_or(0, |time| time.as_nanos() as u64), // until the year 2554
            peer: peer.into(),
        }
    }

    /// Who is at the other end, for the log.
    pub(super) fn peer(&self) -> impl Display {
        Address::new(Lent::new(&self.peer))
    }

    /// As plugins see it.
    #[inline]
    pub(super) fn lend<'a>(&'a self, listener: &'a RawAddress<'a>) -> RawConnection<'a> {
        RawConnection {
            id: self.id,
            started: self.started,
            peer: Lent::new(&self.peer),
            listener: Lent::new(listener),
            identity: "".into(),
        }
    }
}
