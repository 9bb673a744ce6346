//! The cures that `host check` prints, run as they stand, cure.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use tests::cargo::{path_with_host, root, run, skipped_without_registry, succeed, text};
use tests::crates::PluginCrate;
use tests::host::Site;
use tests::interface::repository;
use tests::report::codes;

use crate::dependencies::exact;

/// Older versions of crates that the host links.
const OLD: [(&str, &str); 2] = [("utf8parse", "0.2.1"), ("strsim", "0.11.0")];

// Long: one story, whose steps need each other.
#[test]
fn five_faults_are_named_at_once_and_five_cures_mend_them() {
    let (other, host) = ("nightly", host_release());
    if !rustup_has(other) || !rustup_has(&host) {
        eprintln!("SKIPPED: needs rustup with the toolchains {other} and {host}");
        return;
    }
    let mut plugin = PluginCrate::new("cures-five");
    plugin.dependencies = "utf8parse = \"0.2\"\nstrsim = \"0.11\"\n".to_owned();
    // What an author may do to the link arguments without meaning it; the cure says to build without it.
    plugin.build = Some(
        "fn main() {
            plugin_build::emit();
            println!(\"cargo::rerun-if-env-changed=ANOTHER_SONAME\");
            if let Ok(soname) = std::env::var(\"ANOTHER_SONAME\") {
                println!(\"cargo::rustc-cdylib-link-arg=-Wl,-soname,{soname}\");
            }
        }"
        .to_owned(),
    );
    plugin.other_target = Some(crate::compilers::other_target());
    plugin.write();
    for (name, version) in OLD {
        let output = run(plugin.cargo("update").args(["-p", name, "--precise", version]));
        if skipped_without_registry(&text(&output)) {
            return;
        }
        assert!(output.status.success(), "{}", text(&output));
    }
    plugin.environment = vec![
        ("RUSTUP_TOOLCHAIN".to_owned(), other.to_owned()),
        ("ANOTHER_SONAME".to_owned(), "libcures_five.so.7".to_owned()),
    ];
    let site = exact();
    site.copy(&plugin.library(), "libcures_five.so.7.1");

    let (code, report) = site.check(&[]);
    let found: BTreeSet<&str> = codes(&report["files"][0]).into_iter().collect();
    assert_eq!(code, 1);
    assert_eq!(
        found,
        BTreeSet::from(["compiler", "dependency", "soname-record", "version-record"]),
        "{report:#}"
    );
    assert_eq!(
        report["files"][0]["refusals"].as_array().unwrap().len(),
        5,
        "{report:#}"
    );

    let (_, table, _) = site.with_configuration(&["check"]);
    let cures: Vec<&str> = table.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert_eq!(cures.len(), 6, "five cures and what ends them:\n{table}");
    plugin.environment.clear();
    for cure in cures {
        let mut shell = plugin.shell(cure);
        shell.env("PATH", path_with_host());
        succeed(
            shell
                .env("XDG_RUNTIME_DIR", site.path().join("run"))
                .env_remove("RUSTUP_TOOLCHAIN"),
        );
    }
    let (code, report) = site.check(&[]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(site.start().connect().submit(0x10, b"").result, 0);
}

/// The interface is in no registry: what one has under its name is another package.
#[test]
fn the_cure_for_another_interface_works_once_its_comment_is_followed_and_adds_no_package() {
    let mut plugin = PluginCrate::new("cures-interface");
    plugin.repository = repository("next-major", "2.0.0", &[]);
    let site = Site::default();
    let (code, report) = site.check(&[&plugin.library()]);
    assert_eq!(
        (code, codes(&report["files"][0])),
        (1, vec!["abi-plugin-api"]),
        "{report:#}"
    );
    let cure = report["files"][0]["refusals"][0]["cure"].as_str().unwrap();
    assert!(cure.contains("plugin-api and plugin-build from the sources of this host (version 1.0.0), by path or git"));

    plugin.repository = root().to_owned();
    plugin.write();
    let manifest = plugin.folder().join("Cargo.toml");
    let before = fs::read_to_string(&manifest).unwrap();
    succeed(plugin.shell(cure).env("CARGO_TARGET_DIR", plugin.target()));
    assert_eq!(fs::read_to_string(&manifest).unwrap(), before);
    let library = plugin.target().join("release/libcures_interface.so");
    let (code, report) = site.check(&[&library]);
    assert_eq!(code, 0, "{report:#}");
}

fn host_release() -> String {
    let output = succeed(tests::cargo::rustc().arg("-vV"));
    let text = text(&output);
    text.lines()
        .find_map(|line| line.strip_prefix("release: "))
        .unwrap()
        .to_owned()
}

fn rustup_has(toolchain: &str) -> bool {
    let listed = Command::new("rustup").args(["toolchain", "list"]).output();
    listed.is_ok_and(|listed| {
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        listed.lines().any(|line| line.starts_with(&format!("{toolchain}-")))
    })
}
