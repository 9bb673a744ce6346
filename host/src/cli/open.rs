//! `host open`: the child process that opens libraries before the host does; see `plugin::trial`. Not for people.

use clap::Args;

use crate::plugin::trial;

#[derive(Debug, Args)]
pub(super) struct Open {}

impl Open {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        trial::run_child()?;
        Ok(super::GOOD)
    }
}
