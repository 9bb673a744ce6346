//! Standby: an instance that serves nothing is paused, and resumed before it serves again. The plugin's code for both has a time
//! limit, as init has.

use std::sync::Arc;
use std::time::Duration;

use super::Plugin;
use super::deadline::within;
use super::instances::Instances;
use crate::unavailable::LoadError;

impl Instances {
    /// Tells an instance that it gets no more Submits until it is resumed, unless it knows. Only for one that has drained.
    ///
    /// # Errors
    /// When that takes longer than `timeout`, there is no thread for it, or the host ends; the instance is paused all the same.
    pub fn pause(&self, plugin: &Arc<Plugin>, timeout: Duration) -> Result<(), LoadError> {
        if plugin.is_paused() {
            return Ok(());
        }
        let paused = Arc::clone(plugin);
        let pause = move || {
            paused.pause();
            Ok(())
        };
        within(timeout, &self.stop, "paused", pause, |_| {})
    }

    /// Tells an instance that it may get Submits again, if it is paused. It must not serve before.
    ///
    /// # Errors
    /// When it panics, that takes longer than `timeout` (a `paused` that has not returned yet is waited for as well), there is no thread for it, or the host ends.
    pub fn resume(&self, plugin: &Arc<Plugin>, timeout: Duration) -> Result<(), LoadError> {
        if !plugin.is_paused() {
            return Ok(());
        }
        let resumed = Arc::clone(plugin);
        within(timeout, &self.stop, "resumed", move || Ok(resumed.resume()?), |_| {})
    }
}
