//! Tells that a process has ended, before it is reaped: until then its number is its own, and so is its group's.
//!
//! By a descriptor of the process (pidfd_open(2)), which no handler for SIGCHLD takes part in: a plugin may set one. For this
//! tokio's own processes would not do: they are reaped as soon as they end, and where there are no such descriptors tokio sets a
//! handler.

#![allow(unsafe_code)] // `AsyncFd::register`; listed in ARCHITECTURE.md

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

/// How often it is looked where the system has no descriptors of processes.
const LOOK: Duration = Duration::from_millis(50);

pub(super) struct EndWatch {
    pid: Pid,
    descriptor: Option<AsyncFd<OwnedFd>>,
}

impl EndWatch {
    /// Of a child that was not waited for. On a runtime.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub(super) fn of(pid: Pid) -> io::Result<EndWatch> {
        let descriptor = descriptor(pid)?.map(|descriptor| {
            // SAFETY: an `OwnedFd` is open for as long as it lives, and always the same.
            unsafe { AsyncFd::register(descriptor) }
        });
        let descriptor = descriptor.transpose()?;
        Ok(EndWatch { pid, descriptor })
    }

    /// Returns when it has ended; at once if it has by now, or somebody else has reaped it.
    pub(super) async fn ended(&self) {
        while matches!(self.has_ended(), Ok(false) | Err(Errno::INTR)) {
            match &self.descriptor {
                // Should waiting fail, looking now and then is as good.
                Some(descriptor) if descriptor.readable().await.is_ok() => return,
                _ => sleep(LOOK).await,
            }
        }
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// `CHILD` where other code of this process has reaped it: its number may be another process's by now.
    pub(super) fn has_ended(&self) -> rustix::io::Result<bool> {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.pid), look).map(|status| status.is_some())
    }
}

/// None where the system has none, does not let us have one, or the child was reaped already.
#[cfg(target_os = "linux")]
fn descriptor(pid: Pid) -> io::Result<Option<OwnedFd>> {
    use rustix::process::{PidfdFlags, pidfd_open};
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => Ok(Some(descriptor)),
        Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

#[cfg(not(target_os = "linux"))]
fn descriptor(_: Pid) -> io::Result<Option<OwnedFd>> {
    Ok(None)
}
