//! What this system would not give a library, or would give only at everybody's cost, is a refusal before it is opened.
//! Each with a real plugin, linked that way.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tests::cargo::{sample, succeed};
use tests::crates::{PluginCrate, source};
use tests::host::Site;
use tests::report::{codes, named, refused, shown};

/// What a plugin is linked with; what it calls; the code; field, host's and plugin's side.
type Case = (&'static str, &'static [&'static str], &'static str, [&'static str; 4]);

const CASES: &[Case] = &[
    (
        "system-runpath",
        &["-Wl,--enable-new-dtags", "-Wl,-rpath,$ORIGIN/../lib"],
        "",
        ["system-rpath", "DT_RUNPATH", "none", "$ORIGIN/../lib"],
    ),
    (
        "system-rpath",
        &["-Wl,--disable-new-dtags", "-Wl,-rpath,/opt/lib"],
        "",
        ["system-rpath", "DT_RPATH", "none", "/opt/lib"],
    ),
    (
        "system-stack",
        &["-Wl,-z,execstack"],
        "",
        [
            "system-execstack",
            "stack",
            "not executable",
            "executable: PT_GNU_STACK has PF_X",
        ],
    ),
    (
        "system-text",
        &["-Wl,-z,notext", "-Wl,-u,absolute", "FOLDER/absolute.o"],
        "",
        ["system-textrel", "text relocations", "none", "DT_TEXTREL"],
    ),
    (
        "system-future",
        &["-LFOLDER", "-lfuture"],
        "unsafe extern \"C\" { safe fn from_the_future() -> i32; }",
        ["system-glibc", "C library", "glibc", "needs GLIBC_2.99"],
    ),
];

#[test]
fn what_the_system_does_not_give_is_refused_before_it_is_opened() {
    let folder = TempDir::new().unwrap();
    absolute_address(folder.path());
    c_library_to_come(folder.path());
    let site = Site::default();
    let mut files = Vec::new();
    for (name, arguments, items, expected) in CASES {
        let library = plugin(name, folder.path(), arguments, items);
        let stem = name.replace('-', "_");
        files.push((site.copy(&library, &format!("lib{stem}.so.1.0.0")), expected));
    }
    site.install(&sample("submit-echo"));

    let (code, report) = site.check(&[]);
    assert_eq!(code, 1);
    for (file, [code, field, host, plugin]) in files {
        let report = named(&report, &file);
        assert_eq!(codes(report), [*code], "{report:#}");
        let refusal = &report["refusals"][0];
        let text = |key: &str| refusal[key].as_str().unwrap();
        assert_eq!((text("field"), text("plugin")), (*field, *plugin), "{refusal:#}");
        assert!(text("host").starts_with(host), "{refusal:#}");
        assert!(
            text("cure").starts_with("cargo build --release -p system-"),
            "{refusal:#}"
        );
        if *code == "system-glibc" {
            assert_eq!(text("host"), format!("glibc {}", running_glibc()));
        }
    }
    let host = site.start();
    assert_eq!(host.connect().submit(0x02, b"").result, 0, "what is good serves");
    assert_eq!(refused(&host), shown(&report), "the log and `check` show the same");
    host.stop();
}

/// Several at once, in a library without a record: nothing hides anything.
#[test]
fn what_a_library_asks_of_the_system_is_told_also_without_a_record() {
    let site = Site::default();
    let source = site.path().join("file.c");
    fs::write(&source, "int x;\n").unwrap();
    let library = site.plugins().join("libsystem.so.1");
    succeed(
        Command::new("cc")
            .args(["-shared", "-Wl,-soname,libsystem.so.1", "-Wl,-z,execstack"])
            .arg(OsStr::from_bytes(b"-Wl,-rpath,/no text: \xFF"))
            .arg(source)
            .arg("-o")
            .arg(&library),
    );
    let (_, report) = site.check(&[]);
    assert_eq!(
        codes(named(&report, &library)),
        ["record-missing", "system-execstack", "system-rpath"]
    );
}

fn plugin(name: &str, folder: &Path, arguments: &[&str], items: &str) -> PathBuf {
    let folder = folder.to_str().unwrap();
    let arguments: Vec<String> = arguments
        .iter()
        .map(|argument| argument.replace("FOLDER", folder))
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut plugin = PluginCrate::new(name).linked_with(&arguments);
    let call = if items.is_empty() { "" } else { "from_the_future();" };
    plugin.source = source(items, &format!("{call} Ack::ok()"));
    plugin.library()
}

/// Code that holds an absolute address, as code that was not compiled for a shared object does.
fn absolute_address(folder: &Path) {
    let source = folder.join("absolute.s");
    let code = ".text\n.globl absolute\nabsolute:\n.quad absolute\n.section .note.GNU-stack,\"\",%progbits\n";
    fs::write(&source, code).unwrap();
    compile(&["-c".as_ref(), &source], &folder.join("absolute.o"));
}

/// A part of the C library with a symbol of a release to come. Not libc.so.6 itself: of two files with
/// one soname, linkers take the first.
fn c_library_to_come(folder: &Path) {
    let (source, map) = (folder.join("future.c"), folder.join("future.map"));
    fs::write(&source, "int from_the_future(void) { return 7; }\n").unwrap();
    fs::write(&map, "GLIBC_2.99 { global: from_the_future; local: *; };\n").unwrap();
    let script = format!("-Wl,--version-script={}", map.display());
    let arguments = ["-shared", "-nostdlib", "-Wl,-soname,libresolv.so.2", &script];
    let arguments: Vec<&Path> = arguments.iter().map(Path::new).chain([&*source]).collect();
    compile(&arguments, &folder.join("libfuture.so"));
}

fn compile(arguments: &[&Path], output: &Path) {
    succeed(Command::new("cc").args(arguments).arg("-o").arg(output));
}

/// What the system itself says: the last word of the first line.
fn running_glibc() -> String {
    let output = succeed(Command::new("ldd").arg("--version"));
    let text = String::from_utf8(output.stdout).unwrap();
    let first = text.lines().next().unwrap();
    first.rsplit(' ').next().unwrap().to_owned()
}

/// The documented shape, for whoever reads the report.
#[test]
fn a_plugin_of_this_system_asks_for_nothing_that_it_does_not_give() {
    let site = Site::default();
    let (code, report) = site.check(&[&sample("submit-echo"), &sample("submit-log")]);
    assert_eq!(code, 0, "{report:#}");
    assert!(
        report["files"]
            .as_array()
            .unwrap()
            .iter()
            .all(|file| file["refusals"] == Value::Array(vec![]))
    );
}
