//! Files of any kind: when one counts as complete. Reads and judges no content.

pub mod stability;
