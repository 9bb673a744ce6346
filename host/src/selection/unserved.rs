//! Decides what is said of a plugin that does not serve although a table or a file asks for it, where no file has the reason.
//! Pure; decides only the words, never what serves.

use plugin_record::{Code, Refusal};
use plugin_record::{Line, quoted};
use semver::Version;
use wire::is_submit;

use super::candidate::{Candidate, NoVersion};
use crate::admission::names::{Platform, real_name, stem};
use crate::config::{Config, PluginTable};
use crate::directory::groups::{AtSoname, Finding};
use crate::directory::links::link_command;
use crate::directory::survey::Survey;
use crate::directory::verdicts::NotAdmitted;
use crate::logging::FieldValue;
use crate::shell::rename;

/// How many letters may be wrong in the name of a table for it to be taken for a package's.
const SLIPS: usize = 2;

/// A plugin that does not serve for a reason that is not in its file.
#[derive(Debug, Clone)]
pub struct Unserved {
    /// The plugin's name.
    pub plugin: String,
    /// The version that is meant, if there is a file.
    pub version: Option<Version>,
    /// Its soname, if there is a file.
    pub soname: Option<String>,
    /// The reason.
    pub refusal: Refusal,
}

impl Unserved {
    fn of(candidate: &Candidate, refusal: Refusal) -> Unserved {
        Unserved {
            plugin: candidate.plugin.clone(),
            version: candidate
                .desired
                .as_ref()
                .ok()
                .map(|admitted| admitted.record().version.clone()),
            soname: Some(candidate.soname.clone()),
            refusal,
        }
    }

    /// Whether it is this candidate.
    pub fn is_of(&self, candidate: &Candidate) -> bool {
        self.plugin == candidate.plugin && self.soname.as_ref() == Some(&candidate.soname)
    }

    /// Another plugin serves one of its commands; `served` are all that are served.
    pub fn command_taken(
        command: u8,
        winner: &Candidate,
        loser: &Candidate,
        commands: &[u8],
        served: &[u8],
    ) -> Unserved {
        Unserved::of(loser, command_taken(command, winner, loser, commands, served))
    }

    /// A package serves whose name differs in `-` and `_` alone.
    pub fn name_taken(winner: &str, soname: &str, loser: &Candidate) -> Unserved {
        Unserved::of(loser, name_taken(winner, soname, loser, None))
    }

    /// A table asks for what no admitted file brings. `lines` are the compatibility lines of it that there are.
    pub fn missing(
        name: &str,
        table: &PluginTable,
        lines: &[&Candidate],
        candidates: &[Candidate],
        survey: &Survey,
        config: &Config,
    ) -> Unserved {
        let directory = survey.directory.display();
        let expected = match table.version {
            Some(line) => file_name(name, &line.to_string()),
            None => file_name(name, "*"),
        };
        let library = format!("target/release/{}", Platform::HOST.file_name(&stem(name), None));
        let build = format!(
            "cargo build --release -p {} && host install {} --plugins {} # in the plugin's folder",
            quoted(name),
            quoted(&library),
            config.source.quoted(),
        );
        let (found, cure) = other_line(name, lines)
            .or_else(|| refused_file(name, survey))
            .or_else(|| other_name(name, &build, candidates, config))
            .unwrap_or_else(|| ("none that is admitted".to_owned(), build));
        Unserved {
            plugin: name.to_owned(),
            version: None,
            soname: None,
            refusal: Refusal::new(
                Code::PluginMissing,
                format!("plugin {name}"),
                format!("{expected} in {directory}"),
                found,
                cure,
            ),
        }
    }

    /// What is to be said of a soname of which no version should serve.
    pub fn without_version(
        candidate: &Candidate,
        reason: NoVersion,
        table: Option<&PluginTable>,
        survey: &Survey,
    ) -> Option<Unserved> {
        let required = table.is_some_and(|table| table.required);
        let link = survey.directory.join(&candidate.soname);
        let group = survey.group(&candidate.plugin, &candidate.soname);
        let is_of_pre_releases = reason == NoVersion::PreReleases;
        let highest = group.and_then(|group| {
            group.highest(|_, admitted| admitted.record().version.pre.is_empty() != is_of_pre_releases)
        });
        let relink = highest.map(|(file, _)| link_command(&link, &file.to_string()));
        let found = match reason {
            NoVersion::NameTaken => {
                let Some(AtSoname::Other(winner)) = group.map(|group| &group.at_soname) else {
                    return None;
                };
                let winners = survey.group(winner, &candidate.soname).map(|group| &group.at_soname);
                // It may be the only file with that content.
                let aside = match winners {
                    Some(AtSoname::File(file)) => format!("{} && ", rename(&link, &real_name(file.record()))),
                    _ => String::new(),
                };
                let relink = relink.map(|relink| format!("{aside}{relink}"));
                let refusal = name_taken(winner, &candidate.soname, candidate, relink);
                return Some(Unserved::of(candidate, refusal));
            }
            NoVersion::Refused => "what stands there is refused",
            NoVersion::PreReleases if required => "only pre-releases, which need a link",
            NoVersion::PreReleases | NoVersion::Failed | NoVersion::Removed => return None,
        };
        let cure = relink.unwrap_or_else(|| "# what is refused there has a cure of its own".to_owned());
        let refusal = Refusal::new(
            Code::PluginMissing,
            candidate.soname.clone(),
            "a link to an admitted file",
            found,
            cure,
        );
        Some(Unserved::of(candidate, refusal))
    }
}

