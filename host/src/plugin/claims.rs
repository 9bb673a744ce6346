//! Who gets which command: tables first, then plugins that have a link, then the lower compatibility line, then the
//! name. Pure, and the same at start and while running, so that the outcome does not depend on the order of arrival.

use std::path::Path;
use std::sync::Arc;

use plugin_record::Line;

use super::admit::Admitted;
use super::name::{Platform, stem};
use super::survey::Survey;
use super::{Code, Refusal};
use crate::config::{Config, PluginTable};

/// A soname, and the version of it that should serve.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The plugin's name.
    pub plugin: String,
    /// Its soname.
    pub soname: String,
    /// Its compatibility line.
    pub line: Line,
    /// Whether the soname has a link or a file.
    pub is_linked: bool,
    /// The version; or why there is none although the soname is known.
    pub wanted: Result<Arc<Admitted>, Unwanted>,
    /// Whether that version is to take the soname's link.
    pub takes_link: bool,
}

impl Candidate {
    /// Whether both come to the same.
    pub fn is_same(&self, other: &Candidate) -> bool {
        let wanted = |candidate: &Candidate| {
            candidate
                .wanted
                .as_ref()
                .map(|admitted| admitted.digest())
                .map_err(|why| *why)
        };
        self.soname == other.soname
            && wanted(self) == wanted(other)
            && (self.is_linked, self.takes_link) == (other.is_linked, other.takes_link)
    }
}

/// Why no version of a soname should serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwanted {
    /// What stands at the soname is refused: its own refusals say why.
    Refused,
    /// There are only pre-releases, which wait for a link.
    PreReleases,
    /// It was tried and failed, which was said then.
    Failed,
    /// The operator has taken the link away.
    Removed,
}

/// A plugin version that is to serve.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// Its soname.
    pub candidate: Candidate,
    /// The version that serves.
    pub admitted: Arc<Admitted>,
    /// The commands that it serves.
    pub commands: Vec<u8>,
    /// Its table in the configuration, if it has one.
    pub table: Option<&'a PluginTable>,
}

/// What is to serve, and what is not although it could.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    /// In the order in which claims were settled.
    pub claims: Vec<Claim<'a>>,
    /// Plugins that got no command, each with the reason.
    pub unserved: Vec<Unserved>,
}

/// A plugin that does not serve for a reason that is not in its file.
#[derive(Debug, Clone)]
pub struct Unserved {
    /// The plugin's name.
    pub plugin: String,
    /// Its soname, if there is a file.
    pub soname: Option<String>,
    /// The reason.
    pub refusal: Refusal,
}

/// Settles all claims that a start would settle.
pub fn settle<'a>(survey: &Survey, config: &'a Config) -> Plan<'a> {
    let sonames: Vec<Candidate> = survey.groups.iter().map(|group| group.candidate()).collect();
    settle_among(&sonames, &survey.directory, config)
}

/// Settles the claims of these sonames, of which there is one candidate each.
pub fn settle_among<'a>(sonames: &[Candidate], directory: &Path, config: &'a Config) -> Plan<'a> {
    let mut plan = Plan::default();
    let mut candidates: Vec<(&Candidate, Option<&PluginTable>)> = Vec::new();
    // Sonames that a table has spoken for. Another line of the same plugin is another soname: it may be discovered.
    let mut in_tables: Vec<&str> = Vec::new();
    for (name, table) in &config.plugin {
        let mut lines: Vec<&Candidate> = sonames.iter().filter(|soname| soname.plugin == *name).collect();
        if !table.enabled {
            in_tables.extend(lines.iter().map(|line| line.soname.as_str()));
            continue;
        }
        let is_removed = |candidate: &Candidate| matches!(candidate.wanted, Err(Unwanted::Removed));
        lines.sort_by_key(|candidate| (is_removed(candidate), !candidate.is_linked, candidate.line));
        let is_asked_for = |candidate: &&&Candidate| table.version.is_none_or(|line| line == candidate.line);
        match lines.iter().find(is_asked_for) {
            Some(candidate) => {
                in_tables.push(&candidate.soname);
                candidates.push((*candidate, Some(table)));
            }
            None => plan.unserved.push(missing(&lines, directory, name, table)),
        }
    }
    if config.plugins.discover {
        let others = sonames
            .iter()
            .filter(|candidate| !in_tables.contains(&candidate.soname.as_str()));
        candidates.extend(others.map(|candidate| (candidate, None)));
    }
    candidates
        .sort_by_key(|(candidate, table)| (table.is_none(), !candidate.is_linked, candidate.line, &candidate.plugin));
    for (candidate, table) in candidates {
        let admitted = match &candidate.wanted {
            Ok(admitted) => admitted,
            Err(reason) => {
                plan.unserved.extend(unwanted(candidate, *reason, table));
                continue;
            }
        };
        let own = table.and_then(|table| table.commands.as_ref());
        let commands = own.unwrap_or(&admitted.record().commands).clone();
        let taken = plan.claims.iter().find_map(|claim| {
            let command = commands.iter().find(|command| claim.commands.contains(command))?;
            Some((*command, claim))
        });
        match taken {
            Some((command, winner)) => {
                let refusal = command_taken(command, winner, &candidate.plugin, &candidate.soname);
                plan.unserved.push(Unserved {
                    plugin: candidate.plugin.clone(),
                    soname: Some(candidate.soname.clone()),
                    refusal,
                });
            }
            None => plan.claims.push(Claim {
                candidate: candidate.clone(),
                admitted: Arc::clone(admitted),
                commands,
                table,
            }),
        }
    }
    plan
}

