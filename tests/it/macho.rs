//! Plugins for macOS are read here too, by the same code as there; on Linux they are refused, with the reason. There is
//! no macOS to run them on: that they load is not tested.

use std::fs;
use std::path::PathBuf;

use plugin_record::{Record, note};
use serde_json::Value;
use tests::cargo::sample;
use tests::host::Site;
use tests::macho::{self, AARCH64, DYLIB, X86_64};
use tests::report::{codes, named};

const INSTALL_NAME: &str = "@rpath/libsubmit_echo.1.dylib";

#[test]
fn inspect_tells_what_a_dylib_says_of_itself() {
    let (site, record) = (Site::default(), echo());
    for (cpu, machine) in [(X86_64, "x86_64"), (AARCH64, "aarch64")] {
        let file = write(
            &site,
            &macho::plugin(cpu, INSTALL_NAME, &note::encode(&record).unwrap()),
        );
        assert_eq!(site.inspect(&file), serde_json::to_value(&record).unwrap());
        let text = inspect(&site, &file, 0);
        for line in [
            "name        submit-echo 1.1.0",
            "soname      libsubmit_echo.1.dylib",
            &format!("file        Mach-O 64-bit little-endian {machine}"),
        ] {
            assert!(text.lines().any(|found| found == line), "no {line:?} in:\n{text}");
        }
    }
}

#[test]
fn a_dylib_is_no_plugin_of_this_system() {
    if cfg!(target_vendor = "apple") {
        eprintln!("SKIPPED: here it is one");
        return;
    }
    let site = Site::default();
    let file = write(
        &site,
        &macho::plugin(AARCH64, INSTALL_NAME, &note::encode(&echo()).unwrap()),
    );
    let inside = site.copy(&file, "libsubmit_echo.so.1.1.0");
    // Its own name is no plugin's here; under one that is, its content is refused.
    assert_eq!(codes(named(&site.check(&[&file]).1, &file)), ["name-form"]);
    let (code, report) = site.check(&[&inside]);
    let refused = named(&report, &inside);
    assert_eq!((code, codes(refused)), (1, vec!["file-format"]));
    assert_eq!(refused["refusals"][0]["plugin"], "Mach-O 64-bit little-endian aarch64");
    let ours: &Value = &refused["refusals"][0]["host"];
    assert!(ours.as_str().unwrap().starts_with("ELF 64-bit"), "{ours}");
}

#[test]
fn a_bad_dylib_is_told_from_a_good_one() {
    let site = Site::default();
    let record = note::encode(&echo()).unwrap();
    let (segment, section) = note::MACHO_SECTION;
    let good = macho::plugin(AARCH64, INSTALL_NAME, &record);
    let with = |sections: &[(&str, &str, &[u8])]| macho::file(AARCH64, DYLIB, Some(INSTALL_NAME), sections);
    let put = |at: usize, value: u32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    for (what, bytes, expected) in [
        ("cut off", good[..good.len() - 1].to_vec(), "cut off"),
        ("cut off in its header", good[..20].to_vec(), "cut off"),
        ("no commands behind the header", good[..32].to_vec(), "cut off"),
        ("no dylib", macho::file(AARCH64, 2, None, &[]), "an executable"),
        ("32 bits", put(0, 0xFEED_FACE), "Mach-O 32-bit little-endian aarch64"),
        (
            "several machines",
            put(0, 0xBEBA_FECA)[..4].iter().copied().chain([0, 0, 0, 2]).collect(),
            "Mach-O universal file",
        ),
        ("too many commands", put(16, u32::MAX), "4294967295 load commands"),
        ("a command of no size", put(36, 0), "load command"),
        ("a record outside of the file", put(32 + 72 + 48, u32::MAX), "section"),
        ("no record", with(&[]), "no record"),
        ("another section", with(&[(segment, "__const", &record)]), "no record"),
        ("another segment", with(&[("__TEXT", section, &record)]), "no record"),
        (
            "two records",
            with(&[(segment, section, &record), (segment, section, &record)]),
            "several records",
        ),
        ("an empty note", with(&[(segment, section, &[0; 4])]), "note"),
    ] {
        let text = inspect(&site, &write(&site, &bytes), 1);
        assert!(text.contains(expected), "{what}: {text}");
    }
    // No install name is a fact, not damage.
    let nameless = macho::file(AARCH64, DYLIB, None, &[(segment, section, &record)]);
    let text = inspect(&site, &write(&site, &nameless), 0);
    assert!(text.contains("soname      none\n"), "{text}");
}

fn echo() -> Record {
    let record = Site::default().inspect(&sample("submit-echo"));
    serde_json::from_value(record).unwrap()
}

fn write(site: &Site, bytes: &[u8]) -> PathBuf {
    let file = site.path().join("libsubmit_echo.1.1.0.dylib");
    fs::write(&file, bytes).unwrap();
    file
}

#[track_caller]
fn inspect(site: &Site, file: &std::path::Path, code: i32) -> String {
    let output = site.host(&["inspect", file.to_str().unwrap()]);
    let text = tests::cargo::text(&output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}
