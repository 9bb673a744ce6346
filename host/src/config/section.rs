//! Reads one table of plugins.toml: collects what is wrong with its values, and which of its keys are unknown.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{Fault, MOST_SHOWN, dotted};
use super::value;

/// How alike a mistyped key must be to one that exists, to be taken for it: 1 is equal, 0 has nothing in common.
const ALIKE: f64 = 0.6;

/// In bytes. A longer key is like none that exists, and a very long one takes long to compare.
const LONGEST_COMPARED: usize = 64;

/// A table whose keys are read one by one. When it is dropped, those that were not read are faults: unknown keys.
pub(super) struct Section<'t, 'f> {
    /// Its key from the root; nothing for the root itself.
    path: String,
    table: &'t DeTable<'t>,
    known: Vec<&'static str>,
    /// Whether its keys are names that the file gives.
    is_open: bool,
    faults: &'f mut Vec<Fault>,
}

impl<'t, 'f> Section<'t, 'f> {
    /// Reads the root.
    pub(super) fn whole(root: &'t DeTable<'t>, faults: &'f mut Vec<Fault>, read: impl FnOnce(Section<'t, '_>)) {
        read(Section::new(String::new(), root, faults));
    }

    fn new(path: String, table: &'t DeTable<'t>, faults: &'f mut Vec<Fault>) -> Section<'t, 'f> {
        Section {
            path,
            table,
            known: Vec::new(),
            is_open: false,
            faults,
        }
    }

    /// Reads the value of a key into its place, if the file has it.
    pub(super) fn key<T>(
        &mut self,
        key: &'static str,
        place: &mut T,
        read: impl FnOnce(&'t Spanned<DeValue<'t>>) -> Result<T, Vec<Fault>>,
    ) {
        self.known.push(key);
        if let Some(value) = self.table.get(key) {
            let path = dotted(&self.path, key);
            self.take(&path, read(value), |value| *place = value);
        }
    }

    /// Reads the table under a key, if the file has it.
    pub(super) fn table(&mut self, key: &'static str, read: impl FnOnce(Section<'t, '_>)) {
        self.known.push(key);
        if let Some(value) = self.table.get(key) {
            self.under(key, value, read);
        }
    }

    /// Reads all keys, whatever their names.
    pub(super) fn each_key<T>(
        mut self,
        read: impl Fn(&'t Spanned<DeValue<'t>>) -> Result<T, Vec<Fault>>,
        mut take: impl FnMut(&str, T),
    ) {
        self.is_open = true;
        let table = self.table;
        for (key, value) in table {
            let path = dotted(&self.path, key.get_ref());
            self.take(&path, read(value), |value| take(key.get_ref(), value));
        }
    }

    /// Reads all tables, whose names are judged first.
    pub(super) fn each_table(
        mut self,
        judge: impl Fn(&Spanned<DeString<'_>>) -> Result<(), Vec<Fault>>,
        mut read: impl FnMut(&str, Section<'t, '_>),
    ) {
        self.is_open = true;
        let table = self.table;
        for (key, value) in table {
            let name = key.get_ref();
            let path = dotted(&self.path, name);
            self.take(&path, judge(key), |()| {});
            self.under(name, value, |section| read(name, section));
        }
    }

    fn under(&mut self, key: &str, value: &'t Spanned<DeValue<'t>>, read: impl FnOnce(Section<'t, '_>)) {
        let path = dotted(&self.path, key);
        match value.get_ref() {
            DeValue::Table(table) => read(Section::new(path, table, self.faults)),
            _ => self.take(&path, Err::<(), _>(value::expected("a table", value)), |()| {}),
        }
    }

    fn take<T>(&mut self, path: &str, read: Result<T, Vec<Fault>>, take: impl FnOnce(T)) {
        match read {
            Ok(value) => take(value),
            Err(faults) => self.faults.extend(faults.into_iter().map(|fault| fault.under(path))),
        }
    }
}

impl Drop for Section<'_, '_> {
    fn drop(&mut self) {
        let is_unknown = |key: &&Spanned<DeString<'_>>| !self.is_open && !self.known.contains(&key.get_ref().as_ref());
        let mut unknown: Vec<_> = self.table.keys().filter(is_unknown).collect();
        unknown.sort_by_key(|key| key.span().start);
        // One more, so that it is seen that there are more.
        let faults = unknown.into_iter().take(MOST_SHOWN + 1).map(|key| {
            let reason = unknown_key(key.get_ref(), &self.known);
            Fault::new(key.span().start, reason).under(&dotted(&self.path, key.get_ref()))
        });
        self.faults.extend(faults);
    }
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    let comparable = known.iter().filter(|_| key.len() <= LONGEST_COMPARED);
    let nearest = comparable
        .map(|known| (strsim::jaro_winkler(key, known), *known))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match nearest {
        Some((_, nearest)) => format!("unknown key; did you mean `{nearest}`?"),
        None => format!("unknown key; known here: {}", known.join(", ")),
    }
}
