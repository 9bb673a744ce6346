//! `host check`: admission without running anything of a plugin; with `--load` what only opening it can tell.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use comfy_table::Table;
use plugin_record::{Code, NoteCode, Refusal};

use super::failure::Failure;
use super::output;
use crate::admission::admit::Admitted;
use crate::admission::host_record::host_record;
use crate::admission::names;
use crate::admission::stage::Staging;
use crate::admission::static_tls;
use crate::config::{Config, Replace, Source};
use crate::directory::survey::{Survey, judge_foreign};
use crate::directory::verdicts::Verdict;
use crate::logging::FieldValue;
use crate::manager;
use crate::manager::StartError;
use crate::process::stop::Stop;
use crate::runtime::library;
use crate::runtime::load_check::{NoProgram, Output, Trial, Trials};
use crate::selection::candidate::Candidate;
use crate::selection::command_claims::{Plan, resolve_at_start};
use crate::selection::desired_version::at_start;
use crate::selection::table_for::{TableFor, config_json};
use crate::selection::tried::Tried;
use crate::selection::unserved::other_content;
use crate::shell::quoted;
use crate::status::report::{FileReport, MisnamedReport, PluginReport, Report, State};
use crate::status::serving_file::Serving;

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
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        let staging = Staging::for_judging(config.plugins.staging.as_deref())?;
        let survey = match self.plugins {
            Some(_) => match manager::read(&config, &staging) {
                // A file is judged before there is a directory for it, which `host install` makes.
                Err(StartError::Missing { path }) if !self.files.is_empty() => Survey::nothing(&path),
                survey => survey?,
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
        report
            .plugins
            .extend(not_taken_over(&report, &survey, &admitted, &staging, &config));
        if !self.files.is_empty() {
            report = self.only_named(report, &mut admitted, &survey, &staging, &config)?;
        }
        if self.load {
            library::check_dynamic()?;
            open(&mut report, &admitted, &survey, &plan, &config)?;
        }
        match self.json {
            true => output::json(&report)?,
            false => print(&report, &config)?,
        }
        Ok(match report.is_good() {
            true => super::GOOD,
            false => super::FAILED,
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

/// What was admitted, by its digest.
type Admissions = HashMap<String, Arc<Admitted>>;

fn by_digest(verdict: &Verdict) -> Option<(String, Arc<Admitted>)> {
    let admitted = verdict.as_ref().ok()?;
    Some((admitted.digest().to_string(), Arc::clone(admitted)))
}

/// Opens every content that is admitted, once; with the configuration that a start would give it, if it would.
fn open(
    report: &mut Report,
    admitted: &Admissions,
    survey: &Survey,
    plan: &Plan<'_>,
    config: &Config,
) -> Result<(), NoProgram> {
    let mut trials: Vec<(Option<usize>, Trial)> = Vec::new();
    for file in &report.files {
        let Some(admitted) = file.digest.as_ref().and_then(|digest| admitted.get(digest)) else {
            continue;
        };
        let digest = admitted.digest();
        if trials.iter().any(|(_, trial)| trial.admitted.digest() == digest) {
            continue;
        }
        let is_foreign = file.file.parent() != Some(&survey.directory);
        let claim = plan.claims.iter().position(|claim| claim.admitted.digest() == digest);
        let claim = claim.filter(|_| !is_foreign);
        let config = match claim {
            Some(at) => Some(config_json(plan.claims[at].table)),
            None if is_foreign => foreign_config(admitted, survey, config),
            None => None,
        };
        let trial = Trial {
            admitted: Arc::clone(admitted),
            file: file.file.clone(),
            config,
        };
        trials.push((claim, trial));
    }
    // What a start would open, in its order, and all in one process, as there: what they take, of static TLS for one, they take
    // together. What no start would open beside it has a process of its own for that.
    trials.sort_by_key(|(claim, trial)| (claim.is_none(), *claim, trial.admitted.static_tls().is_some()));
    let together = |(claim, trial): &(Option<usize>, Trial)| claim.is_some() || trial.admitted.static_tls().is_none();
    let of_start = trials.iter().take_while(|(claim, _)| claim.is_some()).count();
    let shared = trials.iter().take_while(|trial| together(trial)).count();
    let trials: Vec<Trial> = trials.into_iter().map(|(_, trial)| trial).collect();
    let children = Trials::here(Output::Shown)?;
    let run = |trials: &[Trial]| children.run(trials, &[], config.plugins.init_timeout, &Stop::never());
    let mut verdicts = run(&trials[..of_start]);
    verdicts.extend(run(&trials[of_start..shared]));
    trials[shared..].chunks(1).for_each(|trial| verdicts.extend(run(trial)));
    for (trial, verdict) in trials.iter().zip(&verdicts) {
        let digest = trial.admitted.digest().to_string();
        let files = report
            .files
            .iter_mut()
            .filter(|file| file.digest.as_ref() == Some(&digest));
        files
            .filter(|file| file.state != State::Refused)
            .for_each(|file| file.opened(verdict));
    }
    Ok(())
}

/// The configuration that a file from elsewhere would get where its table is for it: a file that no directory gives a place
/// is checked with what it would meet there.
fn foreign_config(admitted: &Arc<Admitted>, survey: &Survey, config: &Config) -> Option<String> {
    let candidates = at_start(survey, &Tried::default());
    let table = TableFor::of_newcomer(&Candidate::newcomer(admitted), &candidates, config);
    table.own().map(|table| config_json(Some(table)))
}

/// What the hosts that run on this directory don't take over.
fn not_taken_over(
    report: &Report,
    survey: &Survey,
    admitted: &Admissions,
    staging: &Staging,
    config: &Config,
) -> Vec<PluginReport> {
    let running = Serving::of_running_hosts(staging, &survey.directory);
    let is_replaced = config.plugins.replace == Replace::Allow;
    let contents = running
        .iter()
        .flat_map(|serving| &serving.files)
        .filter(|_| !is_replaced);
    let others = contents.filter_map(|(soname, content)| {
        let path = survey.directory.join(&content.file);
        let file = report.files.iter().find(|file| file.file == path)?;
        let found = file.digest.as_ref().filter(|found| **found != content.digest)?;
        Some(PluginReport {
            plugin: file.plugin.clone()?,
            soname: Some(soname.clone()),
            refusal: other_content(&content.file, &content.digest, found),
        })
    });
    let without_room = running.iter().flat_map(|serving| {
        let files = report.files.iter().filter(|file| file.link.is_none());
        let files = files.filter_map(|file| admitted.get(file.digest.as_ref()?));
        newest(files)
            .into_values()
            .filter_map(|admitted| without_room(admitted, serving))
    });
    others.chain(without_room).collect()
}

/// The newest file of each soname and package, pre-releases aside: of several newcomers a host takes over this one.
fn newest<'a>(files: impl Iterator<Item = &'a Arc<Admitted>>) -> BTreeMap<(String, &'a str), &'a Admitted> {
    let mut newest = BTreeMap::<(String, &str), &Admitted>::new();
    for admitted in files.filter(|admitted| admitted.record().version.pre.is_empty()) {
        let record = admitted.record();
        let known = newest.entry((names::soname(record), &record.name)).or_insert(admitted);
        if known.record().version < admitted.record().version {
            *known = admitted;
        }
    }
    newest
}

/// A file that a running host would take over, had it the static TLS for it.
fn without_room(admitted: &Admitted, serving: &Serving) -> Option<PluginReport> {
    let need = admitted
        .static_tls()
        .filter(|need| serving.room.is_too_small_for(*need))?;
    let record = admitted.record();
    let soname = names::soname(record);
    let is_open = serving.with_static_tls.contains(&admitted.digest().to_string());
    // What is older than what serves is not taken over anyway.
    let served = serving.files.get(&soname);
    if is_open || served.is_some_and(|served| served.version >= record.version) {
        return None;
    }
    let mut refusal = static_tls::refusal_of_host(Some(need), None, serving.room, &serving.tunables, record);
    refusal.field = format!(
        "static TLS of the host that runs, for {} {}",
        record.name, record.version
    );
    Some(PluginReport {
        plugin: record.name.clone(),
        soname: Some(soname),
        refusal,
    })
}

fn print(report: &Report, config: &Config) -> Result<(), Failure> {
    if report.files.is_empty() && report.plugins.is_empty() {
        output::line("no plugins")?;
    } else {
        output::line(&table(report).to_string())?;
    }
    for file in &report.files {
        output::cures(&file.title(), &file.refusals)?;
        if let Some(lack) = &file.unavailable {
            output::line(&format!("what {} needs:\n  {}", file.title(), lack.cure))?;
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
            table.add_row([&title, note.field, "", &note.plugin, &verdict]);
        }
        if let Some(lack) = &file.unavailable {
            let verdict = format!("unavailable: {}", lack.code.as_str());
            table.add_row([
                title.clone(),
                lack.field.clone(),
                String::new(),
                lack.found.clone(),
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
        State::Standby => format!("admitted{differences}, does not serve{tls}"),
        State::Refused => "refused".to_owned(),
        State::Unavailable => "unavailable".to_owned(),
    }
}