/// Other content under the name of a file that a running host serves: it is not taken over.
pub fn other_content(file: &str, running: &str, found: &str) -> Refusal {
    Refusal::new(
        Code::OtherContent,
        format!("content of {file}"),
        format!("running digest {running}"),
        format!("file has digest {found}"),
        "# give it a new version number; or, for development: `replace = \"allow\"` under [plugins]",
    )
}

/// Why a plugin can't have a command that another one serves.
fn command_taken(command: u8, winner: &Candidate, loser: &Candidate, commands: &[u8], served: &[u8]) -> Refusal {
    let (plugin, soname, line) = (&loser.plugin, &loser.soname, loser.line);
    let cure = match winner.plugin == *plugin {
        true => format!(
            "# say which line is meant, in plugins.toml under [plugin.{plugin}]: `version = \"{}\"`, which serves, or \
             `version = \"{line}\"`",
            winner.line
        ),
        false => format!(
            "# give it commands that are free, in plugins.toml under [plugin.{plugin}]: `commands = {}`; or take one of the \
             two out: `enabled = false`",
            list(&free(commands, served))
        ),
    };
    Refusal::new(
        Code::CommandTaken,
        format!("command {command:#04x}"),
        format!("{} ({}) serves it", winner.plugin, winner.soname),
        format!("{plugin} ({soname}) claims it"),
        cure,
    )
}

/// Why a plugin can't serve beside one of nearly the same name. `relink` has it serve in the other's place.
fn name_taken(winner: &str, soname: &str, loser: &Candidate, relink: Option<String>) -> Refusal {
    let rename =
        "rename one of the two packages in its Cargo.toml and rebuild it: - and _ are one in the names of files";
    let cure = match relink {
        Some(relink) => format!(
            "{relink} # has {} serve in its place; to have both, {rename}",
            loser.plugin
        ),
        None => format!("# {rename}"),
    };
    Refusal::new(
        Code::NameTaken,
        "package name",
        format!("{winner} ({soname}) has it"),
        format!(
            "{} ({}), of which the files have the same names",
            loser.plugin, loser.soname
        ),
        cure,
    )
}

/// The table asks for a compatibility line of which there is none.
fn other_line(name: &str, lines: &[&Candidate]) -> Option<(String, String)> {
    let first: Line = lines.first()?.line;
    let found: Vec<&str> = lines.iter().map(|line| line.soname.as_str()).collect();
    let cure = format!("# bring that line, or set `version = \"{first}\"` under [plugin.{name}] in plugins.toml");
    Some((found.join(", "), cure))
}

/// There is a file of it, and it is refused.
fn refused_file(name: &str, survey: &Survey) -> Option<(String, String)> {
    let is_of = |finding: &&Finding| match &finding.verdict {
        Err(NotAdmitted::Refused(refused)) => refused.record.as_ref().is_some_and(|record| record.name == name),
        _ => false,
    };
    let file = survey
        .findings
        .iter()
        .find(is_of)?
        .path
        .file_name()?
        .display()
        .to_string();
    let cure = format!("# {file} has cures of its own");
    Some((format!("{file}, which is refused"), cure))
}

/// The table's name is nearly that of a package: `-` for `_`, or a slip.
fn other_name(name: &str, build: &str, candidates: &[Candidate], config: &Config) -> Option<(String, String)> {
    let mut without_table = candidates
        .iter()
        .filter(|candidate| !config.plugin.contains_key(&candidate.plugin));
    let (same, slips): (Vec<&Candidate>, Vec<&Candidate>) = without_table
        .by_ref()
        .filter(|candidate| strsim::osa_distance(&stem(&candidate.plugin), &stem(name)) <= SLIPS)
        .partition(|candidate| stem(&candidate.plugin) == stem(name));
    let nearest = same.first().or(slips.first())?;
    let Candidate { plugin, soname, .. } = nearest;
    let write = format!("write [plugin.{plugin}] in plugins.toml: a table has its package's name");
    let cure = match same.is_empty() {
        true => format!("{build}; or, if {plugin} is meant, {write}"),
        false => format!("# {write}"),
    };
    Some((format!("{soname} of the package {plugin}"), cure))
}

fn file_name(plugin: &str, version: &str) -> String {
    Platform::HOST.file_name(&stem(plugin), Some(version))
}

/// What is left of a plugin's commands, or the lowest one that no plugin serves.
fn free(commands: &[u8], served: &[u8]) -> Vec<u8> {
    let is_free = |command: &u8| !served.contains(command);
    let left: Vec<u8> = commands.iter().copied().filter(is_free).collect();
    match left.is_empty() {
        true => (0..=u8::MAX)
            .filter(|command| is_submit(*command))
            .find(is_free)
            .into_iter()
            .collect(),
        false => left,
    }
}

fn list(commands: &[u8]) -> String {
    FieldValue::commands(commands).to_string()
}
