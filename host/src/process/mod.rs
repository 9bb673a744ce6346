//! The process itself: how it ends and when it is time to, the runtime that waits for all that is no packet, its descriptors and
//! how many it may have. Knows nothing of plugins or connections.

pub mod async_runtime;
pub mod descriptors;
pub mod exit;
pub mod open_files;
pub mod sentinel;
