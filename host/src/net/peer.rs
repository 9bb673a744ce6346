//! Who a connection is with, as the log names it. Decides nothing: what a peer may do does not depend on who it is.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::AsFd;

/// The other end of a connection: `127.0.0.1:49152`, or `unix:pid=4711,uid=1000`.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    /// Over TCP, with its address.
    Tcp(SocketAddr),
    /// Over a Unix socket, with what the system tells of its process.
    Unix(Option<Process>),
}

/// Who connected: the process may have passed the connection on since.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// None in another PID namespace.
    pid: Option<i32>,
    uid: u32,
}

impl Peer {
    /// The other end of a Unix socket that was just accepted.
    pub(super) fn of_unix(stream: &impl AsFd) -> Peer {
        Peer::Unix(process(stream))
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn process(stream: &impl AsFd) -> Option<Process> {
    use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

    let credentials = getsockopt(stream, PeerCredentials).ok()?;
    Some(Process {
        pid: Some(credentials.pid()).filter(|pid| *pid > 0),
        uid: credentials.uid(),
    })
}

/// Not on this system.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn process(_: &impl AsFd) -> Option<Process> {
    None
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(address) => address.fmt(f),
            Peer::Unix(None) => f.write_str("unix:"),
            Peer::Unix(Some(Process { pid: None, uid })) => write!(f, "unix:uid={uid}"),
            Peer::Unix(Some(Process { pid: Some(pid), uid })) => write!(f, "unix:pid={pid},uid={uid}"),
        }
    }
}
