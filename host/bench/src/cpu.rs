//! How much processor time a process has used.

use std::io;
use std::time::Duration;

/// What all threads of a process have used, those that have ended included, to the nanosecond: see clock_getcpuclockid(3).
/// The figures in `/proc` are coarser: `stat` counts in hundredths of a second, and `schedstat` of a thread that never
/// sleeps can stand still for seconds.
///
/// # Errors
/// When there is no such process.
#[cfg(target_os = "linux")]
pub(super) fn cpu_time(pid: u32) -> io::Result<Duration> {
    use nix::time::ClockId;
    use nix::unistd::Pid;

    let raw = i32::try_from(pid).map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(raw))?;
    Ok(clock.now()?.into())
}

/// Only Linux gives another process's clock.
#[cfg(not(target_os = "linux"))]
pub(super) fn cpu_time(_pid: u32) -> io::Result<Duration> {
    Err(io::ErrorKind::Unsupported.into())
}
