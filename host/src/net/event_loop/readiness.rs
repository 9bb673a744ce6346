//! Polls the sockets of a loop, and decides when the events of a past moment have all been seen. One poll gives a bounded number
//! of events, and where many sockets are always ready each poll is full. The kernel keeps sockets in the order in which they
//! became ready; so after as many polls as all sockets need, every socket has been reported that was ready before the first.
//! Before that no connection can be said to have been silent.

use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Poll, Token};
use tracing::error;

use crate::logging::{LEFT_OUT, RateLimit};
use crate::net::transport::{Readable, Transport};
use crate::process::descriptors::end_if_gone;

/// How many events one poll may give.
const EVENTS: usize = 1024;
/// The log's words for a poll that fails; it may go on for long.
const POLL_FAILS: &str = "can't wait for connections, trying again";
static POLL_FAILS_LIMIT: LazyLock<RateLimit> =
    LazyLock::new(|| RateLimit::new(|lines| error!(lines, like = POLL_FAILS, "{LEFT_OUT}")));
/// Between two tries of a poll that fails.
const PAUSE: Duration = Duration::from_millis(10);

pub(super) struct Readiness {
    poll: Poll,
    events: Events,
    survey: Option<Survey>,
    seen_until: Option<u32>,
}

/// Polls that together report everything that was ready before the first of them, which was at tick `began`.
struct Survey {
    began: u32,
    polls_left: usize,
}

impl Readiness {
    pub(super) fn new(poll: Poll) -> Readiness {
        Readiness {
            poll,
            events: Events::with_capacity(EVENTS),
            survey: None,
            seen_until: None,
        }
    }

    /// Has a transport's events reported, under a key.
    pub(super) fn register(&self, transport: &mut Transport, key: usize) -> io::Result<()> {
        transport.register(self.poll.registry(), Token(key))
    }

    /// Polls once, and reports each event by its key. Waits until there is one, if `is_idle`. `registered`: how many sockets there
    /// are; `now`: the current tick.
    pub(super) fn poll(&mut self, is_idle: bool, registered: usize, now: u32, mut report: impl FnMut(usize, Readable)) {
        let timeout = (!is_idle).then_some(Duration::ZERO);
        if let Err(error) = self.poll.poll(&mut self.events, timeout) {
            if error.kind() != io::ErrorKind::Interrupted {
                end_if_gone(&error);
                if POLL_FAILS_LIMIT.admits() {
                    error!(%error, "{POLL_FAILS}");
                }
                // It is not to spin if it lasts. There is nothing to wait for: what it waits with is what fails.
                std::thread::sleep(PAUSE);
            }
            return;
        }
        let mut count = 0;
        for event in self.events.iter() {
            count += 1;
            report(event.token().0, readable(event));
        }
        self.note(count < EVENTS, registered, now);
    }

    /// The tick before which everything that was ready has been reported, if that is news.
    pub(super) fn seen_until(&mut self) -> Option<u32> {
        self.seen_until.take()
    }

    /// After a poll that was begun at tick `now`; `is_all`: it reported everything that was ready.
    fn note(&mut self, is_all: bool, registered: usize, now: u32) {
        if is_all && self.survey.is_none() {
            self.seen_until = Some(now);
            return;
        }
        // With one for what wakes the loop, which is registered too.
        let polls_left = registered / EVENTS + 1;
        let survey = self.survey.get_or_insert(Survey { began: now, polls_left });
        survey.polls_left -= 1;
        if is_all || survey.polls_left == 0 {
            self.seen_until = Some(survey.began);
            self.survey = None;
        }
    }
}

fn readable(event: &Event) -> Readable {
    let is_over = event.is_read_closed() || event.is_error();
    Readable {
        now: event.is_readable() || is_over,
        end: is_over,
        urgent: event.is_priority(), // and then it is readable as well
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_reported_after_as_many_full_polls_as_all_sockets_take() {
        let mut readiness = Readiness::new(Poll::new().expect("a poll"));
        let mut seen_after = |is_all, registered, now| {
            readiness.note(is_all, registered, now);
            readiness.seen_until()
        };
        assert_eq!(seen_after(true, 5000, 7), Some(7));
        // The waker and 2,047 connections are 2,048.
        assert_eq!(seen_after(false, 2047, 8), None);
        assert_eq!(seen_after(false, 2047, 9), Some(8));
        assert_eq!(seen_after(false, 2048, 10), None);
        assert_eq!(seen_after(false, 2048, 11), None);
        assert_eq!(seen_after(false, 2048, 12), Some(10));
        // One that is not full ends it earlier.
        assert_eq!(seen_after(false, 9000, 13), None);
        assert_eq!(seen_after(true, 9000, 14), Some(13));
        assert_eq!(seen_after(false, 10, 15), Some(15));
    }
}
