//! The first lines of `host check`: which host runs and what it serves, and what a start would.

use std::path::Path;

use plugin_record::printable;

use super::plugins::{PluginSummary, is_alias};
use super::running::Running;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::status::report::{Report, State};
use crate::status::snapshot::View;

/// Says which host runs, and what it serves, where nothing can be said of the next start; nothing where there is none.
pub(super) fn running_alone(running: &Running) -> Result<(), Failure> {
    match running.status() {
        None if matches!(running, Running::NotSeen) => Ok(()),
        None => output::line(&format!("running now: {}", running.title())),
        Some(status) => {
            let by_what = match status.view.configuration_error {
                Some(_) => ", with the configuration that was good last",
                None => "",
            };
            output::line(&format!(
                "running now: {}{by_what}: {}",
                running.title(),
                counted(&status.view)
            ))
        }
    }
}

/// Whether a host looks at this plugin directory.
pub(super) fn is_of(view: &View, directory: &Path) -> bool {
    view.directory == printable(directory.display().to_string())
}

/// What serves now and what at the next start, in a line each.
pub(super) fn heading(
    report: &Report,
    running: &Running,
    plugins: &[PluginSummary],
    directory: &Path,
) -> Result<(), Failure> {
    output::line(&format!(
        "plugin directory: {}",
        printable(directory.display().to_string())
    ))?;
    match running.status() {
        None => output::line(&format!("running now: {}", running.title()))?,
        Some(status) => {
            output::line(&format!("running now: {}: {}", running.title(), counted(&status.view)))?;
            if let Some(error) = &status.view.directory_error {
                output::line(&format!(
                    "  it can't read its plugin directory: {}",
                    printable(error.clone())
                ))?;
            }
            if let Some(error) = &status.view.configuration_error {
                output::line(&format!("  with an older configuration: {}", printable(error.clone())))?;
            }
            // A host that starts has not looked yet.
            let has_looked = !status.view.directory.is_empty();
            if has_looked && !is_of(&status.view, directory) {
                output::line(&format!(
                    "  of another plugin directory, {}: plugins.dir takes effect at the next start",
                    status.view.directory
                ))?;
            }
            if has_looked && !status.view.watch {
                output::line(&format!(
                    "  it looks only when it is told to (plugins.watch = false): kill -HUP {}",
                    status.host.pid
                ))?;
            }
        }
    }
    let serving = plugins.iter().filter(|plugin| plugin.next.is_some()).count();
    let refused = report.files.iter().filter(|file| !is_alias(file, report));
    let refused = refused.filter(|file| file.state == State::Refused).count();
    let refuses = |plugin: &PluginSummary| {
        let files = running.status().into_iter().flat_map(|status| &status.view.files);
        let mut serving = files.filter(|file| file.state == State::Serving && !file.refusals.is_empty());
        serving.any(|file| file.plugin.as_ref() == Some(&plugin.plugin))
    };
    // A configuration that the host refuses is the one that a start uses.
    let changed: Vec<&str> = plugins
        .iter()
        .filter(|plugin| plugin.changes() || refuses(plugin))
        .map(|plugin| plugin.plugin.as_str())
        .collect();
    let changes = match (running.status().is_some(), changed.is_empty()) {
        (false, _) => String::new(),
        (true, true) => "; nothing changes".to_owned(),
        (true, false) => format!("; changed: {}", printable(changed.join(", "))),
    };
    output::line(&format!("at the next start: {}{changes}", count(serving, refused)))
}

fn count(serving: usize, refused: usize) -> String {
    let unit = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let serving = unit(serving, "plugin serves", "plugins serve");
    match refused {
        0 => serving,
        refused => format!("{serving}, {}", unit(refused, "file is refused", "files are refused")),
    }
}

fn counted(view: &View) -> String {
    let serving = view
        .instances
        .iter()
        .filter(|instance| instance.state == State::Serving);
    let refused = view
        .files
        .iter()
        .filter(|file| file.state == State::Refused && file.link.is_none());
    count(serving.count(), refused.count())
}
