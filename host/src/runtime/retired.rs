//! Holds what is told of an instance that was shut down while the host runs. Decides nothing.

use semver::Version;

use crate::admission::stage::Digest;

/// An instance that was shut down while the host runs.
#[derive(Clone, Debug)]
pub struct Retired {
    /// The plugin's name, its version and its digest.
    pub id: (String, Version, Digest),
    /// Why.
    pub reason: &'static str,
}
