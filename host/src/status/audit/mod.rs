//! The log's events of what serves and what does not.

pub mod refusals;
pub mod versions;
