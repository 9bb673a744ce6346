//! Who answers a command: decides nothing by itself, but holds what was decided. The manager puts a route table in force
//! ([`routes`]), which maps commands to targets ([`target`]); the packet path looks targets up and calls them. Neither knows the
//! other. Dispatch never touches sockets, files or the configuration.

pub mod routes;
pub mod target;
