//! What is printed right before an abort (glibc's `free(): invalid pointer`, Rust's `stack overflow`, a panic within a panic)
//! goes into a pipe where the log is JSON, and the threads that make lines of it die with the process. So an abort waits for
//! them, a moment at most, and then goes on. A crash without an abort leaves no such moment.

#![allow(unsafe_code)] // `sigaction`; listed in ARCHITECTURE.md

use std::thread;
use std::time::Duration;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

use super::{QUEUE, capture};

/// Between two looks, and how many there are: half a second together.
const PAUSE: Duration = Duration::from_millis(1);
const CHECKS: u32 = 500;

/// Has aborts wait from here on.
pub(super) fn install() {
    // The handler is gone when it is called, and may be interrupted by the signal that it sends itself.
    let flags = SaFlags::SA_RESETHAND | SaFlags::SA_NODEFER;
    let action = SigAction::new(SigHandler::Handler(wait), flags, SigSet::empty());
    // SAFETY: `wait` does what a handler may do: it reads and writes atomics, asks the system about descriptors, sleeps
    // (nanosleep) and raises a signal; it takes no lock and allocates nothing. Nobody in this process relies on another handler
    // for it.
    let _ = unsafe { sigaction(Signal::SIGABRT, &action) };
}

extern "C" fn wait(_: std::ffi::c_int) {
    capture::end_lines();
    for _ in 0..CHECKS {
        // In this order: a line is in the queue before it ceases to be output.
        if capture::is_drained() && QUEUE.is_written() {
            break;
        }
        thread::sleep(PAUSE); // a signal handler may wait for no lock, so for no condition either
    }
    let _ = raise(Signal::SIGABRT); // the signal's default is in force again: who sent it meant it
}
