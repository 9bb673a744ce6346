//! Decides what the host that runs would not take over from its plugin directory, for `host check`. Changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Admissions;
use crate::admission::admit::Admitted;
use crate::admission::names;
use crate::admission::static_tls;
use crate::config::{Config, Replace};
use crate::directory::survey::Survey;
use crate::selection::unserved::other_content;
use crate::status::report::{PluginReport, Report, State};
use crate::status::snapshot::{InstanceStatus, Status};

/// What a host that runs doesn't take over.
pub(super) fn not_taken_over(
    report: &Report,
    survey: &Survey,
    admitted: &Admissions,
    running: &Status,
    config: &Config,
) -> Vec<PluginReport> {
    let is_replaced = config.plugins.replace == Replace::Allow;
    let instances = running.view.instances.iter();
    let serving: Vec<&InstanceStatus> = instances.filter(|one| one.state == State::Serving).collect();
    let contents = serving.iter().filter(|_| !is_replaced);
    let others = contents.filter_map(|content| {
        let file_name = content.file.as_ref()?;
        let path = survey.directory.join(file_name);
        let file = report.files.iter().find(|file| file.file == path)?;
        let found = file.digest.as_ref().filter(|found| **found != content.digest)?;
        Some(PluginReport {
            plugin: file.plugin.clone()?,
            soname: Some(content.soname.clone()),
            refusal: other_content(file_name, &content.digest, found),
        })
    });
    let files = report.files.iter().filter(|file| file.link.is_none());
    let files = files.filter_map(|file| admitted.get(file.digest.as_ref()?));
    let newest = newest(files).into_values();
    let without_room = newest.filter_map(|admitted| without_room(admitted, running, &serving));
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
fn without_room(admitted: &Admitted, running: &Status, serving: &[&InstanceStatus]) -> Option<PluginReport> {
    let reserve = &running.view.static_tls;
    let room = reserve.room?;
    let need = admitted.static_tls().filter(|need| room.is_too_small_for(*need))?;
    let record = admitted.record();
    let soname = names::soname(record);
    let is_open = reserve.held_by.contains(&admitted.digest().to_string());
    // What is older than what serves is not taken over anyway.
    let served = serving.iter().find(|served| served.soname == soname);
    if is_open || served.is_some_and(|served| served.version >= record.version) {
        return None;
    }
    let mut refusal = static_tls::refusal_of_host(Some(need), None, room, &reserve.tunables, record);
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
