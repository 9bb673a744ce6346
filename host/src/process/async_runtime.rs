//! The control plane's tokio runtime: one thread that waits for everything that is not a packet: timers, child processes, the
//! control socket. Packet loops take nothing from it. Threads outside wait for its futures by [`AsyncRuntime::wait`].

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{descriptors, exit};

/// How long a runtime that is broken leaves to whoever knows which plugin's doing that is: it is said first, and ends the process.
const TIME_TO_TELL: Duration = Duration::from_millis(500);

thread_local! {
    // Has no destructor, see `logging`.
    static IS_CONTROL: Cell<bool> = const { Cell::new(false) };
}

/// Ends the process where the runtime itself panics on its thread, and no task: it does where its descriptors are closed. To be
/// called by the panic hook, for to unwind would close them once more, which is an abort.
pub(crate) fn end_if_broken() {
    if IS_CONTROL.get() && tokio::task::try_id().is_none() {
        std::thread::sleep(TIME_TO_TELL);
        descriptors::end(&"the control thread can't wait for anything any more");
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
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
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

    /// Whether it is time to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Has the calling thread register with the C library what it needs to [`AsyncRuntime::wait`]. Registering takes the
    /// dynamic linker's lock, which a library may hold whose start-up code never returns; so a thread does it before any
    /// library is opened.
    pub fn prime(&self) {
        self.wait(async { tokio::time::sleep(Duration::ZERO).await });
    }

    /// Waits for a future on a thread outside of the runtime, while the runtime's own thread drives timers and sockets.
    ///
    /// # Panics
    /// On the runtime's own thread.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }

    /// Runs a task for as long as there is something to do. Should it panic, the process ends and says so, rather than go on
    /// half alive.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let task = self.tasks.spawn_on(task, &self.handle);
        self.handle.spawn(async move {
            // The panic hook has said what and where.
            if task.await.is_err_and(|error| error.is_panic()) {
                tracing::error!(task = name, "a fault of the host's own, ending: restart it");
                exit::at_once(exit::INTERNAL);
            }
        })
    }

    /// Returns when all tasks have ended. To be called once, when it is time to stop.
    pub async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
