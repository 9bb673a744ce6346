//! How a running host is steered from outside. It passes on what it is told; what comes of it is decided by those it is told.

pub mod signals;
