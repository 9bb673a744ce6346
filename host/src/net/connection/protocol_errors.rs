//! What becomes of a peer that breaks the protocol: a malformed frame is counted and logged, the acks that are owed go out, and
//! the connection closes; a frame that never ends and acks that are never read are counted and logged. The log names the peer,
//! what it did, and enough bytes to see it. Never more, for the rest is the peer's data; and never often, for a peer can break
//! the protocol as fast as it can send.

use std::fmt;
use std::sync::LazyLock;

use tracing::warn;
use wire::{Decoded, Malformed};

use super::error_counters::Counters;
use super::phase::Phase;
use super::shared::Shared;
use crate::logging::{LEFT_OUT, RateLimit};
use crate::net::peer::Peer;

/// How many bytes of a bad frame are shown: length, command, and most of the ID.
const SHOWN: usize = 16;

const MALFORMED: &str = "malformed frame, closing";
const HALF_FRAME: &str = "connection ended inside a frame";
const NOT_READING: &str = "peer does not read its acks, closing";

/// One for each reason, so that none hides another.
static MALFORMED_LIMITS: LazyLock<[RateLimit; Malformed::ALL.len()]> = LazyLock::new(|| {
    Malformed::ALL.map(|reason| RateLimit::new(move |lines| warn!(lines, like = MALFORMED, %reason, "{LEFT_OUT}")))
});
static HALF_FRAME_LIMIT: LazyLock<RateLimit> =
    LazyLock::new(|| RateLimit::new(|lines| warn!(lines, like = HALF_FRAME, "{LEFT_OUT}")));
static NOT_READING_LIMIT: LazyLock<RateLimit> =
    LazyLock::new(|| RateLimit::new(|lines| warn!(lines, like = NOT_READING, "{LEFT_OUT}")));

/// The peer sent what can't be a frame; `bytes` starts with it. Gives what the connection does from now on.
#[cold]
pub(super) fn malformed(peer: Peer, reason: Malformed, bytes: &[u8], counters: &Counters) -> Phase {
    counters.count_malformed(reason);
    if MALFORMED_LIMITS[reason as usize].admits() {
        warn!(%peer, %reason, bytes = %Hex(bytes), "{MALFORMED}");
    }
    Phase::Closing
}

/// The connection ends inside a frame, of which `bytes` is what came.
#[cold]
pub(super) fn half_frame(peer: Peer, reason: &str, bytes: &[u8], shared: &Shared) {
    shared.counters.count_half_frame();
    if !HALF_FRAME_LIMIT.admits() {
        return;
    }
    let missing = match wire::decode(bytes, shared.limits.max_frame()) {
        Decoded::Incomplete { missing } => Some(missing),
        Decoded::Frame { .. } | Decoded::Malformed(_) => None,
    };
    warn!(
        %peer,
        reason,
        received = bytes.len(),
        missing,
        bytes = %Hex(bytes),
        "{HALF_FRAME}"
    );
}

/// The peer took no acks for too long; this many bytes of them are left.
#[cold]
pub(super) fn not_reading(peer: Peer, unsent: usize, counters: &Counters) {
    counters.count_write_timeout();
    if NOT_READING_LIMIT.admits() {
        warn!(%peer, unsent, "{NOT_READING}");
    }
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
