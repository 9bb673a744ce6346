//! `host check`: admission without running anything of a plugin.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use comfy_table::Table;

use super::output;
use crate::config::Config;
use crate::plugin::Refusal;
use crate::plugin::claims::settle;
use crate::plugin::manager::Commands;
use crate::plugin::report::{FileReport, Report, State};
use crate::plugin::stage::Staging;
use crate::plugin::survey::{Survey, judge_foreign, survey};

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Check {
    /// The configuration file: its policy, and the plugin directory that is judged when no files are named.
    #[arg(long, value_name = "FILE")]
    plugins: Option<PathBuf>,
    /// The files to judge. One that lies in the plugin directory is judged as such, any other by itself.
    #[arg(required_unless_present = "plugins")]
    files: Vec<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = match &self.plugins {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        let staging = Staging::create(config.plugins.staging.as_deref())?;
        let survey = match self.plugins.is_some() && config.plugins.dir.exists() {
            true => survey(&config.plugins.dir, &staging, &config.policy)?,
            false => Survey::nothing(&config.plugins.dir),
        };
        let mut report = Report::new(&survey, &settle(&survey, &config));
        if !self.files.is_empty() {
            report = self.only_named(report, &survey, &staging, &config)?;
        }
        match self.json {
            true => output::json(&report)?,
            false => print(&report)?,
        }
        Ok(ExitCode::from(if report.has_refusals() { super::FAILED } else { 0 }))
    }

    fn only_named(&self, whole: Report, survey: &Survey, staging: &Staging, config: &Config) -> anyhow::Result<Report> {
        let known = whole.files;
        let mut files = Vec::with_capacity(self.files.len());
        for file in &self.files {
            // The entry itself, not what it leads to: only the folder's part of the path is made canonical.
            let folder = file.parent().map(|parent| {
                if parent.as_os_str().is_empty() {
                    ".".as_ref()
                } else {
                    parent
                }
            });
            let folder = folder.and_then(|parent| parent.canonicalize().ok());
            let entry = folder.zip(file.file_name()).map(|(folder, name)| folder.join(name));
            files.push(match known.iter().find(|report| Some(&report.file) == entry.as_ref()) {
                Some(report) => report.clone(),
                None => FileReport::new(file.clone(), None, &judge_foreign(file, staging, &config.policy)),
            });
        }
        let of_these = |plugin: &str| files.iter().any(|file| file.plugin.as_deref() == Some(plugin));
        let in_directory = files.iter().any(|file| file.file.starts_with(&survey.directory));
        let plugins = whole
            .plugins
            .into_iter()
            .filter(|report| in_directory && of_these(&report.plugin))
            .collect();
        Ok(Report {
            files,
            plugins,
            unversioned: Vec::new(),
        })
    }
}

fn print(report: &Report) -> anyhow::Result<()> {
    if report.files.is_empty() && report.plugins.is_empty() {
        output::line("no plugins")?;
    } else {
        output::line(&table(report).to_string())?;
    }
    let cures = report
        .refusals()
        .map(|(title, refusal)| (title, refusal.code, &refusal.cure));
    output::cures(cures)?;
    for file in &report.unversioned {
        output::line(&format!(
            "{}: not served, its name has no version; `host install {} --plugins FILE` gives it one",
            file.display(),
            file.display()
        ))?;
    }
    Ok(())
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
        if file.refusals.is_empty() {
            let plugin = match (&file.plugin, &file.version) {
                (Some(plugin), Some(version)) => format!("{plugin} {version}"),
                _ => String::new(),
            };
            table.add_row([title, String::new(), String::new(), plugin, verdict(file)]);
        }
    }
    for plugin in &report.plugins {
        table.add_row(row(&plugin.plugin, &plugin.refusal, "not served"));
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
    match file.state {
        State::Admitted => format!("admitted{differences}; layout: at load"),
        State::Serving => format!("serves {}{differences}; layout: at load", Commands(&file.commands)),
        State::Standby => format!("admitted{differences}, does not serve"),
        State::Refused => "refused".to_owned(),
    }
}
