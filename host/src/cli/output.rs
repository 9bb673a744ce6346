//! How results are printed: tables for people, on standard output.

use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::plugin::{Code, Refusal};

/// Prints a value as indented JSON.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// Prints one line. A reader that went away (`| head`) is an error like any other.
pub(super) fn line(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
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

/// What to do about refusals, one line each: whose, which, and the cure. Nothing where there are none.
pub(super) fn cures<'a, T: std::fmt::Display>(
    cures: impl Iterator<Item = (T, Code, &'a String)>,
) -> anyhow::Result<()> {
    let mut cures = cures.peekable();
    if cures.peek().is_some() {
        line("cures:")?;
    }
    for (title, code, cure) in cures {
        line(&format!("  {title}: {}:\n    {cure}", code.as_str()))?;
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
