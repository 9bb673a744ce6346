//! A dynamic plugin host for packet handlers. Two flows meet in `dispatch`: a packet's (`net`) and a plugin's (`directory`,
//! `admission`, `selection`, `runtime`, led by `manager`). ARCHITECTURE.md has the map.
//!
//! Each module uses only those before it in this list, and no two use each other; `tests/it/layers.rs` holds that:
//! `shell`, `unavailable`, `process`, `logging`, `files`, `config`, `admission`, `directory`, `selection`, `runtime`, `dispatch`,
//! `net`, `status`, `manager`, `control`, `cli`.

pub mod admission;
pub mod cli;
pub mod config;
pub mod control;
pub mod directory;
pub mod dispatch;
pub mod files;
pub mod logging;
pub mod manager;
pub mod net;
pub mod process;
pub mod runtime;
pub mod selection;
pub mod shell;
pub mod status;
pub mod unavailable;
