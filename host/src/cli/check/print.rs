//! A report of `host check` for people: one table for all files, and the cures.

use comfy_table::Table;
use plugin_record::{Code, NoteCode, Refusal};

use crate::admission::host_record::host_record;
use crate::admission::names;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::config::{Config, Source};
use crate::logging::FieldValue;
use crate::shell::quoted;
use crate::status::report::{FileReport, MisnamedReport, Report, State};

/// Prints a report as tables and cures, for people.
pub(super) fn print(report: &Report, config: &Config) -> Result<(), Failure> {
    if report.files.is_empty() && report.plugins.is_empty() {
        output::line("no plugins")?;
    } else {
        output::line(&table(report).to_string())?;
    }
    for file in &report.files {
        output::cures(&file.title(), &file.refusals)?;
        if let Some(unavailable) = &file.unavailable {
            output::line(&format!("what {} needs:\n  {}", file.title(), unavailable.cure))?;
        }
        if let Some(line) = rebuild(file, &config.source) {
            output::line(&format!("  then:\n    {line}"))?;
        }
    }
    for plugin in &report.plugins {
        output::cures(&plugin.plugin, [&plugin.refusal])?;
    }
    for code in NoteCode::ALL {
        let mut notes = report.files.iter().flat_map(|file| &file.notes);
        if let Some(note) = notes.find(|note| note.code == *code) {
            output::line(&format!("note {}: {}", code.as_str(), note.text))?;
        }
    }
    for file in &report.files {
        if let Some(idle) = &file.idle {
            output::line(&format!(
                "{} does not serve: {}\n    {}",
                file.title(),
                idle.text,
                idle.cure
            ))?;
        }
    }
    for file in &report.unversioned {
        output::line(&format!(
            "{} does not serve: its name has no version\n    host install {} --plugins {}",
            file.display(),
            quoted(file),
            config.source.quoted()
        ))?;
    }
    for MisnamedReport { file, cure } in &report.misnamed {
        output::line(&format!(
            "{} does not serve: its name is no plugin's\n    {cure}",
            plugin_record::printable(file.display().to_string())
        ))?;
    }
    Ok(())
}

/// What ends a list of cures that change what is built: once for all of them.
fn rebuild(file: &FileReport, source: &Source) -> Option<String> {
    let changes_the_build = |refusal: &Refusal| refusal.code == Code::Dependency;
    let plugin = file
        .plugin
        .as_deref()
        .filter(|_| file.refusals.iter().any(changes_the_build))?;
    let build = match file.refusals.iter().any(|refusal| refusal.code == Code::Compiler) {
        true => plugin_record::build_command(host_record(), plugin),
        false => format!("cargo build --release -p {}", plugin_record::quoted(plugin)),
    };
    let library = format!("target/release/lib{}.so", names::stem(plugin));
    Some(format!(
        "{build} && host install {} --replace --plugins {}",
        plugin_record::quoted(&library),
        source.quoted(),
    ))
}

/// One table for all files: a row for each reason, or one that says that there is none.
fn table(report: &Report) -> Table {
    let mut table = output::table();
    table.set_header(["file", "field", "host", "plugin", "verdict"]);
    for file in &report.files {
        let title = file.title();
        for refusal in &file.refusals {
            table.add_row(row(&title, refusal, "refused"));
        }
        for difference in &file.differences {
            table.add_row(row(&title, difference, "accepted"));
        }
        for note in &file.notes {
            let verdict = format!("note: {}", note.code.as_str());
            table.add_row([&title, &*note.field, "", &note.plugin, &verdict]);
        }
        if let Some(unavailable) = &file.unavailable {
            let verdict = format!("unavailable: {}", unavailable.code.as_str());
            table.add_row([
                title.clone(),
                unavailable.field.clone(),
                String::new(),
                unavailable.found.clone(),
                verdict,
            ]);
        } else if file.refusals.is_empty() {
            let plugin = match (&file.plugin, &file.version) {
                (Some(plugin), Some(version)) => plugin_record::printable(format!("{plugin} {version}")),
                _ => String::new(),
            };
            table.add_row([title, String::new(), String::new(), plugin, verdict(file)]);
        }
    }
    for plugin in &report.plugins {
        // The content that it had before goes on serving.
        let verdict = match plugin.refusal.code {
            Code::OtherContent => "not taken over",
            _ => "not served",
        };
        table.add_row(row(&plugin.plugin, &plugin.refusal, verdict));
    }
    table
}

fn row(title: &str, refusal: &Refusal, verdict: &str) -> [String; 5] {
    let verdict = format!("{verdict}: {}", refusal.code.as_str());
    [
        title.to_owned(),
        refusal.field.clone(),
        refusal.host.clone(),
        refusal.plugin.clone(),
        verdict,
    ]
}

fn verdict(file: &FileReport) -> String {
    let differences = if file.differences.is_empty() {
        ""
    } else {
        " with differences"
    };
    let layout = if file.opened { "same" } else { "at load" };
    let tls = file
        .static_tls
        .map_or_else(String::new, |need| format!("; static TLS: {need}"));
    match file.state {
        State::Admitted => format!("admitted{differences}; layout: {layout}{tls}"),
        State::Serving => format!(
            "serves {}{differences}; layout: {layout}{tls}",
            FieldValue::commands(&file.commands)
        ),
        State::Candidate => "not complete yet".to_owned(),
        State::Standby | State::Draining | State::Disabled => format!("admitted{differences}, does not serve{tls}"),
        State::Refused => "refused".to_owned(),
        State::Unavailable => "unavailable".to_owned(),
    }
}
