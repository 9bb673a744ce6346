//! Decides how long a connection may wait for what; where that fires is `event_loop::timeout_sweep`. Time is counted in ticks of
//! the host's own clock (see `relief_clock`), so that asking for it costs a load: no clock is read per packet or per read. A
//! timeout strikes up to three ticks late, never early.

use std::time::Duration;

/// What a connection waits for; there is always exactly one such thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The peer to begin a frame.
    Frame,
    /// The peer to send the rest of a frame.
    RestOfFrame,
    /// The peer to take acks.
    Peer,
    /// The peer to take what the system has for it, and to close its end: what there is to see is looked at now and then.
    Close,
}

/// How long each may take, in ticks.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    frame: u32,
    rest: u32,
    peer: u32,
    close: u32,
    /// Whether a frame that is not completed is first a case of `server.idle_timeout`.
    idle_is_first: bool,
}

/// The length of a tick.
pub const TICK: Duration = Duration::from_millis(50);

impl Timeouts {
    pub(super) fn new(idle: Duration, frame: Duration, peer: Duration, close: Duration) -> Timeouts {
        Timeouts {
            frame: ticks(idle),
            rest: ticks(frame.min(idle)),
            peer: ticks(peer),
            close: ticks(close),
            idle_is_first: idle < frame,
        }
    }

    /// How many ticks the peer may take no acks.
    pub(super) fn peer(&self) -> u32 {
        self.peer
    }

    /// When the wait is over that began at tick `now`.
    pub fn due(&self, waiting: Waiting, now: u32) -> u32 {
        let wait = match waiting {
            Waiting::Frame => self.frame,
            Waiting::RestOfFrame => self.rest,
            Waiting::Peer => self.peer,
            Waiting::Close => self.close,
        };
        now.saturating_add(wait)
    }

    /// What the log calls a frame that was not completed in time.
    pub(super) fn name_of_rest(&self) -> &'static str {
        if self.idle_is_first {
            "idle timeout"
        } else {
            "frame timeout"
        }
    }
}

/// Rounded up, and two more: the tick at hand began some time ago, and the next one may have begun unnoticed.
fn ticks(duration: Duration) -> u32 {
    let ticks = duration.as_nanos().div_ceil(TICK.as_nanos()) + 2;
    u32::try_from(ticks).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_timeout_strikes_early() {
        let of = Duration::from_millis;
        let timeouts = Timeouts::new(of(500), of(120), of(1), of(800));
        assert_eq!(timeouts.due(Waiting::Frame, 7), 7 + 12);
        assert_eq!(timeouts.due(Waiting::RestOfFrame, 7), 7 + 5);
        assert_eq!(timeouts.due(Waiting::Peer, 7), 7 + 3);
        assert_eq!(timeouts.due(Waiting::Close, u32::MAX), u32::MAX);
        assert_eq!(timeouts.name_of_rest(), "frame timeout");
    }

    #[test]
    fn a_frame_has_no_longer_than_an_idle_connection() {
        let of = Duration::from_millis;
        let timeouts = Timeouts::new(of(500), of(1000), of(1), of(1));
        assert_eq!(timeouts.due(Waiting::RestOfFrame, 0), timeouts.due(Waiting::Frame, 0));
        assert_eq!(timeouts.name_of_rest(), "idle timeout");
    }
}
