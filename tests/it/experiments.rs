//! The questions that people ask of a plugin system before they trust it, each asked as an experiment: what if one thing is
//! different? Go's `plugin` package answers most with "built with a different version of package", and some with a panic. Those
//! about dependencies are asked of a host with `dependencies = "exact"`, which compares what Go compares.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::cargo::{cargo, root, run, sample, scratch, skipped_without_registry, succeed, text};
use tests::crates::{PluginCrate, copy_folder, journal, life, lines, source, write};
use tests::files::{with_identity, with_record};
use tests::host::{Host, Site};
use tests::interface::repository;

use crate::compilers::library_of_another_compiler;
use crate::dependencies::{
    CRATE, OLD, assert_admitted, exact, hosts_version, only_refusal, pinned, plugin, sources_of,
};

#[test]
fn the_same_dependency_with_other_content_is_refused() {
    let copy = scratch().join("crates/experiments-content-copy");
    copy_folder(&sources_of(CRATE), &copy, |_| false);
    write(&copy.join("src/more.rs"), "// A new file is other content.\n");
    let mut plugin = plugin("experiments-copy", "");
    plugin.manifest = format!("[patch.crates-io]\n{CRATE} = {{ path = {copy:?} }}\n");
    let Some(library) = built(&plugin) else { return };
    let (host, found) = sides(&only_refusal(&exact(), &library));
    let ours = hosts_version();
    assert!(host.starts_with(&format!("{ours} (registry ")), "{host}");
    assert!(found.starts_with(&format!("{ours} (path ")), "{found}");
}

#[test]
fn another_patch_version_is_refused() {
    let plugin = plugin("experiments-patch", "");
    if !pinned(&plugin, CRATE, OLD) {
        return;
    }
    let (host, found) = sides(&only_refusal(&exact(), &plugin.library()));
    assert!(host.starts_with(&format!("{} (", hosts_version())), "{host}");
    assert!(found.starts_with(&format!("{OLD} (")), "{found}");
}

#[test]
fn another_major_is_another_crate_but_what_it_shares_underneath_is_compared() {
    // A clap to come: the host has version 4, and both need the same line of one crate.
    let clap = scratch().join("crates/experiments-clap");
    let manifest = "[package]\nname = \"clap\"\nversion = \"5.0.0\"\nedition = \"2024\"\n\
        [dependencies]\nutf8parse = \"0.2\"\n[workspace]\n";
    write(&clap.join("Cargo.toml"), manifest);
    write(&clap.join("src/lib.rs"), "pub use utf8parse::Parser;\n");
    let mut plugin = PluginCrate::new("experiments-major");
    plugin.dependencies = format!("clap = {{ path = {clap:?} }}\n");
    if !pinned(&plugin, CRATE, OLD) {
        return;
    }
    let library = plugin.library();
    let (host, found) = sides(&only_refusal(&exact(), &library));
    // The shortest way on each side, from the package itself to what needs it.
    assert!(host.contains("), needed by host > clap > "), "{host}");
    assert_eq!(
        found.rsplit_once("), ").unwrap().1,
        "needed by experiments-major > clap"
    );

    // With the shared crate aligned, two majors of clap live in one process.
    let output = run(plugin
        .cargo("update")
        .args(["-p", CRATE, "--precise", &hosts_version()]));
    assert!(output.status.success(), "{}", text(&output));
    assert_admitted(&exact(), &plugin.library());
}

/// Go loads only the third: there a vendored package is another package.
#[test]
fn vendoring_makes_no_difference_on_one_side_on_both_apart_or_together() {
    let repository = repository("vendored", "1.0.0", &[]);
    if !make_vendored(&repository) {
        return;
    }
    let mut build = cargo();
    build
        .current_dir(&repository)
        .env("CARGO_TARGET_DIR", repository.join("target"));
    build.env("CARGO_PROFILE_DEV_DEBUG", "0");
    build.args(["build", "--offline", "--package", "host"]);
    succeed(&mut build);
    let vendored_host = repository.join("target/debug/host-vendored");
    assert!(
        vendored(&repository.join("target")),
        "the host was not built from its copies"
    );

    let apart = offline("experiments-apart");
    apart.write();
    if !make_vendored(apart.folder()) {
        return;
    }
    // Beside the host, so that what both link is compiled once.
    let mut together = offline("experiments-together");
    together.other_target = Some(repository.join("target"));
    together.write();
    let shared = fs::read_to_string(repository.join(".cargo/config.toml")).unwrap();
    let vendor = repository.join("vendor");
    write(
        &together.folder().join(".cargo/config.toml"),
        &shared.replace("\"vendor\"", &format!("{vendor:?}")),
    );
    let (apart_library, together_library) = (apart.library(), together.library());
    assert!(vendored(&apart.target()));
    assert!(vendored(&together.target()));
    let registry = PluginCrate::new("experiments-registry").library();
    for (what, library, host) in [
        ("the plugin's side alone", &apart_library, None),
        ("the host's side alone", &registry, Some(&vendored_host)),
        ("both sides apart", &apart_library, Some(&vendored_host)),
        ("both sides together", &together_library, Some(&vendored_host)),
    ] {
        let mut site = exact();
        site.binary = host.cloned();
        let (code, report) = site.check(&[library]);
        let file = &report["files"][0];
        assert_eq!(
            (code, file["differences"].as_array().unwrap().len()),
            (0, 0),
            "{what}: {report:#}"
        );
        site.install(library);
        let host = site.start();
        assert_eq!(host.connect().submit(0x10, b"").result, 0, "{what}");
        host.stop();
    }
}

