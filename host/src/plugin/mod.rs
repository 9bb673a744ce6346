//! From a file to a plugin that answers. Each step takes the type that the step before it made, so a check can't be left
//! out: a path becomes an [`Entry`](directory::Entry), its file is [`Staged`](stage::Staged), read into an
//! [`Inspection`](inspect::Inspection), judged to be [`Admitted`](admit::Admitted), opened as a
//! [`Library`](load::Library), and initialised as a [`Plugin`].

pub mod admit;
pub mod claims;
mod data_dir;
mod deadline;
pub mod directory;
pub mod glibc;
pub mod hints;
pub mod host_record;
pub mod idle;
pub mod inspect;
pub mod install;
pub mod instance;
pub mod instances;
pub mod judge;
mod linker;
pub mod links;
pub mod load;
mod log;
pub mod manager;
pub mod misnamed;
pub mod name;
pub mod numbers;
pub mod permissions;
pub mod report;
pub mod serving;
pub mod settle;
pub mod side_effects;
pub mod stage;
pub mod static_tls;
pub mod survey;
pub mod swap;
pub mod system;
pub mod told;
pub mod trial;
pub mod unavailable;
pub mod unserved;
mod watch;
pub mod wishes;

pub use instance::Plugin;
pub use plugin_record::{Code, Refusal};
