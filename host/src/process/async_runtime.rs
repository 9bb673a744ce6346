//! The control plane's tokio runtime: one thread that waits for everything that is not a packet: timers, child processes, the
//! control socket, the end. Packet loops take nothing from it. Threads outside wait for its futures by [`AsyncRuntime::wait`].
//! What stopping in order means for a connection or a plugin is theirs to know; who gives the word is `control::signals`'
//! decision.
//!
//! A library whose start-up code never returns holds the dynamic linker's lock. A thread that has something registered for its
//! own end for the first time takes that lock (a thread-local with a destructor, `__cxa_thread_atexit_impl`), as tokio does
//! where a thread first waits or wakes a task. So every thread that does either has done it once before any library is opened:
//! see [`AsyncRuntime::prime`].

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use super::{exit, sentinel};

/// What the end may take beyond `server.drain_timeout` before it is cut short: something that it waits for does not come.
const OVERTIME: Duration = Duration::from_secs(1);

thread_local! {
    // Has no destructor, see `logging`.
    static IS_CONTROL: Cell<bool> = const { Cell::new(false) };
}

/// Ends the process where the runtime itself panics on its thread, and no task: it does where its descriptors are closed. To be
/// called by the panic hook, for to unwind would close them once more, which is an abort.
pub(crate) fn end_if_broken() {
    if IS_CONTROL.get() && tokio::task::try_id().is_none() {
        exit::after_panic("control");
    }
}

/// The runtime, and the word that it is time to stop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AsyncRuntime {
    handle: Handle,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl AsyncRuntime {
    /// Starts the runtime on a thread of its own. Should that thread fail, the process ends: it would serve unseen.
    ///
    /// # Errors
    /// When the system has no poll or no thread for it.
    pub fn start() -> io::Result<AsyncRuntime> {
        sentinel::place();
        AsyncRuntime::of(Builder::new_current_thread().enable_io().enable_time())
    }

    /// As [`AsyncRuntime::start`], for timers alone: without a descriptor that foreign code could close.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn with_timers_only() -> io::Result<AsyncRuntime> {
        AsyncRuntime::of(Builder::new_current_thread().enable_time())
    }

    fn of(builder: &mut Builder) -> io::Result<AsyncRuntime> {
        let runtime = builder.build()?;
        let handle = runtime.handle().clone();
        exit::critical("control", move || {
            IS_CONTROL.set(true);
            runtime.block_on(std::future::pending::<()>());
        })?;
        let started = AsyncRuntime {
            handle,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        started.prime();
        Ok(started)
    }

    /// Cancelled when it is time to stop.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Whether it is time to stop. Takes a lock for a moment: not for each packet.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Has the calling thread register with the C library what it needs to [`AsyncRuntime::wait`], to spawn and to cancel. Also
    /// waits for the runtime's own thread to have done as much.
    pub fn prime(&self) {
        let a_moment = || async { tokio::time::sleep(Duration::ZERO).await };
        let _ = self.wait(self.handle.spawn(a_moment())); // no task of it fails
        self.wait(a_moment());
    }

    /// Waits for a future on a thread outside of the runtime, while the runtime's own thread drives timers and sockets.
    ///
    /// # Panics
    /// On the runtime's own thread.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }

    /// Runs a task for as long as there is something to do; [`AsyncRuntime::ended`] waits for it. It must not run code of
    /// plugins, which may block: so it drops no last reference to one. Should it panic, the process ends and says so, rather
    /// than go on half alive.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.watch(name, self.tasks.spawn_on(task, &self.handle))
    }

    fn watch(&self, name: &'static str, task: JoinHandle<()>) -> JoinHandle<()> {
        self.handle.spawn(async move {
            if task.await.is_err_and(|error| error.is_panic()) {
                exit::after_panic(name);
            }
        })
    }

    /// Ends the process when the end takes longer than it may: `drain_timeout`, and a second.
    pub fn watch_over_the_end(&self, drain_timeout: Duration) {
        let stop = self.stop.clone();
        let watchdog = async move {
            stop.cancelled().await;
            tokio::time::sleep(drain_timeout + OVERTIME).await;
            error!("the end takes too long, cut short");
            exit::at_once(exit::INTERNAL);
        };
        // Not among those that the end waits for.
        self.watch("watchdog", self.handle.spawn(watchdog));
    }

    /// Returns when all tasks have ended. To be called once, when it is time to stop.
    pub async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn the_end_waits_for_tasks_and_reaches_them() {
        let runtime = AsyncRuntime::start().expect("a thread");
        runtime.watch_over_the_end(Duration::from_secs(3600));
        let (stop, has_ended) = (runtime.stop().clone(), Arc::new(AtomicBool::new(false)));
        let ending = Arc::clone(&has_ended);
        runtime.spawn("probe", async move {
            stop.cancelled().await;
            ending.store(true, Ordering::Relaxed);
        });
        assert!(!runtime.is_stopping());
        runtime.stop().cancel();
        assert!(runtime.is_stopping());
        runtime.wait(runtime.ended());
        assert!(has_ended.load(Ordering::Relaxed));
    }
}
