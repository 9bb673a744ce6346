//! What is known of a connection from its beginning, in the form in which plugins see it and the log names it. Decides nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use plugin_api::Address;
use plugin_api::abi::{Lent, RawAddress, RawConnection};

use crate::net::peer::{Peer, Process};

/// One connection's number, start and peer.
pub(super) struct Info {
    id: u64,
    /// In nanoseconds since the beginning of 1970.
    started: u64,
    peer: RawAddress<'static>,
    /// Of a Unix socket's peer.
    process: Option<Process>,
}

impl Info {
    /// Of a connection that was just accepted: the next number, and the time.
    pub(super) fn of_new(peer: Peer) -> Info {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let (peer, process) = match peer {
            Peer::Tcp(address) => (address.into(), None),
            // The socket of a client has no path, as a rule; where it has one, that says nothing about who it is.
            Peer::Unix(process) => (RawAddress::unix(&[]), process),
        };
        Info {
            id: LAST.fetch_add(1, Ordering::Relaxed) + 1,
            started: since_1970.map_or(0, |time| time.as_nanos() as u64), // until the year 2554
            peer,
            process,
        }
    }

    /// Who is at the other end, for the log.
    pub(super) fn peer(&self) -> Peer {
        match Address::new(Lent::new(&self.peer)) {
            Address::Ip(address) => Peer::Tcp(address),
            _ => Peer::Unix(self.process),
        }
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
