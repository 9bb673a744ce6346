//! One model of what a host is about: an immutable [`snapshot`] with the last events ([`history`]), published with each
//! [`change`]. The log, `host check` and JSON show it. Decides nothing about what serves, and remembers only what was reported
//! already ([`reported`]).

pub mod audit_log;
pub mod change;
pub mod change_kind;
pub mod history;
pub mod publisher;
pub mod report;
pub mod reported;
pub mod snapshot;
pub mod submit_totals;
