//! Decides what `server.listen` may be: where peers connect. Opens nothing.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What a Unix socket's path is written after.
const UNIX: &str = "unix:";

/// The path of a Unix socket that is written as an address, as here and on the command line.
pub fn unix_path(address: &str) -> Option<&str> {
    address.strip_prefix(UNIX)
}

/// Where peers connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address; port 0 takes a free one.
    Tcp(SocketAddr),
    /// The path of a Unix socket; in the file, relative to it.
    Unix(PathBuf),
}

impl Listen {
    /// The same with a path that starts at `base`, if it has one that is relative.
    pub(super) fn from(self, base: &Path) -> Listen {
        match self {
            Listen::Tcp(address) => Listen::Tcp(address),
            Listen::Unix(path) => Listen::Unix(base.join(path)),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}
