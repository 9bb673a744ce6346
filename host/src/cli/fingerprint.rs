//! `host fingerprint`: the host's own record.

use std::process::ExitCode;

use clap::Args;

use super::{inspect, output};
use crate::plugin::host_record::host_record;

#[derive(Debug, Args)]
pub(super) struct Fingerprint {
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

impl Fingerprint {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.json {
            true => output::json(host_record())?,
            false => inspect::print(host_record())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