/// The configuration that a version's handler gets, as JSON: its table's, where the table is for its line.
pub fn config_of(admitted: &Admitted, config: &Config) -> String {
    let record = admitted.record();
    let table = config.plugin.get(&record.name);
    let table = table.filter(|table| table.version.is_none_or(|line| line == record.line()));
    json_of(table)
}

/// A table's configuration as JSON.
pub fn json_of(table: Option<&PluginTable>) -> String {
    table.map_or_else(|| "{}".to_owned(), PluginTable::config_json)
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
pub fn command_taken(command: u8, winner: &Claim<'_>, plugin: &str, soname: &str) -> Refusal {
    let cure = match winner.candidate.plugin == plugin {
        true => format!("# say which version is meant in plugins.toml: [plugin.{plugin}] version = \"...\""),
        false => format!("# give one of them other commands in plugins.toml: [plugin.{plugin}] commands = [...]"),
    };
    Refusal::new(
        Code::CommandTaken,
        format!("command {command:#04x}"),
        format!("{} ({}) serves it", winner.candidate.plugin, winner.candidate.soname),
        format!("{plugin} ({soname}) claims it"),
        cure,
    )
}

fn file_name(plugin: &str, version: Option<&str>) -> String {
    Platform::HOST.file_name(&stem(plugin), version)
}

/// A table asks for what no admitted file brings.
fn missing(lines: &[&Candidate], directory: &Path, name: &str, table: &PluginTable) -> Unserved {
    let expected = match table.version {
        Some(line) => file_name(name, Some(&line.to_string())),
        None => file_name(name, Some("*")),
    };
    let lines: Vec<&str> = lines.iter().map(|line| line.soname.as_str()).collect();
    let found = match lines.as_slice() {
        [] => "none that is admitted".to_owned(),
        lines => lines.join(", "),
    };
    Unserved {
        plugin: name.to_owned(),
        soname: None,
        refusal: Refusal::new(
            Code::PluginMissing,
            format!("plugin {name}"),
            format!("{expected} in {}", directory.display()),
            found,
            format!(
                "cargo build --release -p {name} && host install target/release/{} --plugins FILE",
                file_name(name, None)
            ),
        ),
    }
}

/// What is to be said of a soname of which no version is wanted.
fn unwanted(candidate: &Candidate, reason: Unwanted, table: Option<&PluginTable>) -> Option<Unserved> {
    let required = table.is_some_and(|table| table.required);
    let found = match reason {
        Unwanted::Refused => "what stands there is refused",
        Unwanted::PreReleases if required => "only pre-releases, which need a link",
        Unwanted::PreReleases | Unwanted::Failed | Unwanted::Removed => return None,
    };
    Some(Unserved {
        plugin: candidate.plugin.clone(),
        soname: Some(candidate.soname.clone()),
        refusal: Refusal::new(
            Code::PluginMissing,
            candidate.soname.clone(),
            "a link to an admitted file",
            found,
            format!(
                "ln -sfn {} {} # in the plugin directory",
                file_name(&candidate.plugin, Some("VERSION")),
                candidate.soname
            ),
        ),
    })
}
