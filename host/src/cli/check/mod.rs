//! `host check`: admission without running anything of a plugin; with `--load` what only opening it can tell (`load`). What it
//! knows of the host that runs is in `running` and `not_taken_over`, what it says of each plugin in `plugins`, how it is printed in
//! `print`.

mod heading;
mod load;
mod not_taken_over;
mod only_now;
mod plugins;
mod print;
mod running;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use self::only_now::OnlyNow;
use self::plugins::{PluginSummary, summaries};
use self::running::Running;
use crate::admission::admit::Admitted;
use crate::admission::stage::Staging;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::config::Config;
use crate::directory::survey::{Survey, judge_foreign};
use crate::directory::verdicts::Verdict;
use crate::manager;
use crate::manager::StartError;
use crate::runtime::library;
use crate::selection::command_claims::resolve_at_start;
use crate::status::report::{FileReport, Report};
use crate::status::snapshot::Status;

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Check {
    /// The configuration file: its policy, and the plugin directory that is judged when no files are named.
    #[arg(long, value_name = "FILE")]
    plugins: Option<PathBuf>,
    /// The files to judge. One that lies in the plugin directory is judged as such, any other by itself.
    #[arg(required_unless_present = "plugins")]
    files: Vec<PathBuf>,
    /// Also open what is admitted, in a process of its own that its code can't harm others from: shows missing
    /// libraries and symbols, other type layouts, an unusable configuration, and code that crashes when it is opened.
    #[arg(long)]
    load: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let config = match &self.plugins {
            Some(path) => Config::read(path).or_else(|error| {
                // A host that runs goes on with the configuration that it has.
                if !self.json {
                    heading::running_alone(&Running::with_file(path))?;
                }
                Err(Failure::from(error))
            })?,
            None => Config::default(),
        };
        let staging = Staging::for_judging(config.plugins.staging.as_deref())?;
        let survey = match self.plugins {
            Some(_) => match manager::read(&config, &staging) {
                // A file is judged before there is a directory for it, which `host install` makes.
                Err(StartError::Missing { path }) if !self.files.is_empty() => Survey::nothing(&path),
                Err(error) => {
                    if !self.json {
                        heading::running_alone(&Running::with(&config))?;
                    }
                    return Err(error.into());
                }
                Ok(survey) => survey,
            },
            None => Survey::nothing(&config.plugins.dir),
        };
        let plan = resolve_at_start(&survey, &config);
        let mut report = Report::new(&survey, &plan);
        let mut admitted: Admissions = survey
            .findings
            .iter()
            .filter_map(|finding| by_digest(&finding.verdict))
            .collect();
        let running = Running::with(&config);
        if let Some(status) = running
            .status()
            .filter(|status| heading::is_of(&status.view, &survey.directory))
        {
            let others = not_taken_over::not_taken_over(&report, &survey, &admitted, status, &config);
            report.plugins.extend(others);
        }
        if !self.files.is_empty() {
            report = self.only_named(report, &mut admitted, &survey, &staging, &config)?;
        }
        if self.load {
            library::check_dynamic()?;
            load::open(&mut report, &admitted, &survey, &plan, &config)?;
        }
        match self.json {
            true => output::json(&Json::new(&report, &running))?,
            false if self.files.is_empty() => print::print(&report, &running, &survey.directory, &config)?,
            false => print::print_files(&report, &running, &survey.directory, &config)?,
        }
        let is_taken = !self.files.is_empty() || is_taken(&running, &report, &survey);
        Ok(match report.is_good() && is_taken {
            true => crate::cli::GOOD,
            false => crate::cli::FAILED,
        })
    }

    fn only_named(
        &self,
        whole: Report,
        admitted: &mut Admissions,
        survey: &Survey,
        staging: &Staging,
        config: &Config,
    ) -> Result<Report, Failure> {
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
                None => {
                    let verdict = judge_foreign(file, config, staging);
                    admitted.extend(by_digest(&verdict));
                    FileReport::new(file.clone(), None, &verdict)
                }
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
            misnamed: Vec::new(),
        })
    }
}

/// The report for machines: what a start would do, and what the host that runs is about.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// Each plugin once: what of it serves now, and after a start.
    summary: Vec<PluginSummary>,
    /// The host that runs, without its events; nothing where this user can see none.
    running: Option<RunningJson>,
    /// Why a host that is there can't be asked.
    running_error: Option<&'a str>,
}

#[derive(Serialize)]
struct RunningJson {
    socket: String,
    status: Status,
}

impl<'a> Json<'a> {
    fn new(report: &'a Report, running: &'a Running) -> Json<'a> {
        let view = running.status().map(|status| &*status.view);
        let (host, error) = match running {
            Running::NotSeen => (None, None),
            Running::Silent(reason) => (None, Some(reason.as_str())),
            Running::Host { socket, status } => {
                let events = Vec::new();
                let status = Status {
                    events,
                    ..Status::clone(status)
                };
                let socket = socket.display().to_string();
                (Some(RunningJson { socket, status }), None)
            }
        };
        Json {
            report,
            summary: summaries(report, view),
            running: host,
            running_error: error,
        }
    }
}

/// Whether the host that runs has taken over what is in its directory.
fn is_taken(running: &Running, report: &Report, survey: &Survey) -> bool {
    let status = running
        .status()
        .filter(|status| heading::is_of(&status.view, &survey.directory));
    status.is_none_or(|status| {
        only_now::only_now(&status.view, report)
            .iter()
            .all(OnlyNow::is_harmless)
    })
}

/// What was admitted, by its digest.
pub(super) type Admissions = HashMap<String, Arc<Admitted>>;

fn by_digest(verdict: &Verdict) -> Option<(String, Arc<Admitted>)> {
    let admitted = verdict.as_ref().ok()?;
    Some((admitted.digest().to_string(), Arc::clone(admitted)))
}
