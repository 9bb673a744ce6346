//! Files of any kind: when one counts as complete ([`stability`]), and which one it is ([`identity`]). Reads and judges no
//! content.

pub mod identity;
pub mod private_directory;
pub mod stability;
