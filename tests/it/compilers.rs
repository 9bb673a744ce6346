//! A plugin of another compiler is refused before any of its code runs, or let through by the policy and then works: what
//! crosses is C ABI, and its layout is checked when the library is opened. Shown with a real other compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::cargo::{clean, run, rustc, scratch, succeed, text};
use tests::crates::PluginCrate;
use tests::host::Site;

#[test]
fn a_plugin_of_another_compiler_is_refused_or_accepted_as_the_policy_says() {
    let Some((library, our_line, their_line)) = library_of_another_compiler("compilers-other") else {
        return;
    };
    let (our_line, their_line) = (&*our_line, &*their_line);

    let site = Site::default();
    let (code, report) = site.check(&[&library]);
    assert_eq!(code, 1, "{report:#}");
    let [refusal] = &report["files"][0]["refusals"].as_array().unwrap()[..] else {
        panic!("one refusal, found {report:#}");
    };
    assert_names_both(refusal, our_line, their_line);
    assert!(
        refusal["cure"].as_str().unwrap().contains("compiler = \"any\""),
        "{refusal:#}"
    );
    // Also where it lies in the plugin directory.
    site.copy(&library, "libcompilers_other.so.1.0.0");
    let host = site.start();
    let refused = host.wait_for_change("refused");
    assert_eq!(
        (&refused["code"], &refused["host"], &refused["found"]),
        (&"compiler".into(), &our_line.into(), &their_line.into()),
        "{refused:#}"
    );
    assert_eq!(host.connect().submit(0x10, b"").result, 0xF0);
    host.stop();

    site.configure("[policy]\ncompiler = \"any\"\n");
    let (code, report) = site.check(&[]);
    assert_eq!(code, 0, "{report:#}");
    let file = &report["files"][0];
    assert_eq!(file["state"], "serving");
    assert_names_both(&file["differences"][0], our_line, their_line);
    let host = site.start();
    let accepted = host.wait_for_change("difference");
    assert_eq!(
        (&accepted["field"], &accepted["host"], &accepted["found"]),
        (&"compiler".into(), &our_line.into(), &their_line.into()),
        "{accepted:#}"
    );
    assert_eq!(host.connect().submit(0x10, b"hello").result, 0);
    host.stop();
}

/// A plugin of that name that another compiler built, and how ours and the other describe themselves. Says so where there
/// is none.
pub(super) fn library_of_another_compiler(name: &str) -> Option<(PathBuf, String, String)> {
    let ours = describe(&mut rustc()).unwrap();
    let Some(other) = another_compiler(&ours) else {
        eprintln!("SKIPPED: there is no second compiler here (rustup toolchain install nightly)");
        return None;
    };
    let mut plugin = PluginCrate::new(name);
    plugin.other_target = Some(other_target());
    plugin.write();
    let mut build = clean(Command::new(&other.cargo));
    build.arg("build").current_dir(plugin.folder());
    build
        .env("CARGO_TARGET_DIR", plugin.target())
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("RUSTC", &other.rustc);
    succeed(&mut build);
    let library = format!("debug/lib{}.so", name.replace('-', "_"));
    Some((
        plugin.target().join(library),
        first_line(&ours).to_owned(),
        first_line(&other.description).to_owned(),
    ))
}

/// Where another compiler builds: what plugins depend on once for all of them, and nothing that ours would build again.
pub(super) fn other_target() -> PathBuf {
    scratch().join("other-compiler")
}

/// A compiler that is not ours, with a cargo to drive it.
struct Compiler {
    cargo: PathBuf,
    rustc: PathBuf,
    description: String,
}

fn another_compiler(ours: &str) -> Option<Compiler> {
    let toolchains = Command::new("rustup").args(["toolchain", "list"]).output();
    let listed = toolchains.map(|output| text(&output)).unwrap_or_default();
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    let of_rustup = names.filter_map(|name| Some((which("cargo", name)?, which("rustc", name)?)));
    // Debian and Ubuntu have a second, newer compiler for building browsers.
    let of_system = ["/usr/bin/rustc-web", "/usr/bin/rustc"].map(|path| (env!("CARGO").into(), path.into()));
    of_rustup
        .chain(of_system)
        .find_map(|(cargo, rustc): (PathBuf, PathBuf)| {
            let description = describe(&mut Command::new(&rustc))?;
            // plugin-api needs the edition and the library of its `rust-version`.
            (description != ours && is_new_enough(&description)).then_some(Compiler {
                cargo,
                rustc,
                description,
            })
        })
}

fn which(program: &str, toolchain: &str) -> Option<PathBuf> {
    let output = run(Command::new("rustup").args(["which", program, "--toolchain", toolchain]));
    let path = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && Path::new(path.trim()).exists()).then(|| path.trim().into())
}

fn describe(rustc: &mut Command) -> Option<String> {
    let output = rustc.arg("-vV").output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).unwrap())
}

fn is_new_enough(description: &str) -> bool {
    let manifest = std::fs::read_to_string(tests::cargo::root().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let needed = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    let release = description.lines().find_map(|line| line.strip_prefix("release: 1."));
    let minor = |text: &str| {
        text.split(['.', '-'])
            .next()
            .and_then(|minor| minor.parse::<u32>().ok())
    };
    release.and_then(minor) >= needed.strip_prefix("1.").and_then(minor)
}

fn first_line(description: &str) -> &str {
    description.lines().next().unwrap()
}

#[track_caller]
fn assert_names_both(refusal: &Value, ours: &str, theirs: &str) {
    assert_eq!(
        (&refusal["code"], &refusal["host"], &refusal["plugin"]),
        (&"compiler".into(), &ours.into(), &theirs.into()),
        "{refusal:#}"
    );
}
