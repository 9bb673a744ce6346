//! `host open`: the child process that opens libraries before the host does; see `runtime::load_check`. Not for people.

use clap::Args;

use super::failure::Failure;
use crate::runtime::load_check;

#[derive(Debug, Args)]
pub(super) struct Open {}

impl Open {
    pub(super) fn run(self) -> Result<u8, Failure> {
        load_check::run_child()?;
        Ok(super::GOOD)
    }
}
