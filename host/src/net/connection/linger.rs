//! Decides how long a connection is kept open when all its acks are written. They are with the system then, and closing with unread
//! input would reset the peer and lose it what it has yet to take. So it is kept as long as the peer takes something now and
//! then, and for one to two seconds when it has everything (it is looked at every half second): then it mostly closes its
//! own end.

use super::timeouts::TICK;
use crate::net::transport::Transport;

/// How many ticks the peer has to close when it has everything: a second.
const FOR_CLOSING: u32 = (1000 / TICK.as_millis()) as u32;

/// What is known of a peer that has yet to take its last acks.
pub(super) struct Linger {
    /// What it has to take, in bytes.
    owed: usize,
    /// The tick at which it was last seen to have taken some.
    since: Option<u32>,
}

impl Linger {
    /// After the last byte, and the end of the stream.
    pub(super) fn begin(transport: &Transport) -> Linger {
        Linger {
            owed: transport.unacknowledged(),
            since: None,
        }
    }

    /// Looks at tick `now`; whether the peer has had its time. While there is something to take, that is `timeout` ticks without
    /// any progress.
    pub(super) fn is_over(&mut self, transport: &Transport, timeout: u32, now: u32) -> bool {
        self.look(transport.unacknowledged(), timeout, now)
    }

    /// How many bytes the peer has not taken.
    pub(super) fn owed(&self) -> usize {
        self.owed
    }

    fn look(&mut self, owed: usize, timeout: u32, now: u32) -> bool {
        let since = *self.since.get_or_insert(now);
        if owed < self.owed {
            self.owed = owed;
            self.since = Some(now);
            return false;
        }
        let most = if owed == 0 { FOR_CLOSING.min(timeout) } else { timeout };
        now.saturating_sub(since) >= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_something_has_its_time_again() {
        let mut linger = Linger { owed: 100, since: None };
        // How much is owed at which tick, and whether it is over.
        let looks = [
            (100, 10, false),
            (100, 109, false),
            (99, 109, false),
            (99, 208, false),
            (0, 208, false),
        ];
        for (owed, now, is_over) in looks {
            assert_eq!(linger.look(owed, 100, now), is_over, "{owed} at {now}");
        }
        assert!(!linger.look(0, 100, 208 + FOR_CLOSING - 1));
        assert!(linger.look(0, 100, 208 + FOR_CLOSING));

        let mut stuck = Linger { owed: 100, since: None };
        assert!(!stuck.look(100, 100, 10));
        assert!(stuck.look(100, 100, 110));
    }
}
