//! The dynamic linker's words tell one fault from another.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tests::host::Site;
use tests::native::{c_library, linked};

/// The dynamic linker's words tell one fault from another: each has a cure of its own, a line for a shell that shows it.
// Long: a table of cases.
#[test]
fn what_is_wrong_with_a_needed_library_is_told_apart() {
    let folder = TempDir::new().unwrap();
    let here = folder.path();
    let named = |name: &str| here.join(name);
    versioned(&named("V1.map"), "V1");
    versioned(&named("V2.map"), "V2");
    let map = |version: &str| format!("-Wl,--version-script={}", named(&format!("{version}.map")).display());
    let good = "int dep(void) { return 1; }";
    c_library(&named("libtrial-deeper.so"), "int deeper(void) { return 1; }", &[]);
    let search = format!("-L{}", here.display());
    // Linked with these in their first, good state; what the dynamic linker finds later is another one.
    let dep = named("libtrial-dep.so");
    c_library(&dep, good, &["-Wl,-soname,libtrial-dep.so", &map("V1")]);
    let items = "unsafe extern \"C\" { safe fn dep() -> i32; }";
    let plugin = linked("trial-needs", items, "dep();", &[&search, "-ltrial-dep"]);
    // A path that a shell would take for two.
    let file = here.join("a folder").join("libtrial_needs.so");
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::copy(plugin, &file).unwrap();

    type Case<'a> = (&'a str, Box<dyn Fn() + 'a>, [&'a str; 2], &'a str, &'a str);
    let make = |code: &'static str, arguments: Vec<String>| {
        let dep = dep.clone();
        move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            c_library(&dep, code, &arguments);
        }
    };
    let path = dep.to_str().unwrap().to_owned();
    let not_found = "libtrial-deeper.so: cannot open shared object file: No such file or directory";
    let cases: Vec<Case<'_>> = vec![
        (
            "missing",
            Box::new(|| fs::remove_file(&dep).unwrap()),
            ["load-open", "needed library"],
            "libtrial-dep.so: cannot open shared object file: No such file or directory",
            "not found",
        ),
        (
            "no library",
            Box::new(|| {
                fs::write(
                    &dep,
                    "not a library, but long enough to be taken for the beginning of one: 64",
                )
                .unwrap()
            }),
            ["load-open", "needed library"],
            ": invalid ELF header",
            &path,
        ),
        (
            "cut off",
            Box::new(|| fs::write(&dep, "x").unwrap()),
            ["load-open", "needed library"],
            ": file too short",
            &path,
        ),
        (
            "of 32 bits",
            Box::new(|| {
                c_library(&dep, good, &[&map("V1")]);
                let mut bytes = fs::read(&dep).unwrap();
                bytes[4] = 1;
                fs::write(&dep, bytes).unwrap();
            }),
            ["load-open", "needed library"],
            ": wrong ELF class: ELFCLASS32",
            "libtrial-dep.so => not found",
        ),
        (
            "of another version",
            Box::new(make(good, vec![map("V2")])),
            ["load-open", "symbol version"],
            "version `V1' not found (required by ",
            "",
        ),
        (
            "without the symbol",
            Box::new(make("int other(void) { return 1; }", vec![map("V1")])),
            ["load-open", "symbol"],
            "undefined symbol: dep, version V1",
            "undefined symbol: dep",
        ),
        (
            "which needs one that is missing",
            Box::new(|| {
                let arguments = [&map("V1"), &search, "-Wl,--no-as-needed", "-ltrial-deeper"];
                c_library(&dep, good, &arguments);
                fs::remove_file(named("libtrial-deeper.so")).unwrap();
            }),
            ["load-open", "needed library"],
            not_found,
            "libtrial-deeper.so => not found",
        ),
        (
            "which lacks a symbol itself",
            Box::new(make(
                "extern int lost(void); int dep(void) { return lost(); }",
                vec![map("V1")],
            )),
            ["load-open", "symbol"],
            "undefined symbol: lost",
            "undefined symbol: lost",
        ),
        (
            "which takes too much static TLS",
            Box::new(make(
                "static __thread char b[4000] __attribute__((tls_model(\"initial-exec\"))); int dep(void) { return b[1]++; }",
                vec![map("V1")],
            )),
            ["static-tls", "static TLS"],
            "libtrial-dep.so, which it links, needs more",
            "",
        ),
    ];
    let site = Site::default();
    for (what, spoil, [code, field], found, shown) in cases {
        spoil();
        let check = site
            .command()
            .args(["check", "--load", "--json"])
            .arg(&file)
            .env("LD_LIBRARY_PATH", here)
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&check.stdout).unwrap_or_else(|error| panic!("{error}: {check:?}"));
        let refusal = &report["files"][0]["refusals"][0];
        let text = |key: &str| refusal[key].as_str().unwrap();
        assert_eq!((text("code"), text("field")), (code, field), "{what}: {report:#}");
        assert!(text("plugin").contains(found), "{what}: {report:#}");
        assert!(!text("plugin").contains("host-staging"), "{what}: {report:#}");
        if !shown.is_empty() {
            let mut cure = Command::new("sh");
            let output = cure
                .args(["-c", text("cure")])
                .env("LD_LIBRARY_PATH", here)
                .output()
                .unwrap();
            let output = tests::cargo::text(&output);
            assert!(output.contains(shown), "{what}: {}\n{output}", text("cure"));
        }
    }
}

fn versioned(map: &Path, version: &str) {
    fs::write(map, format!("{version} {{ global: *; }};\n")).unwrap();
}
