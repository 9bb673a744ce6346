//! Where peers connect: takes the address that the configuration names, a TCP port or a Unix socket, and accepts what comes
//! there. Who is let in, and when, is the acceptor's decision; whether the path of a Unix socket can be taken `socket_file`'s.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, SockRef, Socket, Type};
use tracing::debug;

use super::listen_error::ListenError;
use super::peer::Peer;
use super::socket_file::SocketFile;
use super::transport::{Stream, Transport};
use crate::config::Listen;

/// How many connections the kernel may hold for us; it lowers this to its own limit (net.core.somaxconn, usually 4096).
const BACKLOG: i32 = 4096;

/// An address that was taken, and does not listen yet.
pub struct Bound {
    socket: Socket,
    address: Address,
}

enum Address {
    Tcp(SocketAddr),
    Unix(SocketFile),
}

impl Bound {
    /// Takes an address. Port 0 takes a free one; the file of a Unix socket is for its owner alone.
    ///
    /// # Errors
    /// When the address is not ours or is taken.
    pub fn new(listen: &Listen) -> Result<Bound, ListenError> {
        let (socket, address) = match listen {
            Listen::Tcp(address) => {
                let address = *address;
                let socket = tcp(address).map_err(|error| ListenError::Tcp { address, error })?;
                (socket, Address::Tcp(address))
            }
            Listen::Unix(path) => {
                let (socket, file) = SocketFile::bind(path, "server.listen")?;
                (socket, Address::Unix(file))
            }
        };
        Ok(Bound { socket, address })
    }

    /// Listens: from here on peers can connect.
    ///
    /// # Errors
    /// When another process has begun to listen there in the same moment.
    pub fn listen(self) -> Result<Listener, ListenError> {
        let listening = self.socket.listen(BACKLOG);
        match self.address {
            Address::Tcp(address) => {
                let listener = TcpListener::from_std(self.socket.into());
                let address = listening
                    .and_then(|()| listener.local_addr())
                    .map_err(|error| ListenError::Tcp { address, error })?;
                Ok(Listener::Tcp { listener, address })
            }
            Address::Unix(file) => {
                listening.map_err(|error| file.unusable(error))?;
                let listener = UnixListener::from_std(OwnedFd::from(self.socket).into());
                Ok(Listener::Unix { listener, file })
            }
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Without it a restart would have to wait for the last connections' TIME_WAIT to pass.
    socket.set_reuse_address(true)?;
    // What a peer sends as urgent is in the stream like all else. Connections inherit it.
    socket.set_out_of_band_inline(true)?;
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Where peers can connect.
pub enum Listener {
    /// To a TCP port.
    Tcp {
        /// What accepts.
        listener: TcpListener,
        /// With the port that was taken.
        address: SocketAddr,
    },
    /// To a Unix socket.
    Unix {
        /// What accepts.
        listener: UnixListener,
        /// Removed with this.
        file: SocketFile,
    },
}

impl Listener {
    /// Where it is.
    pub fn address(&self) -> Listen {
        match self {
            Listener::Tcp { address, .. } => Listen::Tcp(*address),
            Listener::Unix { file, .. } => Listen::Unix(file.path().to_owned()),
        }
    }

    /// Has a poll report, under this token, that peers have come.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Listener::Tcp { listener, .. } => registry.register(listener, token, Interest::READABLE),
            Listener::Unix { listener, .. } => registry.register(listener, token, Interest::READABLE),
        }
    }

    /// Takes the next peer in.
    pub(super) fn accept(&self) -> io::Result<(Transport, Peer)> {
        let (stream, peer) = match self {
            Listener::Tcp { listener, .. } => {
                let (stream, address) = listener.accept()?;
                let peer = Peer::Tcp(address);
                // Acks leave in one write per read; to wait for more would only delay them.
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%peer, %error, "can't set TCP_NODELAY"); // the peer is gone already
                }
                (Stream::Tcp(stream), peer)
            }
            Listener::Unix { listener, .. } => {
                let (stream, _) = listener.accept()?;
                let peer = Peer::of_unix(&stream);
                // As for TCP; but these don't inherit it. Where the system knows nothing urgent here, there is nothing to set.
                let _ = SockRef::from(&stream).set_out_of_band_inline(true);
                (Stream::Unix(stream), peer)
            }
        };
        Ok((Transport::new(stream), peer))
    }
}
