//! Holds what a connection is about, from one turn to the next. Decides nothing.

use super::linger::Linger;

/// What a connection is about.
pub(super) enum Phase {
    /// Until further notice.
    Serving,
    /// The host stops: Submits that are already here are read, in this many reads at most, and turned away.
    Stopping { reads: usize },
    /// No more requests; when the acks are out, so is our end of the stream.
    Closing,
    /// Discarding what still comes: to close with unread input would reset the peer, and lose it the acks.
    Lingering(Linger),
}
