//! Why the host can't listen where the configuration says, each with what to do.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the host can't listen where the configuration says.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A TCP address that is not ours or is taken.
    #[error("can't listen on {address}: {error}; set server.listen to a free address of this machine")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// A path at which another process listens, or is about to.
    #[error(
        "can't listen on unix:{}: another process listens there; stop it, or set {key} to another path",
        path.display()
    )]
    Taken {
        /// The key that names the path.
        key: &'static str,
        /// The socket's path.
        path: PathBuf,
    },
    /// A path at which something else stands.
    #[error(
        "can't listen on unix:{}: expected a socket or nothing there, found {found}; move it away, or set {key} to \
         another path",
        path.display()
    )]
    NoSocket {
        /// The key that names the path.
        key: &'static str,
        /// The path.
        path: PathBuf,
        /// What stands there.
        found: &'static str,
    },
    /// A path that the system has no room for.
    #[error(
        "can't listen on unix:{}: expected a path of at most {most} bytes, found {}; set {key} to a shorter one",
        path.display(), path.as_os_str().len()
    )]
    TooLong {
        /// The key that names the path.
        key: &'static str,
        /// The path.
        path: PathBuf,
        /// How many bytes it may have.
        most: usize,
    },
    /// A path that can't be used.
    #[error(
        "can't listen on unix:{}: {error} ({place}); set {key} to a path in a directory that is there and that this \
         user may write to",
        path.display()
    )]
    Unix {
        /// The key that names the path.
        key: &'static str,
        /// The socket's path.
        path: PathBuf,
        /// The file that it failed at.
        place: String,
        /// What the system said.
        error: io::Error,
    },
}
