//! The only place where code of plugins runs: opened in a child process first ([`load_check`]), opened here ([`library`]),
//! initialised and called ([`instance`], [`plugin`]), kept ([`instances`]), each step with a time limit
//! ([`call_with_deadline`]). Takes nothing that is not [`Admitted`](crate::admission::admit::Admitted); knows no sockets, and
//! does not decide what should run.

pub mod call_with_deadline;
pub mod data_dir;
pub mod instance;
pub mod instance_numbers;
pub mod instances;
pub mod library;
pub mod linker_errors;
pub mod load_check;
mod opening;
pub mod plugin;
pub mod plugin_log;
pub mod retired;
pub mod side_effects;
mod standby;

pub use plugin::Plugin;
