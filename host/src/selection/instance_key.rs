//! Decides what distinguishes one instance of a plugin from another: there is at most one live instance for each key.

use crate::admission::stage::Digest;

/// What an instance is made of: a library's content, and the configuration that its init is given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstanceKey {
    /// Of the library.
    pub digest: Digest,
    /// What its init is given, as JSON.
    pub config: String,
}