#[test]
fn another_patch_version_of_the_compiler_is_refused_by_its_name() {
    let site = Site::default();
    let library = site.path().join("libsubmit_echo.so");
    let mut theirs = String::new();
    with_record(&sample("submit-echo"), &library, |record| {
        // A release is written as a version is.
        let mut release = record.version.clone();
        release.clone_from(&record.compiler.release.parse().unwrap());
        release.patch += 1;
        let compiler = &mut record.compiler;
        let line = compiler
            .version_line
            .replacen(&compiler.release, &release.to_string(), 1);
        assert_ne!(line, compiler.version_line);
        compiler.release = release.to_string();
        compiler.version_line.clone_from(&line);
        theirs = line;
    });
    assert_refused_for_its_compiler(&library, &theirs);
}

#[test]
fn another_channel_of_the_compiler_is_refused_by_its_name() {
    if let Some((library, _, theirs)) = library_of_another_compiler("experiments-channel") {
        assert_refused_for_its_compiler(&library, &theirs);
    }
}

/// Another release of the operating system changes nothing that is compared; what a library needs of it is a fact of its
/// own.
#[test]
fn other_facts_of_the_build_with_the_same_toolchain_are_no_difference() {
    let site = Site::new("[plugin.submit-echo.config]\nreply = true\n");
    let library = site.path().join("libsubmit_echo.so");
    with_record(&sample("submit-echo"), &library, |record| {
        record.build.profile = "other".to_owned();
        record.build.opt_level = "z".to_owned();
        record.build.git = Some("0123456789abcdef0123456789abcdef01234567".to_owned());
    });
    assert_ne!(
        site.inspect(&library)["build"],
        site.inspect(&sample("submit-echo"))["build"]
    );
    site.install(&library);
    assert_eq!(
        site.check(&[]).1["files"][0]["differences"].as_array().unwrap().len(),
        0
    );
    let host = site.start();
    assert_eq!(host.connect().submit(0x02, b"hello").body, b"hello");
    host.stop();
}

#[test]
fn a_soname_leads_to_the_newest_real_name_behind_it() {
    let site = Site::default();
    site.copy(&sample("submit-echo"), "libsubmit_echo.so.1.1.0");
    let newer = site.plugins().join("libsubmit_echo.so.1.2.0");
    with_identity(&sample("submit-echo"), &newer, "submit-echo", "1.2.0");
    let host = site.start();
    let serving = host.wait_for_change("serving");
    assert_eq!(
        (&serving["plugin"], &serving["version"]),
        (&"submit-echo".into(), &"1.2.0".into())
    );
    assert_eq!(host.connect().submit(0x02, b"").result, 0);
    host.stop();
    assert_eq!(
        fs::read_link(site.plugins().join("libsubmit_echo.so.1")).unwrap(),
        Path::new("libsubmit_echo.so.1.2.0")
    );
}

#[test]
fn the_same_plugin_twice_is_one_plugin() {
    let name = "once-probe"; // the library of another module's tests, to be built once
    let library = journal(name).library();
    let site = Site::default();
    site.copy(&library, "libonce_probe.so.1.0.0");
    site.copy(&library, "libonce_probe.so.1.0");
    let constructed = site.path().join("constructed");
    let host = site.spawn(&[("CONSTRUCTED", constructed.to_str().unwrap())]);
    assert_eq!(host.connect().submit(0x10, b"").result, 0);
    assert_eq!(host.changes("refused").len(), 0);
    host.stop();
    assert_eq!(lines(&constructed), ["constructed"]);
    assert_eq!(life(&site.plugins(), name), ["init", "shutdown", "drop"]);
}

