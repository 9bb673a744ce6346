//! Makes what runs equal to what should run: one thread that makes pass after pass over the plugin directory and the
//! configuration (`reconcile`), each ending in at most one new route table (`pass`). The first pass is the start, and every
//! later one does the same with more to go by. Which version serves and which plugin gets which command is decided in
//! `selection`, not here.
//!
//! A pass has two phases: everything that should serve is opened and its configuration checked (`open`), then handlers are
//! made or resumed (`init`), then links are moved (`links`) and one route table is published (`publish`). What fails is left
//! out, and the pass plans again; so a failed newcomer leaves the version that serves alone.

mod drain;
mod draining;
pub mod events;
mod init;
pub mod install;
mod links;
mod open;
mod pass;
mod pass_inputs;
mod predecessor;
mod publish;
mod reconcile;
mod required;
mod start;
mod start_error;
mod state;
mod view;
mod watcher;

pub use start::{Running, read, start};
pub use start_error::StartError;
