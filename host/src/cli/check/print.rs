//! A report of `host check` for people: one table for all files, and the cures.

use std::path::Path;

use comfy_table::Table;
use plugin_record::{Code, NoteCode, Refusal, printable};

use super::plugins::{PluginSummary, summaries};
use super::running::Running;

use crate::admission::host_record::host_record;
use crate::admission::names;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::config::{Config, Source};
use crate::logging::FieldValue;
use crate::selection::idle::Idle;
use crate::shell::quoted;
use crate::status::report::{FileReport, MisnamedReport, Report, State};
use crate::status::snapshot::{Lack, View};
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
    let now = view.map(|view| only_now(view, report)).unwrap_or_default();
    details(report, &now, directory, config)
}

/// Prints what there is to say of single files.
pub(super) fn print_files(report: &Report, directory: &Path, config: &Config) -> Result<(), Failure> {
    details(report, &[], directory, config)
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
        reason.print_cure()?;
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

/// Says which host runs with a configuration that can't be used, and what it serves.
pub(super) fn running_alone(running: &Running) -> Result<(), Failure> {
    let Some(status) = running.status() else { return Ok(()) };
    output::line(&format!(
        "running now: {}, with the configuration that was good last: {}",
        running.title(),
        counted(&status.view)
    ))
}

/// What serves now and what at the next start, in a line each.
fn heading(report: &Report, running: &Running, plugins: &[PluginSummary], directory: &Path) -> Result<(), Failure> {
    output::line(&format!(
        "plugin directory: {}",
        printable(directory.display().to_string())
    ))?;
    match running.status() {
        None => output::line(&format!("running now: {}", running.title()))?,
        Some(status) => {
            output::line(&format!("running now: {}: {}", running.title(), counted(&status.view)))?;
            if let Some(error) = &status.view.configuration_error {
                output::line(&format!("  with an older configuration: {}", printable(error.clone())))?;
            }
            if !status.view.watch {
                output::line(&format!(
                    "  it looks only when it is told to (plugins.watch = false): kill -HUP {}",
                    status.host.pid
                ))?;
            }
        }
    }
    let serving = plugins.iter().filter(|plugin| plugin.next.is_some()).count();
    let refused = report.files.iter().filter(|file| !is_alias(file, report));
    let refused = refused.filter(|file| file.state == State::Refused).count();
    let changed: Vec<&str> = plugins
        .iter()
        .filter(|plugin| plugin.changes())
        .map(|plugin| plugin.plugin.as_str())
        .collect();
    let changes = match (running.status().is_some(), changed.is_empty()) {
        (false, _) => String::new(),
        (true, true) => "; nothing changes".to_owned(),
        (true, false) => format!("; changed: {}", printable(changed.join(", "))),
    };
    output::line(&format!("at the next start: {}{changes}", count(serving, refused)))
}

fn count(serving: usize, refused: usize) -> String {
    let unit = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let serving = unit(serving, "plugin serves", "plugins serve");
    match refused {
        0 => serving,
        refused => format!("{serving}, {}", unit(refused, "file is refused", "files are refused")),
    }
}

fn counted(view: &View) -> String {
    let serving = view
        .instances
        .iter()
        .filter(|instance| instance.state == State::Serving);
    let refused = view
        .files
        .iter()
        .filter(|file| file.state == State::Refused && file.link.is_none());
    count(serving.count(), refused.count())
}

/// Whether a link says no more than the file that it leads to.
fn is_alias(file: &FileReport, report: &Report) -> bool {
    let target = file.link.as_ref().and_then(|link| Some(file.file.parent()?.join(link)));
    let same = |other: &FileReport| other.digest == file.digest && other.refusals == file.refusals;
    target.is_some_and(|target| report.files.iter().any(|other| other.file == target && same(other)))
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

/// Why something does not serve in the host that runs, where a start would have no such reason.
enum OnlyNow<'a> {
    Refused(&'a FileReport, &'a Refusal),
    Unavailable(&'a Lack),
    Idle(&'a FileReport, &'a Idle),
}

impl OnlyNow<'_> {
    fn print_cure(&self) -> Result<(), Failure> {
        match self {
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
}

/// What a host that runs refuses, lacks, or leaves out, and a start would not.
fn only_now<'a>(view: &'a View, report: &Report) -> Vec<OnlyNow<'a>> {
    let next = |file: &FileReport| {
        let name = file.file.file_name();
        report
            .files
            .iter()
            .find(|other| other.file.file_name() == name && other.digest == file.digest)
    };
    let mut all = Vec::new();
    for file in view.files.iter().filter(|file| file.link.is_none()) {
        let next = next(file);
        for refusal in &file.refusals {
            let is_next = next.is_some_and(|next| next.refusals.contains(refusal));
            let is_of_plugin = report
                .plugins
                .iter()
                .any(|plugin| plugin.refusal.code == refusal.code && Some(&plugin.plugin) == file.plugin.as_ref());
            if !is_next && !is_of_plugin {
                all.push(OnlyNow::Refused(file, refusal));
            }
        }
        if let (Some(idle), Some(next)) = (&file.idle, next)
            && next.state == State::Serving
        {
            all.push(OnlyNow::Idle(file, idle));
        }
    }
    let lacks = view.unavailable.iter();
    let is_next = |lack: &&Lack| {
        let mut files = report.files.iter().filter_map(|file| file.unavailable.as_ref());
        files.any(|unavailable| unavailable.code == lack.unavailable.code)
    };
    all.extend(lacks.filter(|lack| !is_next(lack)).map(OnlyNow::Unavailable));
    all
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
    table.set_header(["file", "verdict"]);
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
