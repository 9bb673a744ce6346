//! A report of `host check` for people: one table for all files, and the cures.

use std::path::Path;

use comfy_table::Table;
use plugin_record::{Code, NoteCode, Refusal, printable};

use super::heading::{heading, is_of};
use super::only_now::{OnlyNow, only_now};
use super::plugins::{PluginSummary, is_alias, summaries};
use super::running::Running;

use crate::admission::host_record::host_record;
use crate::admission::names;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::config::{Config, Source};
use crate::logging::FieldValue;
use crate::shell::quoted;
use crate::status::report::{FileReport, MisnamedReport, Report, State};
use crate::unavailable::Unavailable;

/// Prints a report as tables and cures, for people: a summary first, each plugin once, then what there is to say of files.
pub(super) fn print(report: &Report, running: &Running, directory: &Path, config: &Config) -> Result<(), Failure> {
    let view = running.status().map(|status| &*status.view);
    let plugins = summaries(report, view);
    heading(report, running, &plugins, directory)?;
    match plugins.is_empty() {
        false => output::line(&plugin_table(&plugins, view.is_some()).to_string())?,
        true if report.files.is_empty() => output::line("no plugins")?,
        true => {}
    }
    let view = view.filter(|view| is_of(view, directory));
    let now = view.map(|view| only_now(view, report)).unwrap_or_default();
    details(report, &now, directory, config)
}

/// Prints what there is to say of single files: what the host that runs makes of those in its directory as well.
pub(super) fn print_files(
    report: &Report,
    running: &Running,
    directory: &Path,
    config: &Config,
) -> Result<(), Failure> {
    let is_there = |file: &&FileReport| file.file.parent() == Some(directory);
    let there: Vec<&FileReport> = report.files.iter().filter(is_there).collect();
    let view = running
        .status()
        .map(|status| &*status.view)
        .filter(|view| !there.is_empty() && is_of(view, directory));
    let is_named = |file: &FileReport| {
        there
            .iter()
            .any(|other| other.file.file_name() == file.file.file_name())
    };
    for file in view.iter().flat_map(|view| &view.files).filter(|file| is_named(file)) {
        output::line(&format!("running now: {}: {}", file.title(), state_text(file.state)))?;
    }
    if view.is_none() && !there.is_empty() {
        output::line(&format!("running now: {}", running.title()))?;
    }
    let mut now = view.map(|view| only_now(view, report)).unwrap_or_default();
    now.retain(|reason| reason.file().is_some_and(is_named));
    details(report, &now, directory, config)
}

