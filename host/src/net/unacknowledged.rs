//! How much of what was written to a socket its peer has yet to take. Only the system knows: what it has taken is out of our
//! hands, and to close a socket while the peer still sends loses it.

#![allow(unsafe_code)] // `ioctl`; listed in ARCHITECTURE.md

use std::os::fd::AsFd;

/// In bytes; the end of the stream counts as one. 0 when it can't be known.
#[cfg(target_os = "linux")]
pub(super) fn unacknowledged(stream: &impl AsFd) -> usize {
    use std::os::fd::AsRawFd;

    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open while `stream` is borrowed, and this request (tcp(7) and unix(7) call it SIOCOUTQ,
    // by the same number) writes one int to where the last argument points, which is `bytes`.
    let outcome = unsafe { libc::ioctl(stream.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if outcome == 0 {
        usize::try_from(bytes).unwrap_or(0)
    } else {
        0
    }
}

/// Unknown here; connections close as if all had arrived, a second after the last was written.
#[cfg(not(target_os = "linux"))]
pub(super) fn unacknowledged(_: &impl AsFd) -> usize {
    0
}
