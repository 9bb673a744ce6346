//! Waiting for sockets until an instant. The kernel's epoll waits in whole milliseconds, which would send the Submits of an
//! open loop in bursts; a timer that is polled with the sockets is exact.

use std::io;
use std::time::Duration;

use mio::{Events, Poll, Token};

/// What sockets must not be registered under.
pub(super) const TIMER: Token = Token(usize::MAX);

#[cfg(target_os = "linux")]
pub(super) struct Timer {
    timer: std::os::fd::OwnedFd,
}

#[cfg(target_os = "linux")]
impl Timer {
    pub(super) fn new(poll: &Poll) -> io::Result<Timer> {
        use std::os::fd::AsRawFd;

        use mio::Interest;
        use mio::unix::SourceFd;
        use rustix::time::{TimerfdClockId, TimerfdFlags};

        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let source = timer.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&source), TIMER, Interest::READABLE)?;
        Ok(Timer { timer })
    }

    /// Waits until there is something to do, for so long at most.
    pub(super) fn wait(&self, poll: &mut Poll, events: &mut Events, most: Duration) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec};

        if most.is_zero() {
            return poll.poll(events, Some(Duration::ZERO));
        }
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec::try_from(most).unwrap_or(Timespec {
            tv_sec: i64::MAX,
            tv_nsec: 0,
        });
        let once = Itimerspec {
            it_interval: zero,
            it_value: value,
        };
        // Setting it anew forgets that it has fired, so it is never read.
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        poll.poll(events, None)
    }
}

/// kqueue waits as exactly as it is asked to.
#[cfg(not(target_os = "linux"))]
pub(super) struct Timer;

#[cfg(not(target_os = "linux"))]
impl Timer {
    pub(super) fn new(_poll: &Poll) -> io::Result<Timer> {
        Ok(Timer)
    }

    pub(super) fn wait(&self, poll: &mut Poll, events: &mut Events, most: Duration) -> io::Result<()> {
        poll.poll(events, Some(most))
    }
}
