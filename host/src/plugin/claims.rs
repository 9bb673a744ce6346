//! Who gets which command: tables first, then plugins that have a link, then the lower compatibility line, then the
//! name. Pure, and the same at start and while running, so that the outcome does not depend on the order of arrival.

use std::sync::Arc;

use super::admit::Admitted;
use super::name::{Platform, stem};
use super::survey::{AtSoname, Group, Survey};
use super::{Code, Refusal};
use crate::config::{Config, PluginTable};

/// A plugin version that is to serve.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// Its soname's versions.
    pub group: &'a Group,
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

/// Settles all claims.
pub fn settle<'a>(survey: &'a Survey, config: &'a Config) -> Plan<'a> {
    let mut plan = Plan::default();
    let mut candidates: Vec<(&Group, Option<&PluginTable>)> = Vec::new();
    // Sonames that a table has spoken for. Another line of the same plugin is another soname: it may be discovered.
    let mut in_tables: Vec<&str> = Vec::new();
    for (name, table) in &config.plugin {
        let mut lines: Vec<&Group> = survey.groups.iter().filter(|group| group.plugin == *name).collect();
        if !table.enabled {
            in_tables.extend(lines.iter().map(|group| group.soname.as_str()));
            continue;
        }
        lines.sort_by_key(|group| (!group.is_linked(), group.line));
        let is_asked_for = |group: &&&Group| table.version.is_none_or(|line| line == group.line);
        match lines.iter().find(is_asked_for) {
            Some(group) => {
                in_tables.push(&group.soname);
                candidates.push((*group, Some(table)));
            }
            None => plan.unserved.push(missing(survey, name, table)),
        }
    }
    if config.plugins.discover {
        let others = survey
            .groups
            .iter()
            .filter(|group| !in_tables.contains(&group.soname.as_str()));
        candidates.extend(others.map(|group| (group, None)));
    }
    candidates.sort_by_key(|(group, table)| (table.is_none(), !group.is_linked(), group.line, &group.plugin));
    for (group, table) in candidates {
        let Some(admitted) = group.wanted() else {
            plan.unserved.extend(unwanted(group, table));
            continue;
        };
        let own = table.and_then(|table| table.commands.as_ref());
        let commands = own.unwrap_or(&admitted.record().commands).clone();
        let taken = plan.claims.iter().find_map(|claim| {
            let command = commands.iter().find(|command| claim.commands.contains(command))?;
            Some((*command, claim))
        });
        match taken {
            Some((command, winner)) => {
                let refusal = command_taken(command, winner, &group.plugin, &group.soname);
                plan.unserved.push(Unserved {
                    plugin: group.plugin.clone(),
                    soname: Some(group.soname.clone()),
                    refusal,
                });
            }
            None => plan.claims.push(Claim {
                group,
                admitted: Arc::clone(admitted),
                commands,
                table,
            }),
        }
    }
    plan
}

/// Why a plugin can't have a command that another one serves.
pub fn command_taken(command: u8, winner: &Claim<'_>, plugin: &str, soname: &str) -> Refusal {
    let cure = match winner.group.plugin == plugin {
        true => format!("# say which version is meant in plugins.toml: [plugin.{plugin}] version = \"...\""),
        false => format!("# give one of them other commands in plugins.toml: [plugin.{plugin}] commands = [...]"),
    };
    Refusal::new(
        Code::CommandTaken,
        format!("command {command:#04x}"),
        format!("{} ({}) serves it", winner.group.plugin, winner.group.soname),
        format!("{plugin} ({soname}) claims it"),
        cure,
    )
}

fn file_name(plugin: &str, version: Option<&str>) -> String {
    Platform::HOST.file_name(&stem(plugin), version)
}

/// A table asks for what no admitted file brings.
fn missing(survey: &Survey, name: &str, table: &PluginTable) -> Unserved {
    let expected = match table.version {
        Some(line) => file_name(name, Some(&line.to_string())),
        None => file_name(name, Some("*")),
    };
    let lines: Vec<&str> = survey
        .groups
        .iter()
        .filter(|group| group.plugin == name)
        .map(|group| group.soname.as_str())
        .collect();
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
            format!("{expected} in {}", survey.directory.display()),
            found,
            format!(
                "cargo build --release -p {name} && host install target/release/{} --plugins FILE",
                file_name(name, None)
            ),
        ),
    }
}

/// A soname whose link or file was refused: its own refusals say why. One that has only pre-releases waits for a link.
fn unwanted(group: &Group, table: Option<&PluginTable>) -> Option<Unserved> {
    let required = table.is_some_and(|table| table.required);
    let found = match group.at_soname {
        AtSoname::Refused => "what stands there is refused",
        _ => "only pre-releases, which need a link",
    };
    (required || matches!(group.at_soname, AtSoname::Refused)).then(|| Unserved {
        plugin: group.plugin.clone(),
        soname: Some(group.soname.clone()),
        refusal: Refusal::new(
            Code::PluginMissing,
            group.soname.clone(),
            "a link to an admitted file",
            found,
            format!(
                "ln -sfn {} {} # in the plugin directory",
                file_name(&group.plugin, Some("VERSION")),
                group.soname
            ),
        ),
    })
}
