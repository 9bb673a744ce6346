//! `host fingerprint`: the facts that plugins are compared with, for people and for the builds of plugins. Judges nothing.

use std::path::PathBuf;

use clap::Args;
use plugin_record::Fingerprint as Both;

use super::failure::Failure;
use super::{inspect, output};
use crate::admission::host_record::host_record;
use crate::config::Config;

#[derive(Debug, Args)]
pub(super) struct Fingerprint {
    /// The configuration file: its policy; without it, the default one.
    #[arg(long, value_name = "FILE")]
    plugins: Option<PathBuf>,
    /// Print record and policy as JSON: what PLUGIN_HOST names to the build of a plugin.
    #[arg(long)]
    json: bool,
}

impl Fingerprint {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let config = match &self.plugins {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        let (record, policy) = (host_record().clone(), config.policy);
        if self.json {
            output::json(&Both { record, policy })?;
            return Ok(super::GOOD);
        }
        inspect::print(&record)?;
        if self.plugins.is_some() {
            // As it stands in a configuration, so that it can be compared with one.
            let table = toml::to_string(&std::collections::BTreeMap::from([("policy", policy)]))?;
            output::line(&format!("\n{}", table.trim_end()))?;
        }
        Ok(super::GOOD)
    }
}
