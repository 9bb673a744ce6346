//! Holds what is known of a replaced handler until its last call has returned. Decides nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::runtime::Plugin;
use crate::selection::instance_key::InstanceKey;

/// A handler that new batches don't reach any more.
pub(super) struct Draining {
    pub(super) key: InstanceKey,
    pub(super) plugin: Arc<Plugin>,
    pub(super) since: Instant,
    /// How long it took until its last batch had returned.
    pub(super) drained: Option<Duration>,
    /// Whether the log says that it takes long.
    pub(super) is_reported: bool,
}
