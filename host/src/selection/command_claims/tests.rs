//! Who gets which command, case by case, without a file.

use super::super::fixtures::{RunningHost, directory, file, link, plugin, serving};
use super::*;
use crate::config::PluginTable;

/// A configuration with these tables.
fn config<const N: usize>(tables: [(&str, PluginTable); N]) -> Config {
    Config {
        plugin: tables.map(|(name, table)| (name.to_owned(), table)).into(),
        ..Config::default()
    }
}

fn sonames(plan: &Plan<'_>) -> Vec<String> {
    serving(plan).into_iter().map(|(soname, _)| soname).collect()
}

fn codes(plan: &Plan<'_>) -> Vec<(String, &'static str)> {
    let unserved = plan.unserved.iter();
    unserved
        .map(|unserved| (unserved.plugin.clone(), unserved.refusal.code.as_str()))
        .collect()
}

#[test]
fn a_command_goes_to_the_table_then_to_the_link_then_to_the_lower_line_then_by_name() {
    let [a1, a2, b1] =
        [("a", "1.0.0"), ("a", "2.0.0"), ("b", "1.0.0")].map(|(name, version)| plugin(name, version, &[2]));
    let none = Config::default();
    let winner = |survey: &Survey, config: &Config| sonames(&resolve_at_start(survey, config));
    let files = || [&a1, &a2, &b1].map(file);
    assert_eq!(winner(&directory(files()), &none), ["liba.so.1"], "by name");
    assert_eq!(
        winner(&directory([file(&a2), file(&b1)]), &none),
        ["libb.so.1"],
        "the lower line"
    );
    let linked = || directory(files().into_iter().chain([link(&a2)]));
    assert_eq!(winner(&linked(), &none), ["liba.so.2"], "the link");
    let with_table = config([("b", PluginTable::default())]);
    assert_eq!(winner(&linked(), &with_table), ["libb.so.1"], "the table");
    let plan = resolve_at_start(&directory([file(&a1), file(&b1)]), &with_table);
    assert_eq!(codes(&plan), [("a".to_owned(), "command-taken")]);
}

#[test]
fn commands_of_a_table_are_in_place_of_the_record_s() {
    let [a, b] = ["a", "b"].map(|name| plugin(name, "1.0.0", &[2]));
    let moved = PluginTable {
        commands: Some(vec![3]),
        ..PluginTable::default()
    };
    let config = config([("a", moved)]);
    let plan = resolve_at_start(&directory([file(&a), file(&b)]), &config);
    assert_eq!(sonames(&plan), ["liba.so.1", "libb.so.1"]);
    assert_eq!(plan.claims[0].commands, [3]);
}

#[test]
fn packages_whose_names_differ_in_dashes_alone_do_not_both_serve() {
    let (dash, underscore) = (plugin("x-y", "1.0.0", &[2]), plugin("x_y", "2.0.0", &[3]));
    let config = Config::default();
    let plan = resolve_at_start(&directory([file(&dash), file(&underscore)]), &config);
    assert_eq!(sonames(&plan), ["libx_y.so.1"]);
    assert_eq!(codes(&plan), [("x_y".to_owned(), "name-taken")]);
}

#[test]
fn another_line_of_a_plugin_serves_beside_the_one_that_its_table_names_if_its_commands_are_free() {
    let [one, two] = [("1.0.0", 2), ("2.0.0", 3)].map(|(version, command)| plugin("a", version, &[command]));
    let same = plugin("a", "1.5.0", &[3]);
    let second = || PluginTable {
        version: Some(Line::Major(2)),
        ..PluginTable::default()
    };
    let mut config = config([("a", second())]);
    let plan = resolve_at_start(&directory([file(&one), file(&two)]), &config);
    assert_eq!(sonames(&plan), ["liba.so.1", "liba.so.2"]);
    let unasked = |plan: &Plan<'_>| plan.unasked.iter().map(|(_, unasked)| *unasked).collect::<Vec<_>>();
    let plan = resolve_at_start(&directory([file(&same), file(&two)]), &config);
    assert_eq!(unasked(&plan), [Unasked::OtherLine(Line::Major(2))]);
    assert!(plan.unserved.is_empty());
    // The line is asked for, and is not there: the other one is not what was meant, and is not undiscovered.
    config.plugins.discover = false;
    let plan = resolve_at_start(&directory([file(&one)]), &config);
    assert_eq!(codes(&plan), [("a".to_owned(), "plugin-missing")]);
    assert_eq!(unasked(&plan), [Unasked::OtherLine(Line::Major(2))]);
}

#[test]
fn a_newcomer_that_loses_its_command_is_turned_away() {
    let (a, old) = (plugin("a", "1.0.0", &[2]), plugin("b", "1.0.0", &[3]));
    let new = plugin("b", "1.1.0", &[2, 3]);
    let start = directory([file(&a), link(&a), file(&old), link(&old)]);
    let mut host = RunningHost::start(&start, Config::default());
    let survey = directory([file(&a), link(&a), file(&old), file(&new), link(&old)]);
    let desired = host.desired(&survey);
    let plan = resolve(&desired.candidates, &survey, &host.config);
    let losers = plan.losing_newcomers(&desired.candidates, &host.sonames);
    assert_eq!(losers, [new.digest()]);
    host.tried.defer(new.digest());
    let desired = host.desired(&survey);
    let plan = resolve(&desired.candidates, &survey, &host.config);
    let both = [("liba.so.1", "1.0.0"), ("libb.so.1", "1.0.0")];
    assert_eq!(
        serving(&plan),
        both.map(|(soname, version)| (soname.to_owned(), version.to_owned()))
    );
    assert_eq!(plan.losing_newcomers(&desired.candidates, &host.sonames), []);
}

/// Its file was brought again without its link, and another one has its command by now: it serves no more.
#[test]
fn what_serves_is_no_newcomer_when_it_loses_its_command() {
    let [a, b] = [("a", 2), ("b", 3)].map(|(name, command)| plugin(name, "1.0.0", &[command]));
    let mut host = RunningHost::start(&directory([file(&a), link(&a), file(&b), link(&b)]), Config::default());
    let takes_all = PluginTable {
        commands: Some(vec![2, 3]),
        ..PluginTable::default()
    };
    host.config = config([("a", takes_all)]);
    host.file = 2;
    let survey = directory([file(&a), link(&a), file(&b)]);
    let desired = host.desired(&survey);
    let plan = resolve(&desired.candidates, &survey, &host.config);
    assert!(desired.candidates[1].takes_link);
    assert_eq!(codes(&plan), [("b".to_owned(), "command-taken")]);
    assert_eq!(plan.losing_newcomers(&desired.candidates, &host.sonames), []);
}

#[test]
fn an_installation_conflicts_with_what_would_keep_it_from_serving() {
    let [a, b] = ["a", "b"].map(|name| plugin(name, "1.0.0", &[2]));
    let installed = directory([file(&a), link(&a)]);
    let refused = |plugin, config: &Config| conflict(plugin, &installed, config).map(|refusal| refusal.code.as_str());
    assert_eq!(refused(&b, &Config::default()), Some("command-taken"));
    assert_eq!(refused(&a, &Config::default()), None, "its own predecessor");
    let table = || PluginTable::default();
    assert_eq!(
        refused(&b, &config([("b", table())])),
        None,
        "its table outweighs a discovered one"
    );
    assert_eq!(
        refused(&b, &config([("a", table()), ("b", table())])),
        Some("command-taken")
    );
}
