//! Writes the log's audit events: which version serves, and what does not. Decides nothing about either.

pub mod refusals;
pub mod version_changes;
