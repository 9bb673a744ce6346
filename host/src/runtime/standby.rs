//! Standby: an instance that serves nothing is paused, and resumed before it serves again. The plugin's code for both has a time
//! limit, as init has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use plugin_record::Refusal;
use tokio::time::sleep;

use super::Plugin;
use super::call_with_deadline::{timed_out, within};
use super::instances::Instances;
use crate::unavailable::{LoadError, Unavailable};

/// How far a call is.
#[derive(Default)]
struct Progress {
    has_begun: AtomicBool,
    has_returned: AtomicBool,
}

impl Instances {
    /// Has an instance told that it gets no more Submits until it is resumed, unless it knows. Only for one that has drained. Waits
    /// for nothing: `late` learns of a plugin that has not returned after `timeout`, on the control plane's thread; it is paused
    /// all the same.
    ///
    /// # Errors
    /// When there is no thread for it: then it is not paused.
    pub fn pause(
        &self,
        plugin: &Arc<Plugin>,
        timeout: Duration,
        late: impl FnOnce(&Refusal) + Send + 'static,
    ) -> Result<(), Unavailable> {
        if !plugin.begin_pause() {
            return Ok(());
        }
        let progress = Arc::new(Progress::default());
        let (paused, here) = (Arc::clone(plugin), Arc::clone(&progress));
        let pause = move || {
            here.has_begun.store(true, Ordering::Release);
            paused.pause();
            here.has_returned.store(true, Ordering::Release);
        };
        let thread = thread::Builder::new().name("paused".to_owned()).spawn(pause);
        thread.map_err(|error| {
            plugin.cancel_pause();
            Unavailable::thread("paused", &error)
        })?;
        let stop = self.runtime.stop().clone();
        self.runtime.spawn("pause", async move {
            // Looked at when the time is up: to wake a task takes something of the thread that runs the plugin's code.
            let is_time = stop.run_until_cancelled(sleep(timeout)).await.is_some();
            if is_time && progress.has_begun.load(Ordering::Acquire) && !progress.has_returned.load(Ordering::Acquire) {
                late(&timed_out("paused", timeout));
            }
        });
        Ok(())
    }

    /// Tells an instance that it may get Submits again, if it is paused. It must not serve before.
    ///
    /// # Errors
    /// When it panics, that takes longer than `timeout` (a `paused` that has not returned yet is waited for as well), there is no
    /// thread for it, or the host ends.
    pub fn resume(&self, plugin: &Arc<Plugin>, timeout: Duration) -> Result<(), LoadError> {
        if !plugin.is_paused() {
            return Ok(());
        }
        let resumed = Arc::clone(plugin);
        within(timeout, &self.runtime, "resumed", move || Ok(resumed.resume()?), |_| {})
    }
}
