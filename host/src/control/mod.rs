//! How a running host is asked and steered from outside: signals ([`signals`]) and the control socket ([`socket`], [`server`],
//! [`client`]). Passes on what is asked for; what comes of it is decided by those who are asked.

pub mod client;
pub mod reload;
pub mod server;
pub mod signals;
pub mod socket;
pub mod socket_path;
