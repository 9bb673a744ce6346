//! Decides what `host check` says of each plugin, once: what of it serves now, and what at the next start. Pure.

use std::collections::BTreeMap;

use plugin_record::Line;
use serde::Serialize;

use crate::admission::names::{self, Platform};
use crate::logging::FieldValue;
use crate::status::report::{FileReport, Report, State};
use crate::status::snapshot::View;

/// One plugin, at one soname.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct PluginSummary {
    /// Its name.
    pub(super) plugin: String,
    /// Its soname, if a file brings one.
    pub(super) soname: Option<String>,
    /// What of it serves in the host that runs; nothing where that is not known.
    pub(super) now: Option<Serves>,
    /// What else of it is alive there: versions with their states.
    pub(super) alive: Vec<(String, State)>,
    /// What of it would serve after a start.
    pub(super) next: Option<Serves>,
}

/// A version that serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Serves {
    pub(super) version: String,
    pub(super) digest: String,
    pub(super) commands: Vec<u8>,
}

impl Serves {
    fn shown(&self) -> String {
        format!("{} serves {}", self.version, FieldValue::commands(&self.commands))
    }
}

impl PluginSummary {
    /// What it does now, in the host that runs.
    pub(super) fn shown_now(&self) -> String {
        let serves = self.now.as_ref().map_or_else(|| NOTHING.to_owned(), Serves::shown);
        let alive = self.alive.iter().map(|(version, state)| match state {
            State::Draining => format!("; {version} drains"),
            _ => format!("; {version} in standby"),
        });
        alive.fold(serves, |all, one| all + &one)
    }

    /// What it does after a start; `is_known`: whether it is known what it does now.
    pub(super) fn shown_next(&self, is_known: bool) -> String {
        match (&self.now, &self.next) {
            (now, next) if is_known && now == next => "the same".to_owned(),
            (Some(now), Some(next)) if now.version == next.version && now.commands == next.commands => {
                format!("{}, of other content", next.shown())
            }
            (_, Some(next)) => next.shown(),
            (_, None) => NOTHING.to_owned(),
        }
    }

    /// Whether a start changes what serves.
    pub(super) fn changes(&self) -> bool {
        self.now != self.next
    }
}

const NOTHING: &str = "does not serve";

/// Every plugin that is there, is asked for or serves, sorted by name and soname.
pub(super) fn summaries(report: &Report, running: Option<&View>) -> Vec<PluginSummary> {
    let mut all: BTreeMap<(String, Option<String>), PluginSummary> = BTreeMap::new();
    for file in &report.files {
        let Some(plugin) = &file.plugin else { continue };
        let summary = entry(&mut all, plugin, soname(file));
        if file.state == State::Serving {
            summary.next = serves(file);
        }
    }
    for instance in running.iter().flat_map(|view| &view.instances) {
        let summary = entry(&mut all, &instance.plugin, Some(instance.soname.clone()));
        let version = instance.version.to_string();
        match instance.state {
            State::Serving => {
                summary.now = Some(Serves {
                    version,
                    digest: instance.digest.clone(),
                    commands: instance.commands.clone(),
                });
            }
            state => summary.alive.push((version, state)),
        }
    }
    for unserved in &report.plugins {
        // A table's name alone, unless one of its sonames is there.
        let is_there = all.keys().any(|(plugin, _)| *plugin == unserved.plugin);
        if !is_there {
            entry(&mut all, &unserved.plugin, unserved.soname.clone());
        }
    }
    all.into_values().collect()
}

fn entry<'a>(
    all: &'a mut BTreeMap<(String, Option<String>), PluginSummary>,
    plugin: &str,
    soname: Option<String>,
) -> &'a mut PluginSummary {
    let key = (plugin.to_owned(), soname.clone());
    all.entry(key).or_insert_with(|| PluginSummary {
        plugin: plugin.to_owned(),
        soname,
        now: None,
        alive: Vec::new(),
        next: None,
    })
}

fn serves(file: &FileReport) -> Option<Serves> {
    Some(Serves {
        version: file.version.clone()?,
        digest: file.digest.clone()?,
        commands: file.commands.clone(),
    })
}

/// Whether a link says no more than the file that it leads to.
pub(super) fn is_alias(file: &FileReport, report: &Report) -> bool {
    let target = file.link.as_ref().and_then(|link| Some(file.file.parent()?.join(link)));
    let same = |other: &FileReport| other.digest == file.digest && other.refusals == file.refusals;
    target.is_some_and(|target| report.files.iter().any(|other| other.file == target && same(other)))
}

/// The soname of a plugin's file, by what its record says.
fn soname(file: &FileReport) -> Option<String> {
    let line = Line::of(&file.version.as_ref()?.parse().ok()?);
    let stem = names::stem(file.plugin.as_ref()?);
    Some(Platform::HOST.file_name(&stem, Some(&line.to_string())))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::status::snapshot::InstanceStatus;

    fn file(version: &str, state: State) -> FileReport {
        FileReport {
            plugin: Some("x".to_owned()),
            version: Some(version.to_owned()),
            digest: Some(format!("digest of {version}")),
            state,
            commands: vec![2],
            ..FileReport::candidate(PathBuf::from(format!("/p/libx.so.{version}")))
        }
    }

    fn instance(version: &str, state: State) -> InstanceStatus {
        InstanceStatus {
            plugin: "x".to_owned(),
            soname: "libx.so.1".to_owned(),
            version: version.parse().expect("a version"),
            digest: format!("digest of {version}"),
            state,
            commands: vec![2],
            file: None,
        }
    }

    fn summary(files: Vec<FileReport>, instances: Option<Vec<InstanceStatus>>) -> PluginSummary {
        let report = Report {
            files,
            plugins: Vec::new(),
            unversioned: Vec::new(),
            misnamed: Vec::new(),
        };
        let view = instances.map(|instances| View {
            instances,
            ..View::default()
        });
        let [summary] = summaries(&report, view.as_ref()).try_into().expect("one plugin");
        summary
    }

    #[test]
    fn a_plugin_is_there_once_with_what_serves_now_and_next() {
        let files = || vec![file("1.0.0", State::Standby), file("1.1.0", State::Serving)];
        let one = summary(
            files(),
            Some(vec![
                instance("1.1.0", State::Serving),
                instance("1.0.0", State::Draining),
            ]),
        );
        assert_eq!(one.shown_now(), "1.1.0 serves [0x02]; 1.0.0 drains");
        assert_eq!((one.shown_next(true), one.changes()), ("the same".to_owned(), false));
        let old = summary(files(), Some(vec![instance("1.0.0", State::Serving)]));
        assert_eq!(old.shown_now(), "1.0.0 serves [0x02]");
        assert_eq!(
            (old.shown_next(true), old.changes()),
            ("1.1.0 serves [0x02]".to_owned(), true)
        );
        let unknown = summary(files(), None);
        assert_eq!(unknown.shown_next(false), "1.1.0 serves [0x02]");
        let gone = summary(Vec::new(), Some(vec![instance("1.1.0", State::Serving)]));
        assert_eq!(
            (gone.shown_next(true), gone.changes()),
            ("does not serve".to_owned(), true)
        );
    }
}
