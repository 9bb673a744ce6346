//! Holds the values that the log, `host check` and JSON show. Decides nothing, and remembers only what the log has reported
//! already.

pub mod audit_log;
pub mod report;
pub mod serving_file;
pub mod submit_totals;
