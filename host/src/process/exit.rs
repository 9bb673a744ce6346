//! How the process ends: one way out, that runs no foreign code and waits for no lock. The usual end (returning from `main`,
//! `exit(3)`) runs what plugins have left for it, `atexit` functions and destructors of statics, and takes the dynamic
//! linker's lock; a plugin could keep the process for ever, or crash it when all is done.

#![allow(unsafe_code)] // `_exit`; listed in ARCHITECTURE.md

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::thread::{Builder, JoinHandle};

use super::sentinel::{self, Suspect};

/// A fault of the host's own, or of what it stands on, from which it can't go on. sysexits.h calls it EX_SOFTWARE.
pub const INTERNAL: u8 = 70;

static HOOKS: OnceLock<Hooks> = OnceLock::new();

/// What the log does at these moments; it is built on this module, so it says so itself.
#[derive(Clone, Copy, Debug)]
pub struct Hooks {
    /// At the beginning of each critical thread.
    pub thread_started: fn(),
    /// Right before the end. May take a moment, and must not wait for anybody without a limit.
    pub ending: fn(),
}

/// Says what is to be done at the end and when a thread starts, once for the process; later calls change nothing.
pub fn set_hooks(hooks: Hooks) {
    let _ = HOOKS.set(hooks);
}

/// Ends the process with this code: the log is written out as far as its reader takes it, then `_exit(2)`.
pub fn at_once(code: u8) -> ! {
    if let Some(hooks) = HOOKS.get() {
        (hooks.ending)();
    }
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
        if let Some(hooks) = HOOKS.get() {
            (hooks.thread_started)();
        }
        if catch_unwind(AssertUnwindSafe(body)).is_err() {
            after_panic(name);
        }
    })
}

/// Ends the process after a panic of the host's own code, of which the panic hook has said what and where. Says why: without its
/// descriptors the host can't wait for anything, and tokio panics.
pub fn after_panic(place: &str) -> ! {
    if sentinel::is_gone() {
        descriptors_gone();
    }
    tracing::error!(thread = place, "a fault of the host's own, ending: restart it");
    at_once(INTERNAL)
}

/// Ends the process because foreign code has closed the host's descriptors; names the plugin whose code runs for the first time.
pub fn descriptors_gone() -> ! {
    match sentinel::suspected() {
        Some(Suspect { plugin, version }) => {
            tracing::error!(plugin, %version, "its code has closed the host's own descriptors, ending");
        }
        None => tracing::error!("the host's own descriptors are gone: closed by foreign code"),
    }
    at_once(INTERNAL)
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
