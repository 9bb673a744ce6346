//! Whom Submits come from: the author's view of a connection.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::abi::{Bytes, Lent, RawAddress, RawConnection, Text};

/// The connection that a Submit came by: a view that costs nothing to take or copy, for as long as the Submit is there.
#[derive(Clone, Copy)]
pub struct Connection<'a> {
    // One word, for each Submit has it.
    raw: &'a Lent<'a, RawConnection<'a>>,
}

impl<'a> Connection<'a> {
    #[inline]
    pub(crate) fn new(raw: &'a Lent<'a, RawConnection<'a>>) -> Connection<'a> {
        Connection { raw }
    }

    /// Its number: no other connection of the host's process has or had it. Those of a host are numbered from 1; what
    /// [`Submit::new`](crate::Submit::new) makes up has 0.
    pub fn id(self) -> u64 {
        self.raw.id
    }

    /// Who is at the other end.
    pub fn peer(self) -> Address<'a> {
        Address::new(self.raw.first().peer)
    }

    /// The address that the host listens on and the peer has connected to.
    pub fn listener(self) -> Address<'a> {
        Address::new(self.raw.first().listener)
    }

    /// When the host accepted it.
    pub fn started(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.raw.started)
    }

    /// Who the peer has shown itself to be, if it has.
    pub fn identity(self) -> Option<&'a str> {
        Some(self.raw.first().identity.as_str()).filter(|identity| !identity.is_empty())
    }

    /// A connection for the author's own tests: see [`Submit::on`](crate::Submit::on). It started at the beginning of 1970, and
    /// came to port 8888 of the machine itself. Its few bytes are never freed.
    pub fn for_test(id: u64, peer: SocketAddr, identity: Option<&str>) -> Connection<'static> {
        let identity = String::from(identity.unwrap_or_default()).leak();
        let raw = RawConnection {
            id,
            started: 0,
            peer: Lent::new(Box::leak(Box::new(RawAddress::from(peer)))),
            listener: Lent::new(&LISTENER_IN_TESTS),
            identity: Text::from_str(identity),
        };
        let raw = Box::leak(Box::new(Lent::new(Box::leak(Box::new(raw)))));
        // Held here, for those who look for leaks.
        static MADE: Mutex<Vec<&'static Lent<'static, RawConnection<'static>>>> = Mutex::new(Vec::new());
        MADE.lock().unwrap_or_else(PoisonError::into_inner).push(raw);
        Connection::new(raw)
    }

    /// What a Submit has that was made in a test.
    pub(crate) fn made_up() -> Connection<'static> {
        static MADE_UP: RawConnection<'static> = RawConnection {
            id: 0,
            started: 0,
            peer: Lent::new(&NO_ADDRESS),
            listener: Lent::new(&LISTENER_IN_TESTS),
            identity: Text::from_str(""),
        };
        static LENT: Lent<'static, RawConnection<'static>> = Lent::new(&MADE_UP);
        Connection::new(&LENT)
    }
}

static NO_ADDRESS: RawAddress<'static> = in_tests([0; 4], 0);
static LISTENER_IN_TESTS: RawAddress<'static> = in_tests([127, 0, 0, 1], 8888);

const fn in_tests([a, b, c, d]: [u8; 4], port: u32) -> RawAddress<'static> {
    RawAddress {
        kind: RawAddress::IPV4,
        port,
        ip: [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        flow: 0,
        scope: 0,
        name: Bytes::EMPTY,
    }
}

impl fmt::Debug for Connection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id())
            .field("peer", &self.peer())
            .field("listener", &self.listener())
            .field("started", &self.started())
            .field("identity", &self.identity())
            .finish()
    }
}

/// One end of a connection. Shown as text, it is `127.0.0.1:8888`, `[::1]:8888` or `unix:/run/it.sock`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address<'a> {
    /// Of TCP.
    Ip(SocketAddr),
    /// Of a Unix socket: its path, which is empty for most peers.
    Unix(&'a Path),
    /// Of a kind that the host knows and this version of plugin-api does not: what it shows itself by.
    Other(Cow<'a, str>),
}

impl<'a> Address<'a> {
    /// As it crosses.
    #[doc(hidden)]
    pub fn new(raw: Lent<'a, RawAddress<'a>>) -> Address<'a> {
        let raw = raw.first();
        let name = raw.name.as_slice();
        let ip = match raw.kind {
            RawAddress::UNIX => return Address::Unix(Path::new(OsStr::from_bytes(name))),
            RawAddress::IPV4 => {
                let [a, b, c, d, ..] = raw.ip;
                IpAddr::from(Ipv4Addr::new(a, b, c, d))
            }
            RawAddress::IPV6 => IpAddr::from(Ipv6Addr::from(raw.ip)),
            _ => return Address::Other(String::from_utf8_lossy(name)),
        };
        let port = raw.port as u16; // as wide as that once
        Address::Ip(match ip {
            IpAddr::V4(_) => SocketAddr::new(ip, port),
            IpAddr::V6(ip) => SocketAddrV6::new(ip, port, raw.flow, raw.scope).into(),
        })
    }

    /// The IP address, if it has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Address::Ip(address) => Some(address.ip()),
            Address::Unix(_) | Address::Other(_) => None,
        }
    }
}

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Other(text) => text.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_cross_as_they_are() {
        for text in ["192.0.2.1:65535", "[2001:db8::1]:80", "[fe80::1%7]:1"] {
            let address: SocketAddr = text.parse().expect("an address");
            let raw = RawAddress::from(address);
            let shown = Address::new(Lent::new(&raw));
            assert_eq!((&shown, shown.to_string()), (&Address::Ip(address), text.to_owned()));
            assert_eq!(shown.ip(), Some(address.ip()));
        }
        for (path, text) in [("", "unix:"), ("/run/it.sock", "unix:/run/it.sock")] {
            let raw = RawAddress::unix(path.as_bytes());
            let shown = Address::new(Lent::new(&raw));
            assert_eq!((&shown, &*shown.to_string()), (&Address::Unix(Path::new(path)), text));
            assert_eq!(shown.ip(), None);
        }
        let newer = RawAddress {
            kind: 99,
            ..RawAddress::unix(b"vsock:3:1024")
        };
        assert_eq!(Address::new(Lent::new(&newer)).to_string(), "vsock:3:1024");
    }

    #[test]
    fn a_test_may_make_up_a_connection() {
        let peer = "192.0.2.1:4711".parse().expect("an address");
        let connection = Connection::for_test(7, peer, Some("alice"));
        assert_eq!((connection.id(), connection.identity()), (7, Some("alice")));
        assert_eq!(connection.peer(), Address::Ip(peer));
        assert_eq!(connection.listener().to_string(), "127.0.0.1:8888");
        assert_eq!(connection.started(), SystemTime::UNIX_EPOCH);
        assert_eq!(Connection::for_test(7, peer, None).identity(), None);
        let made_up = Connection::made_up();
        assert_eq!((made_up.id(), made_up.peer().to_string()), (0, "0.0.0.0:0".to_owned()));
    }
}