/// Files and reasons, each once, then the cures.
fn details(report: &Report, now: &[OnlyNow<'_>], directory: &Path, config: &Config) -> Result<(), Failure> {
    let files: Vec<&FileReport> = report.files.iter().filter(|file| !is_alias(file, report)).collect();
    let tables = [
        file_table(&files, directory),
        reason_table(&files, report, now, directory),
    ];
    for table in tables.into_iter().flatten() {
        output::line(&table.to_string())?;
    }
    for file in &files {
        output::cures(&title(file, directory), &file.refusals)?;
        if let Some(unavailable) = &file.unavailable {
            output::line(&format!(
                "what {} needs:\n  {}",
                title(file, directory),
                unavailable.cure
            ))?;
        }
        if let Some(line) = rebuild(file, &config.source) {
            output::line(&format!("  then:\n    {line}"))?;
        }
    }
    for plugin in &report.plugins {
        output::cures(&plugin.plugin, [&plugin.refusal])?;
    }
    for reason in now {
        cure_now(reason)?;
    }
    for code in NoteCode::ALL {
        let mut notes = report.files.iter().flat_map(|file| &file.notes);
        if let Some(note) = notes.find(|note| note.code == *code) {
            output::line(&format!("note {}: {}", code.as_str(), note.text))?;
        }
    }
    not_served(&files, report, directory, config)
}

/// What has no fault and does not serve, each with the command that would have it serve.
fn not_served(files: &[&FileReport], report: &Report, directory: &Path, config: &Config) -> Result<(), Failure> {
    for file in files {
        if let Some(idle) = &file.idle {
            let title = title(file, directory);
            output::line(&format!("{title} does not serve: {}\n    {}", idle.text, idle.cure))?;
        }
    }
    for file in &report.unversioned {
        let name = relative(file, directory);
        output::line(&format!(
            "{name} does not serve: its name has no version\n    host install {} --plugins {}",
            quoted(file),
            config.source.quoted()
        ))?;
    }
    for MisnamedReport { file, cure } in &report.misnamed {
        let name = relative(file, directory);
        output::line(&format!("{name} does not serve: its name is no plugin's\n    {cure}"))?;
    }
    Ok(())
}

/// A row for each plugin.
fn plugin_table(plugins: &[PluginSummary], is_running: bool) -> Table {
    let mut table = output::table();
    match is_running {
        true => table.set_header(["plugin", "running now", "at the next start"]),
        false => table.set_header(["plugin", "at the next start"]),
    };
    for plugin in plugins {
        let of_name = plugins.iter().filter(|other| other.plugin == plugin.plugin).count();
        let title = match &plugin.soname {
            Some(soname) if of_name > 1 => printable(format!("{} ({soname})", plugin.plugin)),
            _ => printable(plugin.plugin.clone()),
        };
        match is_running {
            true => table.add_row([title, plugin.shown_now(), plugin.shown_next(true)]),
            false => table.add_row([title, plugin.shown_next(false)]),
        };
    }
    table
}

/// What would mend a reason that the host that runs has alone.
fn cure_now(reason: &OnlyNow<'_>) -> Result<(), Failure> {
    match reason {
        OnlyNow::Refused(file, refusal) => output::cures(&file.title(), [*refusal]),
        OnlyNow::Unavailable(lack) => {
            output::line(&format!("what {} needs:\n  {}", lack.of.file, lack.unavailable.cure))
        }
        OnlyNow::Idle(file, idle) => output::line(&format!(
            "{} does not serve now: {}\n    {}",
            file.title(),
            idle.text,
            idle.cure
        )),
    }
}

/// A path as it is below the plugin directory.
fn relative(file: &Path, directory: &Path) -> String {
    printable(file.strip_prefix(directory).unwrap_or(file).display().to_string())
}

fn title(file: &FileReport, directory: &Path) -> String {
    match &file.link {
        Some(target) => printable(format!("{} -> {}", relative(&file.file, directory), target.display())),
        None => relative(&file.file, directory),
    }
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

/// The files that there is nothing to say against.
fn file_table(files: &[&FileReport], directory: &Path) -> Option<Table> {
    let mut table = output::table();
    let is_foreign = files.iter().all(|file| file.state == State::Admitted);
    table.set_header(["file", if is_foreign { "verdict" } else { "at the next start" }]);
    let good = files
        .iter()
        .filter(|file| file.refusals.is_empty() && file.unavailable.is_none());
    for file in good {
        table.add_row([title(file, directory), verdict(file)]);
    }
    (!table.is_empty()).then_some(table)
}

/// A row for each reason: refusals, accepted differences, notes, and what is unavailable.
fn reason_table(files: &[&FileReport], report: &Report, now: &[OnlyNow<'_>], directory: &Path) -> Option<Table> {
    let mut table = output::table();
    table.set_header(["file", "field", "host", "plugin", "verdict"]);
    for file in files {
        let title = title(file, directory);
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
            table.add_row(unavailable_row(title, unavailable, "unavailable"));
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
    for reason in now {
        match reason {
            OnlyNow::Refused(file, refusal) => {
                table.add_row(row(&file.title(), refusal, "refused now"));
            }
            OnlyNow::Unavailable(lack) => {
                let title = printable(lack.of.file.clone());
                table.add_row(unavailable_row(title, &lack.unavailable, "unavailable now"));
            }
            OnlyNow::Idle(..) => {}
        }
    }
    (!table.is_empty()).then_some(table)
}

fn unavailable_row(title: String, unavailable: &Unavailable, verdict: &str) -> [String; 5] {
    let verdict = format!("{verdict}: {}", unavailable.code.as_str());
    let (field, found) = (unavailable.field.clone(), unavailable.found.clone());
    [title, field, String::new(), found, verdict]
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
        State::Admitted => {
            // The name of a file from elsewhere may say nothing.
            let name = file.plugin.as_deref().unwrap_or_default();
            let version = file.version.as_deref().unwrap_or_default();
            printable(format!("{name} {version} admitted{differences}; layout: {layout}{tls}"))
        }
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

/// What a host that runs has made of a file.
fn state_text(state: State) -> &'static str {
    match state {
        State::Admitted => "admitted",
        State::Candidate => "still being written",
        State::Serving => "serves",
        State::Draining => "drains: calls into it have not returned",
        State::Standby => "does not serve",
        State::Disabled => "switched off",
        State::Refused => "refused",
        State::Unavailable => "unavailable, and tried again",
    }
}
