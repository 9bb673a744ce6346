//! What the tests are made of: real plugin crates built by cargo, the real host as a process, and a client that speaks
//! bytes. Everything panics on what a test can't go on from, with all there is to know about it.
#![allow(clippy::unwrap_used, missing_docs)] // a test's helper may panic, and its name is its meaning

pub mod bad;
pub mod cargo;
pub mod client;
pub mod contents;
pub mod control;
pub mod crates;
pub mod false_host;
pub mod files;
pub mod follow;
pub mod host;
pub mod inside;
pub mod installing;
pub mod interface;
pub mod ledger;
mod log;
pub mod macho;
pub mod native;
pub mod report;
pub mod scene;
pub mod schedule;
pub mod swaps;
pub mod traffic;
pub mod truth;
