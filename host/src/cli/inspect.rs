//! `host inspect FILE`: the record and facts that a file carries, for whatever machine it is. Judges nothing.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use plugin_record::{Note, Record, notes, printable};
use serde::Serialize;

use super::failure::Failure;
use super::output;
use crate::admission::static_tls::StaticTls;
use crate::admission::{inspect as inspection, stage};
use crate::logging::FieldValue;

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// The plugin's file.
    file: PathBuf,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// What there is to say in JSON.
#[derive(Serialize)]
struct Inspected {
    #[serde(flatten)]
    record: Record,
    #[serde(skip_serializing_if = "Option::is_none")]
    static_tls: Option<StaticTls>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<Note>,
}

impl Inspect {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let file = self.file.display().to_string();
        let bytes = stage::read(&self.file).map_err(|refusal| anyhow::anyhow!("{file}: {refusal}"))?;
        let inspection = inspection::read(&bytes).with_context(|| file.clone())?;
        let record = inspection.record.with_context(|| file)?;
        let static_tls = inspection.needs.static_tls;
        let notes = notes(&record);
        match self.json {
            true => output::json(&Inspected {
                record,
                static_tls,
                notes,
            })?,
            false => {
                print(&record)?;
                output::line(&format!("file        {}", inspection.machine))?;
                output::line(&format!(
                    "soname      {}",
                    inspection.soname.as_deref().unwrap_or("none")
                ))?;
                let static_tls = static_tls.map_or_else(|| "none".to_owned(), |need| need.to_string());
                output::line(&format!("static TLS  {static_tls}"))?;
                for note in notes {
                    output::line(&format!("note        {note}"))?;
                }
            }
        }
        Ok(super::GOOD)
    }
}

/// A record for people. Its texts come from a file that is not trusted.
pub(super) fn print(record: &Record) -> Result<(), Failure> {
    let line = |text: String| output::line(&printable(text));
    line(format!("name        {} {}", record.name, record.version))?;
    if !record.description.is_empty() {
        line(format!("description {}", record.description))?;
    }
    if !record.commands.is_empty() {
        line(format!("commands    {}", FieldValue::commands(&record.commands)))?;
    }
    line(format!(
        "compiler    {}, {}",
        record.compiler.version_line, record.compiler.channel
    ))?;
    line(format!(
        "target      {}, {}-bit pointers, panic = {}",
        record.target, record.pointer_width, record.panic
    ))?;
    let build = &record.build;
    let git = build
        .git
        .as_deref()
        .map(|git| format!(", git {git}"))
        .unwrap_or_default();
    line(format!(
        "build       {}, opt-level {}{git}",
        build.profile, build.opt_level
    ))?;
    let mut table = output::table();
    table.set_header(["package", "version", "identity", "native", "features"]);
    for package in record.packages.iter().skip(1) {
        let native = match package.native {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        table.add_row([
            printable(package.name.clone()),
            package.version.to_string(),
            package.identity.to_string(),
            native.to_owned(),
            printable(package.features.join(" ")),
        ]);
    }
    output::line(&table.to_string())
}
