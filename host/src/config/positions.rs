//! Holds where each entry of a configuration stands in the text, so that an error can name its line. Decides which keys may
//! be shown at all: in a plugin's table, what the parser takes for a key may be a line of a secret whose quotes are wrong.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{dotted, is_bare};

/// The tables whose keys are the host's own.
const KNOWN: [&str; 4] = ["server", "protocol", "plugins", "policy"];

/// The keys of a plugin's table that are the host's own.
const OF_PLUGIN: [&str; 5] = ["version", "commands", "required", "enabled", "config"];

/// All entries outside of inline tables, in the order of the text.
pub(super) struct Entries<'t> {
    entries: Vec<Entry<'t>>,
    /// Numbers of `entries`, by their places.
    by_place: Vec<usize>,
}

/// A key with its value.
pub(super) struct Entry<'t> {
    /// The number of the entry whose value it stands in.
    above: Option<usize>,
    key: &'t str,
    value: &'t Spanned<DeValue<'t>>,
    /// From the first to the last byte of both.
    pub(super) span: Range<usize>,
}

impl<'t> Entries<'t> {
    pub(super) fn of(root: &'t DeTable<'t>) -> Entries<'t> {
        let mut entries = Vec::new();
        gather(root, None, &(0..0), &mut entries);
        let mut by_place: Vec<usize> = (0..entries.len()).collect();
        by_place.sort_by_key(|number| entries[*number].span.start);
        Entries { entries, by_place }
    }

    /// The entry that a place is in.
    pub(super) fn at(&self, at: usize) -> Option<&Entry<'t>> {
        let behind = self
            .by_place
            .partition_point(|number| self.entries[*number].span.start <= at);
        let entry = &self.entries[*self.by_place.get(behind.checked_sub(1)?)?];
        (at <= entry.span.end).then_some(entry)
    }

    /// The key of an entry from the root, as far as it can be no secret: up to a part that needs quotes, which may be a value in
    /// a wrong place; of a plugin's keys, its table.
    pub(super) fn public_key(&self, entry: &Entry<'t>) -> String {
        let above = |entry: &&Entry<'t>| entry.above.map(|number| &self.entries[number]);
        let mut parts: Vec<&str> = std::iter::successors(Some(entry), above)
            .map(|entry| entry.key)
            .collect();
        parts.reverse();
        let shown = match parts.as_slice() {
            ["plugin", _, key, ..] if OF_PLUGIN.contains(key) => 3,
            ["plugin", ..] => 2,
            _ => parts.len(),
        };
        let parts = parts.iter().take(shown).take_while(|key| is_bare(key));
        parts.fold(String::new(), |path, key| dotted(&path, key))
    }
}

/// Gathers the entries of a table but those within `inline`, where the table itself is written. As deep as the file nests,
/// which `depth.rs` bounds.
fn gather<'t>(table: &'t DeTable<'t>, above: Option<usize>, inline: &Range<usize>, entries: &mut Vec<Entry<'t>>) {
    for (key, value) in table {
        let mut span = key.span();
        // The parser gives no place to a value that it does not understand.
        if value.span().end > 0 {
            span = span.start.min(value.span().start)..span.end.max(value.span().end);
        }
        if inline.contains(&span.start) {
            continue;
        }
        let number = entries.len();
        let below = |table, entries: &mut Vec<Entry<'t>>| gather(table, Some(number), &span, entries);
        entries.push(Entry {
            above,
            key: key.get_ref(),
            value,
            span: span.clone(),
        });
        match value.get_ref() {
            DeValue::Table(table) => below(table, entries),
            DeValue::Array(values) => {
                let tables = values.iter().filter_map(|value| value.get_ref().as_table());
                tables.for_each(|table| below(table, entries));
            }
            _ => (),
        }
    }
}

impl Entry<'_> {
    /// Where the value stands that is no table and no array, and that a place is in.
    pub(super) fn scalar_at(&self, at: usize) -> Option<Range<usize>> {
        let mut value = self.value;
        let has = |value: &&Spanned<DeValue<'_>>| (value.span().start..=value.span().end).contains(&at);
        while has(&value) {
            value = match value.get_ref() {
                DeValue::Table(table) => table.iter().map(|(_, value)| value).find(has)?,
                DeValue::Array(values) => values.iter().find(has)?,
                _ => return Some(value.span()),
            };
        }
        None
    }
}

/// Whether the host has such a key, or the file has it for one in a table that is no plugin's: it may be said.
pub(super) fn is_known(root: &DeTable<'_>, key: &str) -> bool {
    let tables = KNOWN
        .iter()
        .chain(&["plugin"])
        .filter_map(|table| root.get(*table)?.get_ref().as_table());
    OF_PLUGIN.contains(&key) || root.contains_key(key) || tables.into_iter().any(|table| table.contains_key(key))
}
