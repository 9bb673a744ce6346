//! Decides what the hosts that run on a plugin directory would not take over from it, for `host check`. Changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Admissions;
use crate::admission::admit::Admitted;
use crate::admission::names;
use crate::admission::stage::Staging;
use crate::admission::static_tls;
use crate::config::{Config, Replace};
use crate::directory::survey::Survey;
use crate::selection::unserved::other_content;
use crate::status::report::{PluginReport, Report};
use crate::status::serving_file::Serving;

/// What the hosts that run on this directory don't take over.
pub(super) fn not_taken_over(
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
