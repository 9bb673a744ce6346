//! What the log says of a peer that breaks the rules: who, what, and enough bytes to see it. Never more, for the rest is
//! the peer's data.

use std::fmt;
use std::net::SocketAddr;

use tracing::warn;

use crate::wire::{self, Decoded, Malformed};

/// How many bytes of a bad frame are shown: length, command, and most of the ID.
const SHOWN: usize = 16;

/// The peer sent what can't be a frame; `bytes` starts with it.
pub(super) fn malformed(peer: SocketAddr, reason: Malformed, bytes: &[u8]) {
    warn!(%peer, %reason, bytes = %Hex(bytes), "malformed frame, closing");
}

/// The connection ends inside a frame, of which `bytes` is what came.
pub(super) fn half_frame(peer: SocketAddr, reason: &str, bytes: &[u8], max_frame: usize) {
    let missing = match wire::decode(bytes, max_frame) {
        Decoded::Incomplete { missing } => Some(missing),
        Decoded::Frame { .. } | Decoded::Malformed(_) => None,
    };
    warn!(
        %peer,
        reason,
        received = bytes.len(),
        missing,
        bytes = %Hex(bytes),
        "connection ended inside a frame"
    );
}

/// The peer took no acks for too long; this many bytes of them are left.
pub(super) fn not_reading(peer: SocketAddr, unsent: usize) {
    warn!(%peer, unsent, "peer does not read its acks, closing");
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take(SHOWN) {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
