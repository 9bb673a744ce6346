//! `host open FILE`: the child process of `host check --load`. Not for people.

use std::path::PathBuf;

use clap::Args;

use crate::config::Config;
use crate::plugin::trial;

#[derive(Debug, Args)]
pub(super) struct Open {
    /// The configuration file: policy, staging directory and time limits.
    #[arg(long, value_name = "FILE")]
    plugins: Option<PathBuf>,
    /// The file to open.
    file: PathBuf,
}

impl Open {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let config = match &self.plugins {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        trial::open(&self.file, &config)?;
        Ok(super::GOOD)
    }
}
