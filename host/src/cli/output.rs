//! Decides how results are printed: tables for people, on standard output.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use plugin_record::Refusal;
use serde::Serialize;

use super::failure::{Failure, OutputError};

/// Prints a value as indented JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    line(&serde_json::to_string_pretty(value)?)
}

/// Prints one line.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    Ok(writeln!(io::stdout(), "{text}").map_err(OutputError::from)?)
}

/// Refusals or accepted differences, side by side.
pub(super) fn comparison(rows: &[Refusal]) -> String {
    let mut table = table();
    table.set_header(["code", "field", "host", "plugin"]);
    for row in rows {
        table.add_row([row.code.as_str(), &row.field, &row.host, &row.plugin]);
    }
    table.to_string()
}

/// What to do about the refusals of one file, one line for each cure. One that cures several is said once.
pub(super) fn cures<'a>(title: &str, refusals: impl IntoIterator<Item = &'a Refusal>) -> Result<(), Failure> {
    let mut cures: Vec<(Vec<&str>, &str)> = Vec::new();
    for refusal in refusals {
        match cures.iter_mut().find(|(_, cure)| *cure == refusal.cure) {
            Some((codes, _)) => codes.push(refusal.code.as_str()),
            None => cures.push((vec![refusal.code.as_str()], &refusal.cure)),
        }
    }
    if !cures.is_empty() {
        line(&format!("cures for {title}:"))?;
    }
    for (codes, cure) in cures {
        line(&format!("  {}:\n    {cure}", codes.join(", ")))?;
    }
    Ok(())
}

/// An empty table: as wide as the terminal, or as wide as it needs to be elsewhere.
pub(super) fn table() -> Table {
    let mut table = Table::new();
    match std::io::stdout()
        .is_terminal()
        .then(|| rustix::termios::tcgetwinsize(std::io::stdout()))
    {
        Some(Ok(size)) => table
            .load_style(presets::UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(size.ws_col),
        _ => table
            .load_style(presets::ASCII_MARKDOWN)
            .set_content_arrangement(ContentArrangement::Disabled),
    };
    table
}
