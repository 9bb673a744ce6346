//! When the host's own descriptors are gone. A plugin can close what is not its own; then the host can't wait for anything any
//! more, and to be half alive, with peers that nobody hears, is worse than to end.

use std::io;

use rustix::io::Errno;
use tracing::error;

use crate::exit;

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
