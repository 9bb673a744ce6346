//! Who answers a command: the one place where the packet path and plugins meet. The manager puts a table in force, the packet
//! path looks it up; neither knows the other.

pub mod routes;
