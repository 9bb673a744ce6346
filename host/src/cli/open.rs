//! `host open`: the child process that opens libraries before the host does; see `plugin::trial`. Not for people.

use clap::Args;

use crate::runtime::load_check;

#[derive(Debug, Args)]
pub(super) struct Open {}

impl Open {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        load_check::run_child()?;
        Ok(super::GOOD)
    }
}
