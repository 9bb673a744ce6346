//! Standby: an instance that serves nothing is paused, and resumed before it serves again. The plugin's code for both has a time
//! limit, as init has.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use plugin_record::Refusal;

use super::Plugin;
use super::call_with_deadline::within;
use super::instances::Instances;
use crate::unavailable::{LoadError, Unavailable};

impl Instances {
    /// Has an instance told that it gets no more Submits until it is resumed, unless it knows. Only for one that has drained. Waits
    /// for nothing: `late` learns of a plugin that does not return within `timeout`; it is paused all the same.
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
        let (paused, runtime) = (Arc::clone(plugin), self.runtime.clone());
        // A thread and no task of the control plane: it may be the last to let go of the plugin, whose code then runs.
        let pause = move || {
            runtime.prime();
            let here = Arc::clone(&paused);
            let work = move || {
                here.pause();
                Ok(())
            };
            match within(timeout, &runtime, "paused", work, |_| {}) {
                Err(LoadError::Refused(refusal)) => late(&refusal),
                Err(LoadError::Unavailable(_)) => paused.pause(),
                Ok(()) | Err(LoadError::Stopping) => {}
            }
        };
        let thread = thread::Builder::new().name("pause".to_owned()).spawn(pause);
        thread.map(drop).map_err(|error| {
            plugin.cancel_pause();
            Unavailable::thread("paused", &error)
        })
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
