//! The connection that a batch is of.

#![allow(unsafe_code)] // the boundary; listed in ARCHITECTURE.md

use std::net::SocketAddr;

use super::lent::growing;
use super::{Bytes, Lent, Text};

growing! {
    /// What a handler may know of a connection; lent with each batch.
    pub struct RawConnection<'a>: RawConnectionRef, RawConnectionFirst {
        /// Its number, unique in the host's process.
        pub id: u64,
        /// When it was accepted: nanoseconds since the beginning of 1970 (UTC).
        pub started: u64,
        /// Who is at the other end.
        pub peer: Lent<'a, RawAddress<'a>>,
        /// Where the host has listened for it.
        pub listener: Lent<'a, RawAddress<'a>>,
        /// Who the peer has shown itself to be; empty: nobody.
        #[sabi(last_prefix_field)]
        pub identity: Text<'a>,
    }
}

growing! {
    /// One end of a connection.
    #[derive(Clone, Copy)]
    pub struct RawAddress<'a>: RawAddressRef, RawAddressFirst {
        /// One of the constants. Of a kind that came later, older readers know no more than `name`.
        pub kind: u32,
        /// The TCP port.
        pub port: u32,
        /// The IPv6 address, or the IPv4 address in the first four bytes.
        pub ip: [u8; 16],
        /// IPv6's flow information.
        pub flow: u32,
        /// IPv6's scope.
        pub scope: u32,
        /// The Unix socket's path; empty, if it has none. Of a kind that came later, what it shows itself by, in UTF-8.
        #[sabi(last_prefix_field)]
        pub name: Bytes<'a>,
    }
}

impl<'a> RawAddress<'a> {
    /// Nothing but a name.
    pub const UNIX: u32 = 1;
    /// An IPv4 address and a port.
    pub const IPV4: u32 = 4;
    /// An IPv6 address, a port, flow information and scope.
    pub const IPV6: u32 = 6;

    /// The address of a Unix socket: the bytes of its path, none if it has none.
    pub fn unix(path: &'a [u8]) -> RawAddress<'a> {
        RawAddress {
            kind: RawAddress::UNIX,
            port: 0,
            ip: [0; 16],
            flow: 0,
            scope: 0,
            name: path.into(),
        }
    }
}

impl From<SocketAddr> for RawAddress<'static> {
    #[inline]
    fn from(address: SocketAddr) -> RawAddress<'static> {
        let (kind, ip, flow, scope) = match address {
            SocketAddr::V4(address) => {
                let mut ip = [0; 16];
                let [a, b, c, d] = address.ip().octets();
                [ip[0], ip[1], ip[2], ip[3]] = [a, b, c, d];
                (RawAddress::IPV4, ip, 0, 0)
            }
            SocketAddr::V6(address) => (
                RawAddress::IPV6,
                address.ip().octets(),
                address.flowinfo(),
                address.scope_id(),
            ),
        };
        RawAddress {
            kind,
            port: address.port().into(),
            ip,
            flow,
            scope,
            name: Bytes::EMPTY,
        }
    }
}