#[test]
fn other_content_under_a_name_that_serves_disturbs_nobody_and_is_answered_clearly() {
    let answering = |answer: &str| {
        let mut plugin = PluginCrate::new("experiments-content").variant(answer);
        plugin.source = source("", &format!("Ack::ok().body(b\"{answer}\".to_vec())"));
        plugin.library()
    };
    let (first, second) = (answering("first"), answering("second"));
    let site = Site::with("", &[&first]);
    let installed = site.plugins().join("libexperiments_content.so.1.0.0");
    let host = site.start();
    let body = |host: &Host| host.connect().submit(0x10, b"").body;
    assert_eq!(body(&host), b"first");

    // Overwritten in place, as `cp` does it.
    fs::write(&installed, fs::read(&second).unwrap()).unwrap();
    assert_eq!(body(&host), b"first");
    let digest = |file: &Path| site.check(&[file]).1["files"][0]["digest"].as_str().unwrap().to_owned();
    let (code, report) = site.check(&[]);
    let judged: Vec<&str> = report["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["digest"].as_str().unwrap())
        .collect();
    assert_eq!(
        (code, &report["plugins"][0]["refusal"]["code"]),
        (1, &"other-content".into()),
        "{report:#}"
    );
    assert!(
        !judged.is_empty() && judged.iter().all(|judged| *judged == digest(&second)),
        "{report:#}"
    );

    let (code, _, stderr) = site.with_configuration(&["install", first.to_str().unwrap()]);
    assert_eq!(code, 1, "{stderr}");
    for digest in [digest(&first), digest(&second)] {
        assert!(stderr.contains(&digest), "no {digest} in:\n{stderr}");
    }
    assert_ne!(digest(&first), digest(&second));
    assert_eq!(body(&host), b"first");
    host.stop();
    let host = site.start();
    assert_eq!(body(&host), b"second");
    host.stop();
}

#[test]
fn a_statically_linked_host_says_at_start_that_it_can_not_load_plugins() {
    let probe = scratch().join("static-probe");
    write(&probe.with_extension("c"), "int main(void) { return 0; }\n");
    let mut probing = Command::new("cc");
    probing
        .arg("-static")
        .arg(probe.with_extension("c"))
        .arg("-o")
        .arg(&probe);
    if !run(&mut probing).status.success() {
        eprintln!("SKIPPED: no static C library here");
        return;
    }
    let record = Site::default().json(&["fingerprint"]);
    let target = record["record"]["target"].as_str().unwrap();
    let mut build = cargo();
    build
        .current_dir(root())
        .args(["build", "--package", "host", "--target", target]);
    build.env("CARGO_TARGET_DIR", scratch().join("static"));
    // With a target named, the flags are the binary's alone: build scripts and procedural macros are dynamic as ever.
    build
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    succeed(&mut build);

    let mut site = Site::default();
    site.install(&sample("submit-echo"));
    site.binary = Some(scratch().join("static").join(target).join("debug/host"));
    for (arguments, code) in [(&["serve"][..], 78), (&["check", "--load"], 1)] {
        let (found, stdout, stderr) = site.with_configuration(arguments);
        assert_eq!(found, code, "{stdout}{stderr}");
        assert!(
            stderr.contains("linked statically (target feature crt-static) and can't load plugins"),
            "{stderr}"
        );
    }
    // What needs no loading works: a static `host check` is a tool for build machines.
    let (code, report) = site.check(&[]);
    assert_eq!(code, 0, "{report:#}");
}

/// The library, unless the registry can't be reached.
fn built(plugin: &PluginCrate) -> Option<PathBuf> {
    match plugin.try_library() {
        Err(log) if skipped_without_registry(&log) => None,
        built => Some(built.unwrap()),
    }
}

/// A refusal of the shared crate: what it says of the host, and of the plugin.
#[track_caller]
fn sides(refusal: &Value) -> (String, String) {
    assert_eq!(refusal["code"], "dependency");
    assert_eq!(refusal["field"], format!("dependency {CRATE}"));
    let text = |key: &str| refusal[key].as_str().unwrap().to_owned();
    (text("host"), text("plugin"))
}

/// A plugin that is built without the registry, in a target folder of its own.
fn offline(name: &str) -> PluginCrate {
    let mut plugin = PluginCrate::new(name);
    plugin.other_target = Some(plugin.folder().join("target"));
    plugin.arguments = vec!["--offline".to_owned()];
    plugin
}

/// Copies all that a folder's packages need into it, and has cargo take them from there; says so where the registry can't
/// be reached.
fn make_vendored(folder: &Path) -> bool {
    let configuration = folder.join(".cargo/config.toml");
    let _ = fs::remove_file(&configuration); // from an earlier run: it would vendor what is vendored
    let output = run(cargo().current_dir(folder).args(["vendor", "--versioned-dirs"]));
    if !output.status.success() && skipped_without_registry(&text(&output)) {
        return false;
    }
    assert!(output.status.success(), "{}", text(&output));
    write(&configuration, std::str::from_utf8(&output.stdout).unwrap());
    true
}

/// Whether what was built there came from vendored copies.
fn vendored(target: &Path) -> bool {
    target.join("debug/deps").read_dir().unwrap().any(|entry| {
        let path = entry.unwrap().path();
        path.extension().is_some_and(|kind| kind == "d")
            && fs::read_to_string(path).unwrap().contains("/vendor/serde_json-")
    })
}

#[track_caller]
fn assert_refused_for_its_compiler(library: &Path, theirs: &str) {
    let refusal = only_refusal(&Site::default(), library);
    assert_eq!(
        (&refusal["code"], &refusal["plugin"]),
        (&"compiler".into(), &theirs.into())
    );
    assert_ne!(refusal["host"], refusal["plugin"]);
}
