//! What `loop_handover` synchronises with. It stands apart so that a model checker can put its own in its place: `tests/handover`
//! runs the same source through every order of events.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};
pub(super) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
