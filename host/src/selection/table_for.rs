//! Decides which table of the configuration speaks for a compatibility line of a plugin. A table speaks for one line: the one
//! that it names, else the first there is. Any other line has a soname of its own, and is discovered as a plugin without a
//! table is. Pure.

use std::collections::HashMap;

use plugin_record::Line;

use super::candidate::Candidate;
use crate::config::{Config, PluginTable};

/// What the configuration says of one line of a plugin.
#[derive(Clone, Copy, Debug)]
pub enum TableFor<'a> {
    /// This is its table.
    Own(&'a PluginTable),
    /// Its plugin's table speaks for this other line.
    OtherLine(&'a PluginTable, Line),
    /// Its plugin's table takes the whole plugin out.
    Disabled(&'a PluginTable),
    /// Its plugin has no table.
    None,
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

/// The first line of each plugin: the one that a table speaks for which names none.
#[derive(Clone, Debug, Default)]
pub struct FirstLines(HashMap<String, Line>);

impl FirstLines {
    /// Of these candidates, by [`Candidate::line_order`].
    pub fn of<'a>(candidates: impl IntoIterator<Item = &'a Candidate>) -> FirstLines {
        let mut candidates: Vec<&Candidate> = candidates.into_iter().collect();
        candidates.sort_by_key(|candidate| candidate.line_order());
        let mut first = HashMap::new();
        for candidate in candidates {
            first.entry(candidate.plugin.clone()).or_insert(candidate.line);
        }
        FirstLines(first)
    }
}

impl<'a> TableFor<'a> {
    /// What the configuration says of a line of a plugin, where these are the first lines.
    pub fn of(plugin: &str, line: Line, config: &'a Config, first: &FirstLines) -> TableFor<'a> {
        let Some(table) = config.plugin.get(plugin) else {
            return TableFor::None;
        };
        if !table.enabled {
            return TableFor::Disabled(table);
        }
        match table.version.or(first.0.get(plugin).copied()) {
            Some(other) if other != line => TableFor::OtherLine(table, other),
            _ => TableFor::Own(table),
        }
    }

    /// The same for a newcomer, beside these candidates.
    pub fn of_newcomer(newcomer: &Candidate, candidates: &[Candidate], config: &'a Config) -> TableFor<'a> {
        let others = candidates.iter().filter(|other| other.key() != newcomer.key());
        let first = FirstLines::of(others.chain([newcomer]));
        TableFor::of(&newcomer.plugin, newcomer.line, config, &first)
    }

    /// The table, if it is this line's own.
    pub fn own(self) -> Option<&'a PluginTable> {
        match self {
            TableFor::Own(table) => Some(table),
            TableFor::OtherLine(..) | TableFor::Disabled(_) | TableFor::None => None,
        }
    }

    /// The line that the table names in place of this one.
    pub fn other_line_named(self) -> Option<Line> {
        match self {
            TableFor::OtherLine(table, _) => table.version,
            TableFor::Own(_) | TableFor::Disabled(_) | TableFor::None => None,
        }
    }

    /// Why the line is not asked for, if it is not; `discover` is whether plugins without a table serve.
    pub fn unasked(self, discover: bool) -> Option<Unasked> {
        match self {
            TableFor::Own(_) => None,
            TableFor::Disabled(_) => Some(Unasked::Disabled),
            TableFor::OtherLine(..) | TableFor::None if discover => None,
            TableFor::OtherLine(_, line) => Some(Unasked::OtherLine(line)),
            TableFor::None => Some(Unasked::NotDiscovered),
        }
    }

    /// The configuration that an instance of the line is given, as JSON.
    pub fn config_json(self) -> String {
        config_json(self.own())
    }
}

/// A table's configuration as JSON.
pub fn config_json(table: Option<&PluginTable>) -> String {
    table.map_or_else(|| "{}".to_owned(), PluginTable::config_json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::candidate::NoVersion;

    fn line(number: u64, is_linked: bool) -> Candidate {
        Candidate {
            plugin: "x".to_owned(),
            soname: format!("libx.so.{number}"),
            line: Line::Major(number),
            is_linked,
            desired: Err(NoVersion::PreReleases),
            takes_link: false,
        }
    }

    fn config(table: PluginTable) -> Config {
        Config {
            plugin: [("x".to_owned(), table)].into(),
            ..Config::default()
        }
    }

    #[test]
    fn a_table_speaks_for_one_line_of_its_plugin() {
        let asked = |table: PluginTable, lines: &[Candidate], number: u64, discover: bool| {
            let config = config(table);
            let table = TableFor::of("x", Line::Major(number), &config, &FirstLines::of(lines));
            (table.own().is_some(), table.unasked(discover))
        };
        let (any, second) = (PluginTable::default(), || PluginTable {
            version: Some(Line::Major(2)),
            ..PluginTable::default()
        });
        let both = [line(1, false), line(2, true)];
        // It names none: the line that has a link, else the lower one.
        assert_eq!(asked(any.clone(), &both, 2, true), (true, None));
        assert_eq!(asked(any.clone(), &both, 1, true), (false, None));
        assert_eq!(
            asked(any.clone(), &[line(1, false), line(2, false)], 1, true),
            (true, None)
        );
        let other = Some(Unasked::OtherLine(Line::Major(2)));
        assert_eq!(asked(any.clone(), &both, 1, false), (false, other));
        assert_eq!(asked(any, &[], 1, false), (true, None), "there is no other line");
        // It names one, whether there is one or not.
        assert_eq!(asked(second(), &both, 2, false), (true, None));
        assert_eq!(asked(second(), &[line(1, true)], 1, false), (false, other));
        assert_eq!(asked(second(), &[line(1, true)], 1, true), (false, None));
        let disabled = PluginTable {
            enabled: false,
            ..second()
        };
        assert_eq!(
            asked(disabled.clone(), &both, 2, true),
            (false, Some(Unasked::Disabled))
        );
        assert_eq!(asked(disabled, &both, 1, true), (false, Some(Unasked::Disabled)));
    }

    #[test]
    fn a_plugin_without_a_table_serves_if_plugins_are_discovered() {
        let config = Config::default();
        let table = TableFor::of("x", Line::Major(1), &config, &FirstLines::default());
        assert_eq!(table.unasked(true), None);
        assert_eq!(table.unasked(false), Some(Unasked::NotDiscovered));
        assert_eq!(table.config_json(), "{}");
    }
}
