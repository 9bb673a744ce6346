//! Descriptors that foreign code has closed. A plugin can close what is not its own. Where the host can't wait for anything any
//! more it ends: a process that holds connections and doesn't read them is worse. A standard stream that was closed is opened
//! again, to nothing: else the next connection would have its number, and what is printed would go to a peer.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};

use rustix::io::{Errno, fcntl_getfd};
use tracing::error;

use super::exit;

/// The number of standard error.
const LAST_STREAM: RawFd = 2;

/// Ends the process if an operation on a descriptor of the host's own failed because it is closed, or is something else by
/// now.
pub(crate) fn end_if_gone(error: &io::Error) {
    if matches!(
        Errno::from_io_error(error),
        Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK)
    ) {
        error!(%error, "the host's own descriptors are gone: closed by foreign code");
        exit::at_once(exit::INTERNAL);
    }
}

/// Opens standard streams that are closed, to nothing; names them.
pub(crate) fn keep_standard_streams() -> Vec<&'static str> {
    let is_closed = [
        fcntl_getfd(io::stdin()).is_err(),
        fcntl_getfd(io::stdout()).is_err(),
        fcntl_getfd(io::stderr()).is_err(),
    ];
    let streams = ["stdin", "stdout", "stderr"].into_iter().zip(is_closed);
    let closed: Vec<&str> = streams
        .filter(|(_, is_closed)| *is_closed)
        .map(|(name, _)| name)
        .collect();
    // Each takes the lowest free number, which is that of a closed stream until none is.
    while !closed.is_empty()
        && let Ok(nothing) = File::options().read(true).write(true).open("/dev/null")
        && nothing.as_raw_fd() <= LAST_STREAM
    {
        let _ = nothing.into_raw_fd(); // it stays open
    }
    closed
}
