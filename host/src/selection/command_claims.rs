//! Decides which plugin gets which command: tables first, then plugins that have a link, then the lower compatibility line,
//! then the name. Pure, and the same at start and while running, so that the outcome does not depend on the order of arrival.

use std::sync::Arc;

use plugin_record::{Line, Refusal};

use super::candidate::Candidate;
use super::desired_version;
use super::soname_state::Sonames;
use super::table_for::{FirstLines, TableFor, Unasked};
use super::tried::Tried;
use super::unserved::Unserved;
use crate::admission::admit::Admitted;
use crate::admission::names::soname;
use crate::admission::stage::Digest;
use crate::config::{Config, PluginTable};
use crate::directory::survey::Survey;

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
    /// In the order in which claims were resolved.
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

/// Resolves all claims that a start would resolve.
pub fn resolve_at_start<'a>(survey: &Survey, config: &'a Config) -> Plan<'a> {
    resolve(&desired_version::at_start(survey, &Tried::default()), survey, config)
}

/// Resolves the claims of these candidates, of which there is one for each soname of each package.
pub fn resolve<'a>(candidates: &[Candidate], survey: &Survey, config: &'a Config) -> Plan<'a> {
    let first = FirstLines::of(candidates);
    let mut plan = Plan {
        unserved: without_candidate(&first, candidates, survey, config),
        ..Plan::default()
    };
    let mut asked_for = Vec::new();
    for candidate in candidates {
        let table = TableFor::of(&candidate.plugin, candidate.line, config, &first);
        match table.unasked(config.plugins.discover) {
            Some(unasked) => plan.unasked.push((candidate.clone(), unasked)),
            None => asked_for.push((candidate, table)),
        }
    }
    asked_for.sort_by_key(|(candidate, table)| {
        let has_table = table.own().is_some();
        (!has_table, !candidate.is_linked, candidate.line, &candidate.plugin)
    });
    for (candidate, table) in asked_for {
        plan.add(candidate, table, survey);
    }
    plan
}

/// What would keep a newcomer from serving beside what a start would serve: another plugin that has its name or one of its
/// commands.
pub fn conflict(admitted: &Arc<Admitted>, survey: &Survey, config: &Config) -> Option<Refusal> {
    let newcomer = Candidate::newcomer(admitted);
    let candidates = desired_version::at_start(survey, &Tried::default());
    let table_for = TableFor::of_newcomer(&newcomer, &candidates, config);
    let table = match table_for {
        TableFor::Own(table) | TableFor::Disabled(table) => Some(table),
        TableFor::OtherLine(..) | TableFor::None => None,
    };
    let commands = table.and_then(|table| table.commands.as_ref());
    let commands = commands.unwrap_or(&admitted.record().commands);
    let mut plan = resolve(&candidates, survey, config);
    // A table that asks for this plugin decides against those that no table asks for. Otherwise the order among equals would
    // have one installation silently take another plugin's commands.
    plan.claims.retain(|claim| {
        let is_other = claim.candidate.key() != newcomer.key();
        is_other && (claim.table.is_some() || table.is_none())
    });
    match plan.lost(&newcomer, commands, table_for)? {
        Lost::To(unserved) => Some(unserved.refusal),
        Lost::OtherLine(_) => None,
    }
}

/// What is to be said of the tables for which no candidate is there.
fn without_candidate(first: &FirstLines, candidates: &[Candidate], survey: &Survey, config: &Config) -> Vec<Unserved> {
    let mut missing = Vec::new();
    for (name, table) in config.plugin.iter().filter(|(_, table)| table.enabled) {
        let mut lines: Vec<&Candidate> = candidates
            .iter()
            .filter(|candidate| candidate.plugin == *name)
            .collect();
        let has_own = |line: &&Candidate| TableFor::of(name, line.line, config, first).own().is_some();
        if !lines.iter().any(has_own) {
            lines.sort_by_key(|line| line.line_order());
            missing.push(Unserved::missing(name, table, &lines, candidates, survey, config));
        }
    }
    missing
}

impl<'a> Plan<'a> {
    /// Gives a candidate its commands, where it has a version and no candidate before it has its name or one of its commands.
    fn add(&mut self, candidate: &Candidate, table: TableFor<'a>, survey: &Survey) {
        let own = table.own();
        let admitted = match &candidate.desired {
            Ok(admitted) => admitted,
            Err(reason) => {
                let unserved = Unserved::without_version(candidate, *reason, own, survey);
                self.unserved.extend(unserved);
                return;
            }
        };
        let commands = own.and_then(|table| table.commands.as_ref());
        let commands = commands.unwrap_or(&admitted.record().commands).clone();
        match self.lost(candidate, &commands, table) {
            Some(Lost::To(unserved)) => self.unserved.push(unserved),
            Some(Lost::OtherLine(line)) => self.unasked.push((candidate.clone(), Unasked::OtherLine(line))),
            None => self.claims.push(Claim {
                candidate: candidate.clone(),
                admitted: Arc::clone(admitted),
                commands,
                table: own,
            }),
        }
    }

    /// What keeps a candidate from serving these commands beside the claims that are resolved already.
    pub fn lost(&self, candidate: &Candidate, commands: &[u8], table: TableFor<'_>) -> Option<Lost> {
        let mut claims = self.claims.iter();
        if let Some(winner) = claims.find(|claim| claim.candidate.has_name_of(candidate)) {
            let (plugin, soname) = winner.candidate.key();
            return Some(Lost::To(Unserved::name_taken(plugin, soname, candidate)));
        }
        let (command, winner) = self.claims.iter().find_map(|claim| {
            let command = commands.iter().find(|command| claim.commands.contains(command))?;
            Some((*command, &claim.candidate))
        })?;
        if let Some(line) = table.other_line_named().filter(|_| winner.plugin == candidate.plugin) {
            return Some(Lost::OtherLine(line));
        }
        let served: Vec<u8> = self.claims.iter().flat_map(|claim| claim.commands.clone()).collect();
        let unserved = Unserved::command_taken(command, winner, candidate, commands, &served);
        Some(Lost::To(unserved))
    }

    /// The newcomers among the candidates that lose their commands to others, at sonames that serve: they are to be turned
    /// away, so that what serves there goes on. Where that loses them itself, there is nothing to go on.
    pub fn losing_newcomers(&self, candidates: &[Candidate], sonames: &Sonames) -> Vec<Digest> {
        let is_newcomer = |candidate: &&Candidate| {
            let served = sonames.served(&candidate.soname);
            candidate.takes_link && served.is_some_and(|served| Some(served.key.digest) != candidate.digest())
        };
        let lost = |candidate: &&Candidate| self.unserved.iter().any(|unserved| unserved.is_of(candidate));
        let losers = candidates.iter().filter(is_newcomer).filter(lost);
        losers.filter_map(Candidate::digest).collect()
    }

    /// What serves at a file's soname.
    pub fn serving(&self, admitted: &Admitted) -> Option<&Admitted> {
        let soname = soname(admitted.record());
        let mut claims = self.claims.iter();
        let claim = claims.find(|claim| claim.candidate.soname == soname)?;
        Some(&claim.admitted)
    }
}

#[cfg(test)]
mod tests;
