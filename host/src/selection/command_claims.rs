//! Who gets which command: tables first, then plugins that have a link, then the lower compatibility line, then the
//! name. Pure, and the same at start and while running, so that the outcome does not depend on the order of arrival.

use std::sync::Arc;

use plugin_record::Line;

use super::unserved::Unserved;
use crate::admission::admit::Admitted;
use crate::admission::names::{soname, stem};
use crate::config::{Config, PluginTable};
use crate::directory::survey::Survey;

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
    /// What tells it from others: plugin and soname.
    pub fn key(&self) -> (&str, &str) {
        (&self.plugin, &self.soname)
    }

    /// Whether both are of packages whose names differ in `-` and `_` alone: their files would have the same names.
    pub fn has_name_of(&self, other: &Candidate) -> bool {
        self.plugin != other.plugin && stem(&self.plugin) == stem(&other.plugin)
    }

    /// Whether both come to the same.
    pub fn is_same(&self, other: &Candidate) -> bool {
        let wanted = |candidate: &Candidate| {
            candidate
                .wanted
                .as_ref()
                .map(|admitted| admitted.digest())
                .map_err(|why| *why)
        };
        self.key() == other.key()
            && wanted(self) == wanted(other)
            && (self.is_linked, self.takes_link) == (other.is_linked, other.takes_link)
    }
}

/// Why no version of a soname should serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwanted {
    /// What stands at the soname is refused: its own refusals say why.
    Refused,
    /// What stands at the soname is of a package whose name differs in `-` and `_` alone.
    NameTaken,
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
    /// Candidates that got none because something else is asked for.
    pub unasked: Vec<(Candidate, Unasked)>,
}

/// Why a candidate gets nothing.
#[derive(Debug)]
pub enum Lost {
    /// Another plugin has its name or one of its commands.
    To(Unserved),
    /// Another compatibility line of it is asked for, and has its commands.
    OtherLine(Line),
}

/// What the configuration asks for in place of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unasked {
    /// Nothing of the plugin.
    Disabled,
    /// This compatibility line of it.
    OtherLine(Line),
    /// Only plugins that have a table.
    NotDiscovered,
}

/// Settles all claims that a start would settle.
pub fn settle<'a>(survey: &Survey, config: &'a Config) -> Plan<'a> {
    let sonames: Vec<Candidate> = survey.groups.iter().map(|group| group.candidate()).collect();
    settle_among(&sonames, survey, config)
}

/// Settles the claims of these sonames, of which there is one candidate each for each package.
pub fn settle_among<'a>(sonames: &[Candidate], survey: &Survey, config: &'a Config) -> Plan<'a> {
    let mut plan = Plan::default();
    for (candidate, table) in in_order(sonames, survey, config, &mut plan) {
        let admitted = match &candidate.wanted {
            Ok(admitted) => admitted,
            Err(reason) => {
                let unserved = Unserved::unwanted(candidate, *reason, table, survey);
                plan.unserved.extend(unserved);
                continue;
            }
        };
        let own = table.and_then(|table| table.commands.as_ref());
        let commands = own.unwrap_or(&admitted.record().commands).clone();
        match plan.lost(candidate, &commands, config) {
            Some(Lost::To(unserved)) => plan.unserved.push(unserved),
            Some(Lost::OtherLine(line)) => plan.unasked.push((candidate.clone(), Unasked::OtherLine(line))),
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

/// The candidates that may serve, in the order in which their claims are settled, each with its table. The plan learns of the
/// tables for which there is none, and of the candidates for which nobody asks.
fn in_order<'a, 'b>(
    sonames: &'b [Candidate],
    survey: &Survey,
    config: &'a Config,
    plan: &mut Plan<'_>,
) -> Vec<(&'b Candidate, Option<&'a PluginTable>)> {
    let mut candidates: Vec<(&Candidate, Option<&PluginTable>)> = Vec::new();
    for (name, table) in &config.plugin {
        let mut lines: Vec<&Candidate> = sonames.iter().filter(|soname| soname.plugin == *name).collect();
        if !table.enabled {
            let disabled = lines.into_iter().map(|line| (line.clone(), Unasked::Disabled));
            plan.unasked.extend(disabled);
            continue;
        }
        let is_removed = |candidate: &Candidate| matches!(candidate.wanted, Err(Unwanted::Removed));
        lines.sort_by_key(|candidate| (is_removed(candidate), !candidate.is_linked, candidate.line));
        let is_asked_for = |candidate: &&&Candidate| table.version.is_none_or(|line| line == candidate.line);
        match lines.iter().find(is_asked_for) {
            Some(candidate) => candidates.push((*candidate, Some(table))),
            None => plan
                .unserved
                .push(Unserved::missing(name, table, &lines, sonames, survey, config)),
        }
    }
    // Another line of a plugin that has a table has a soname of its own: it may be discovered.
    let asked_for: Vec<(&Candidate, Option<&PluginTable>)> = candidates.clone();
    for candidate in sonames {
        let is_settled = asked_for.iter().any(|(asked, _)| asked.key() == candidate.key())
            || plan.unasked.iter().any(|(unasked, _)| unasked.key() == candidate.key());
        let table_s = asked_for.iter().find(|(asked, _)| asked.plugin == candidate.plugin);
        match (config.plugins.discover, table_s) {
            _ if is_settled => {}
            (true, _) => candidates.push((candidate, None)),
            (false, Some((asked, _))) => {
                plan.unasked.push((candidate.clone(), Unasked::OtherLine(asked.line)));
            }
            (false, None) => plan.unasked.push((candidate.clone(), Unasked::NotDiscovered)),
        }
    }
    candidates
        .sort_by_key(|(candidate, table)| (table.is_none(), !candidate.is_linked, candidate.line, &candidate.plugin));
    candidates
}

impl Plan<'_> {
    /// What serves at a file's soname.
    pub fn serving(&self, admitted: &Admitted) -> Option<&Admitted> {
        let soname = soname(admitted.record());
        let mut claims = self.claims.iter();
        let claim = claims.find(|claim| claim.candidate.soname == soname)?;
        Some(&claim.admitted)
    }

    /// What keeps a candidate from serving these commands beside the claims that are settled already.
    pub fn lost(&self, candidate: &Candidate, commands: &[u8], config: &Config) -> Option<Lost> {
        let mut claims = self.claims.iter();
        if let Some(winner) = claims.find(|claim| claim.candidate.has_name_of(candidate)) {
            let (plugin, soname) = winner.candidate.key();
            return Some(Lost::To(Unserved::name_taken(plugin, soname, candidate)));
        }
        let (command, winner) = self.claims.iter().find_map(|claim| {
            let command = commands.iter().find(|command| claim.commands.contains(command))?;
            Some((*command, claim))
        })?;
        let asked = config.plugin.get(&candidate.plugin).and_then(|table| table.version);
        if let Some(line) = asked.filter(|line| winner.candidate.plugin == candidate.plugin && *line != candidate.line)
        {
            return Some(Lost::OtherLine(line));
        }
        let taken: Vec<u8> = self.claims.iter().flat_map(|claim| claim.commands.clone()).collect();
        let unserved = Unserved::command_taken(command, winner, candidate, commands, &taken);
        Some(Lost::To(unserved))
    }
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
