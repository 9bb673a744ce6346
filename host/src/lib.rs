//! A dynamic plugin host for packet handlers. Two flows meet in the route table: a packet's (server, connection, wire,
//! routes, plugin) and a plugin's (directory, stage, inspect, admit, load, manager). ARCHITECTURE.md has the map.

pub mod config;
pub mod logging;

pub mod connection;
mod descriptors;
pub mod exit;
pub mod limits;
pub mod result;
pub mod routes;
pub mod server;
pub mod shell;
pub mod shutdown;
pub mod totals;
pub mod wire;

pub mod plugin;

pub mod bench;
pub mod cli;
