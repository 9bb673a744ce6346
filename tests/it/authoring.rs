//! The author's side: a plugin is one trait, one macro line, one line of build.rs and a manifest, written anywhere. What
//! is left out is a compile error that says what to add.

use tests::cargo::{run, sample, text};
use tests::crates::PluginCrate;
use tests::host::Site;

/// The plugin that the documentation shows.
const ECHO: &str = include_str!("../../plugins/submit-echo/src/lib.rs");

#[test]
fn a_plugin_with_a_configuration_is_some_twenty_lines() {
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    let lines = ECHO.lines().filter(is_code).count();
    assert!((10..=25).contains(&lines), "{lines} lines of code");
    assert!(ECHO.contains("#![forbid(unsafe_code)]"));
}

#[test]
fn the_sample_plugin_is_a_plugin_outside_the_workspace_as_well() {
    let library = echo("authoring-echo").library();
    let site = Site::new("[plugin.authoring-echo]\nrequired = true\nconfig.reply = true\n");
    let (code, report) = site.check(&[&library]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["files"][0]["state"], "admitted");
    site.install(&library);
    let host = site.start();
    assert_eq!(host.connect().submit(0x10, b"hello").body, b"hello");
    host.stop();
}

#[test]
fn a_stripped_library_with_link_time_optimisation_is_admitted_and_serves() {
    let mut plugin = echo("authoring-stripped");
    // Optimised less than usual, which takes half the time and leaves the rest as it is.
    plugin.manifest = "[profile.release]\nstrip = true\nlto = \"fat\"\nopt-level = 1\n".to_owned();
    plugin.arguments = vec!["--release".to_owned()];
    let library = plugin.library();
    let symbols = |path| object_symbols(&std::fs::read(path).unwrap());
    assert_eq!(symbols(&library), 0, "the library is not stripped");
    assert_ne!(
        symbols(&sample("submit-echo")),
        0,
        "nothing would be found in any library"
    );

    // By a plain copy, as an operator does it.
    let site = Site::default();
    site.copy(&library, "libauthoring_stripped.so.1.0.0");
    let (code, report) = site.check(&[]);
    assert_eq!(
        (code, &report["files"][0]["state"]),
        (0, &"serving".into()),
        "{report:#}"
    );
    let host = site.start();
    assert_eq!(host.connect().submit(0x10, b"").result, 0);
    host.stop();
}

#[test]
fn cargo_check_and_clippy_accept_a_plugin_that_forbids_unsafe_code() {
    let plugin = echo("authoring-lints");
    plugin.write();
    for command in ["check", "clippy"] {
        let mut cargo = plugin.cargo(command);
        cargo.env("CARGO_TARGET_DIR", plugin.target());
        if command == "clippy" {
            cargo.args(["--", "--deny", "warnings"]);
        }
        let output = run(&mut cargo);
        let printed = text(&output);
        if command == "clippy" && (printed.contains("is not installed") || printed.contains("no such command")) {
            eprintln!("SKIPPED: clippy is not installed");
            continue;
        }
        assert!(output.status.success(), "cargo {command}:\n{printed}");
    }
}

// Long: a table of cases.
#[test]
fn what_is_left_out_is_an_error_that_says_what_to_add() {
    type Change = fn(&mut PluginCrate);
    let mistakes: [(&str, Change, &[&str]); 9] = [
        (
            "build-script",
            |plugin| plugin.build = None,
            &[
                "Add a build.rs with `fn main() { plugin_build::emit() }`",
                "plugin-build under [build-dependencies]",
            ],
        ),
        (
            "abort",
            |plugin| plugin.manifest = "[profile.dev]\npanic = \"abort\"".into(),
            &[
                "must be built with panic = \"unwind\"",
                "Remove `panic = \"abort\"` from the profile in Cargo.toml",
            ],
        ),
        (
            "table",
            |plugin| plugin.commands = None,
            &[
                "Cargo.toml has no [package.metadata.plugin] table; add the commands",
                "commands = [0x02]",
            ],
        ),
        (
            "no-command",
            |plugin| plugin.commands = Some("[]".into()),
            &["names no command; add at least one", "[0x02]"],
        ),
        (
            "cdylib",
            |plugin| plugin.lib.clear(),
            &["builds no shared library", "crate-type = [\"cdylib\"]"],
        ),
        (
            "conn",
            |plugin| plugin.commands = Some("[0x01]".into()),
            &["command 0x01 of", "expected 0x02 to 0x7F"],
        ),
        (
            "ack",
            |plugin| plugin.commands = Some("[0x10, 0x80]".into()),
            &["command 0x80 of", "expected 0x02 to 0x7F"],
        ),
        (
            "key",
            |plugin| plugin.commands = Some("[0x10]\ncomands = [0x11]".into()),
            &[
                "unknown key \"comands\" in [package.metadata.plugin]",
                "the keys are \"commands\" and \"host\"",
            ],
        ),
        (
            "twice",
            |plugin| plugin.source.push_str("export_plugin!(Plugin);\n"),
            &["`_EXPORT_PLUGIN_STANDS_ONCE_IN_A_CRATE` is defined multiple times"],
        ),
    ];
    for (mistake, change, telling) in mistakes {
        let mut plugin = PluginCrate::new("authoring-mistake").variant(mistake);
        change(&mut plugin);
        let printed = plugin.try_library().expect_err(mistake);
        for part in telling {
            assert!(printed.contains(part), "{mistake}: {part:?} is not in\n{printed}");
        }
    }
}

#[test]
fn a_name_or_version_that_no_host_takes_is_an_error_and_build_metadata_is_none() {
    let name = "authoring-\u{e9}cho";
    let printed = PluginCrate::new(name).try_library().unwrap_err();
    let telling = format!("can't be a plugin's: {name:?} has '\u{e9}', expected ASCII letters, digits, - and _ alone");
    assert!(printed.contains(&telling), "{printed}");
    assert!(printed.contains("rename the package"), "{printed}");

    let version = format!("1.0.0-{}", "x".repeat(240));
    let long = PluginCrate::new("authoring-long").version(&version).variant("version");
    let printed = long.try_library().unwrap_err();
    assert!(printed.contains("make a file name of "), "{printed}");

    let library = PluginCrate::new("authoring-metadata")
        .version("1.0.0+of.a-day")
        .library();
    let site = Site::default();
    let (code, report) = site.check(&[&library]);
    assert_eq!(
        (code, &report["files"][0]["version"]),
        (0, &"1.0.0+of.a-day".into()),
        "{report:#}"
    );
    site.install(&library);
    let host = site.start();
    assert_eq!(host.connect().submit(0x10, b"").result, 0);
    host.stop();
}

/// The sample's source as it stands, in a crate of another name.
fn echo(name: &str) -> PluginCrate {
    let mut plugin = PluginCrate::new(name);
    plugin.source = ECHO.to_owned();
    plugin.dependencies = "serde = { version = \"1\", features = [\"derive\"] }".to_owned();
    plugin
}

/// How many symbols a library's symbol table has; not those for the dynamic linker, which no strip removes.
fn object_symbols(library: &[u8]) -> usize {
    use object::{Object, ObjectSymbol};
    let file = object::File::parse(library).unwrap();
    file.symbols().filter(|symbol| !symbol.is_undefined()).count()
}
