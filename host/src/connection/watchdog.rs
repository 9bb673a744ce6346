//! When a connection has waited too long. No clock is read per packet: a timer ticks four times per timeout, and what
//! counts is how many ticks went by without progress. So a timeout strikes between once and one and a quarter times its
//! length after the last progress, and what progress costs is a store.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

const TICKS: u32 = 4;

/// What a connection waits for; there is always exactly one such thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The peer to complete a frame.
    Frame,
    /// The peer to take acks.
    Peer,
    /// The peer to close its end.
    Close,
}

/// How long each may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) frame: Duration,
    pub(super) peer: Duration,
    pub(super) close: Duration,
}

impl Timeouts {
    /// What the timer of a new connection is set to.
    pub(super) fn first_tick(&self) -> Duration {
        self.tick(Waiting::Frame)
    }

    fn tick(&self, waiting: Waiting) -> Duration {
        match waiting {
            Waiting::Frame => tick(self.frame),
            Waiting::Peer => tick(self.peer),
            Waiting::Close => tick(self.close),
        }
    }
}

/// How often to look. Bounded, so that neither a tiny timeout spins nor a huge one overflows the clock.
fn tick(timeout: Duration) -> Duration {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    (timeout / TICKS).clamp(Duration::from_millis(1), 365 * DAY)
}

pub(super) struct Watchdog<'s> {
    sleep: Pin<&'s mut Sleep>,
    timeouts: &'s Timeouts,
    /// What `sleep` was last set for.
    armed: Waiting,
    /// Ticks since the last progress.
    quiet: u32,
}

impl<'s> Watchdog<'s> {
    /// `sleep` ends [`Timeouts::first_tick`] from now.
    pub(super) fn new(sleep: Pin<&'s mut Sleep>, timeouts: &'s Timeouts) -> Watchdog<'s> {
        Watchdog {
            sleep,
            timeouts,
            armed: Waiting::Frame,
            quiet: 0,
        }
    }

    /// A frame was completed, or acks were taken.
    pub(super) fn progress(&mut self) {
        self.quiet = 0;
    }

    /// Ready when `waiting` has lasted too long; otherwise the task is woken when it is time to ask again.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, waiting: Waiting) -> Poll<()> {
        // Setting a timer locks, so one that was set for another purpose is left to run out, except where that would be
        // too late. A peer that is slow again and again does not cost a timer each time.
        if self.timeouts.tick(waiting) < self.timeouts.tick(self.armed) {
            self.arm(waiting);
        }
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            if self.armed == waiting {
                self.quiet += 1;
                // The first tick comes at any time after the progress: only the one after the fourth is late enough.
                if self.quiet > TICKS {
                    return Poll::Ready(());
                }
            }
            self.arm(waiting);
        }
    }

    fn arm(&mut self, waiting: Waiting) {
        if self.armed != waiting {
            self.armed = waiting;
            self.quiet = 0;
        }
        let next = Instant::now() + self.timeouts.tick(waiting);
        self.sleep.as_mut().reset(next);
    }
}
