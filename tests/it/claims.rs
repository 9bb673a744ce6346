//! Which plugin serves which command is what plugins.toml says, and else follows from what lies in the directory: never
//! from the order of arrival.

use std::os::unix::fs::symlink;

use serde_json::Value;
use tests::host::{Site, show};
use tests::swaps::soname;

use crate::start::{put, refusal};

#[test]
fn what_serves_is_what_the_configuration_says() {
    // 0x10 is the command in the plugin's record.
    for (configuration, acks) in [
        ("", &[(0x10, 0), (0x20, 0xF0)][..]),
        ("[plugin.start-a]", &[(0x10, 0), (0x20, 0xF0)]),
        (
            "[plugin.start-a]\ncommands = [0x20, 0x21]",
            &[(0x10, 0xF0), (0x20, 0), (0x21, 0)],
        ),
        ("[plugin.start-a]\nversion = \"1\"", &[(0x10, 0)]),
        ("[plugin.start-a]\nenabled = false", &[(0x10, 0xF0)]),
        ("[plugin.start-a]\nenabled = false\nrequired = true", &[(0x10, 0xF0)]),
        ("plugins.discover = false", &[(0x10, 0xF0)]),
        ("plugins.discover = false\n[plugin.start-a]", &[(0x10, 0)]),
        ("plugins.dir = \"elsewhere\"\nplugins.create = true", &[(0x10, 0xF0)]),
    ] {
        let site = Site::new(configuration);
        put(&site, "start-a", "1.0.0", &[0x10]);
        let host = site.start();
        let mut client = host.connect();
        for (command, result) in acks {
            assert_eq!(
                client.submit(*command, b"").result,
                *result,
                "{configuration:?} {command:#x}"
            );
        }
        host.stop();
    }
}

#[test]
fn a_config_table_reaches_its_plugin() {
    let site = Site::new("[plugin.start-a.config]\nnumber = 7\n");
    put(&site, "start-a", "1.0.0", &[0x10]);
    let host = site.start();
    assert_eq!(host.connect().submit(0x10, b"").body, [0, 0, 0, 7]);
    host.stop();
}

// Long: a table of cases.
#[test]
fn claims_on_one_command_are_settled_in_a_fixed_order() {
    // Each line: the rule, plugins as (name, version, whether it has a link), the configuration, who serves.
    type Claims = (
        &'static str,
        [(&'static str, &'static str, bool); 2],
        &'static str,
        &'static str,
    );
    let claims: &[Claims] = &[
        (
            "a table before a link",
            [("start-a", "1.0.0", true), ("start-b", "1.0.0", false)],
            "[plugin.start-b]",
            "start-b",
        ),
        (
            "a link before none",
            [("start-a", "1.0.0", false), ("start-b", "1.0.0", true)],
            "",
            "start-b",
        ),
        (
            "a link before the lower line",
            [("start-a", "1.0.0", false), ("start-b", "2.0.0", true)],
            "",
            "start-b",
        ),
        (
            "the lower line before the name",
            [("start-a", "2.0.0", false), ("start-b", "1.0.0", false)],
            "",
            "start-b",
        ),
        (
            "the name last",
            [("start-b", "1.0.0", false), ("start-a", "1.0.0", false)],
            "",
            "start-a",
        ),
        (
            "the commands of tables count",
            [("start-a", "1.0.0", true), ("start-b", "1.0.0", true)],
            "[plugin.start-b]\ncommands = [0x10, 0x11]",
            "start-b",
        ),
    ];
    for (rule, plugins, configuration, winner) in claims {
        let site = Site::new(configuration);
        for (name, version, linked) in plugins {
            let file = put(&site, name, version, &[0x10]);
            if *linked {
                symlink(file.file_name().unwrap(), site.plugins().join(soname(name, version))).unwrap();
            }
        }
        let (loser, version, linked) = plugins.iter().find(|(name, ..)| name != winner).unwrap();
        let (_, report) = site.check(&[]);
        let host = site.start();
        assert_eq!(host.connect().submit(0x10, b"").result, 0, "{rule}");
        let log = host.stop();
        let serving: Vec<&Value> = log.iter().filter(|event| event["message"] == "serving").collect();
        assert_eq!(serving.len(), 1, "{rule}:\n{}", show(&log));
        assert_eq!(serving[0]["plugin"], *winner, "{rule}:\n{}", show(&log));
        let refusal = refusal(&log, "command-taken", loser);
        assert_eq!(refusal["field"], "command 0x10", "{rule}");
        assert!(refusal["host"].as_str().unwrap().contains(winner), "{rule}: {refusal}");
        assert!(refusal["found"].as_str().unwrap().contains(loser), "{rule}: {refusal}");
        // `check` foretold it, and only who serves gets a link.
        assert_eq!(
            report["plugins"][0]["refusal"]["plugin"], refusal["found"],
            "{rule}: {report}"
        );
        let link = site.plugins().join(soname(loser, version));
        assert_eq!(link.is_symlink(), *linked, "{rule}: {}", link.display());
    }
}
