//! How the process ends: one way out, that runs no foreign code and waits for no lock. The usual end (returning from `main`,
//! `exit(3)`) runs what plugins have left for it, `atexit` functions and destructors of statics, and takes the dynamic
//! linker's lock; a plugin could keep the process for ever, or crash it when all is done.

#![allow(unsafe_code)] // `_exit`; listed in ARCHITECTURE.md

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::logging;

/// A fault of the host's own, or of what it stands on, from which it can't go on. sysexits.h calls it EX_SOFTWARE.
pub const INTERNAL: u8 = 70;

/// How long the end waits for the log to be written, while it makes no progress: its reader may have stopped.
const LOG_PATIENCE: Duration = Duration::from_millis(300);

/// Ends the process with this code: the log is written out as far as its reader takes it, then `_exit(2)`.
pub fn at_once(code: u8) -> ! {
    logging::flush(LOG_PATIENCE);
    // SAFETY: it takes any number and does not return.
    unsafe { libc::_exit(code.into()) }
}

/// Starts a thread without which the host is not whole: should it panic, the process ends and says so, rather than go on
/// half alive.
///
/// # Errors
/// When the system has no thread for it.
pub fn critical(name: &'static str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(move || {
        logging::warm_up();
        // The panic hook has said what and where.
        if catch_unwind(AssertUnwindSafe(body)).is_err() {
            tracing::error!(thread = name, "a fault of the host's own, ending: restart it");
            at_once(INTERNAL);
        }
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// In a process of its own: this test's program again, with nothing but this test.
    #[test]
    fn a_panic_of_a_critical_thread_ends_the_process() {
        const CHILD: &str = "EXIT_TEST_CHILD";
        if std::env::var_os(CHILD).is_some() {
            let thread = critical("probe", || panic!("told to"));
            let _ = thread.map(JoinHandle::join);
            unreachable!("the process has ended");
        }
        let mut child = Command::new(std::env::current_exe().expect("a program"));
        child.args([
            "--exact",
            "process::exit::tests::a_panic_of_a_critical_thread_ends_the_process",
        ]);
        let output = child.env(CHILD, "1").output().expect("a process");
        assert_eq!(output.status.code(), Some(INTERNAL.into()), "{output:?}");
    }
}
