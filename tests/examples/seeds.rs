//! Writes what the fuzz targets start from: `cargo run -p tests --example seeds`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use plugin_record::note;
use tempfile::TempDir;
use tests::cargo::{root, sample, succeed};
use tests::host::Site;
use tests::macho;

fn main() {
    let record = Site::default().inspect(&sample("submit-echo"));
    let mut record: plugin_record::Record = serde_json::from_value(record).unwrap();
    // Few packages, and the same bytes wherever they are made of the same sources: the smaller, the faster it is fuzzed.
    record.packages.truncate(4);
    for package in &mut record.packages {
        package.dependencies.retain(|index| *index < 4);
    }
    record.build.git = None;
    let json = serde_json::to_vec(&record).unwrap();
    let note = note::encode(&record).unwrap();

    seed("inspect", "elf", &elf(&note));
    seed(
        "inspect",
        "macho-x86_64",
        &macho::plugin(macho::X86_64, "@rpath/libsubmit_echo.1.dylib", &note),
    );
    seed(
        "inspect",
        "macho-aarch64",
        &macho::plugin(macho::AARCH64, "libsubmit_echo.1.dylib", &note),
    );
    seed("record", "json", &json);
    seed("record", "note", &note);
    let conn = b"\0\0\0\x0D\x0100000001";
    let submit = b"\0\0\0\x12\x0200000002hello";
    seed("wire", "conn", conn);
    seed("wire", "several", &[&conn[..], submit, submit, &submit[..9]].concat());
    seed("wire", "too-long", b"\0\0\x10\x01\x02");
}

fn seed(target: &str, name: &str, bytes: &[u8]) {
    let folder = root().join("tests/fuzz/corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("seed-{name}")), bytes).unwrap();
}

/// A shared object with a soname and a record, and next to nothing else.
fn elf(note: &[u8]) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("note"), note).unwrap();
    let source = format!(
        ".section {},\"a\",%note\n.balign 4\n.incbin \"{}\"\n.section .note.GNU-stack,\"\",%progbits\n",
        note::ELF_SECTION,
        path("note").display()
    );
    fs::write(path("note.s"), source).unwrap();
    let (source, library): (&Path, &Path) = (&path("note.s"), &path("libsubmit_echo.so"));
    succeed(
        Command::new("cc")
            .args(["-shared", "-nostdlib", "-s", "-Wl,-soname,libsubmit_echo.so.1"])
            .args([
                "-Wl,-z,noseparate-code",
                "-Wl,--build-id=none",
                "-Wl,-z,max-page-size=4096",
            ])
            .arg(source)
            .arg("-o")
            .arg(library),
    );
    fs::read(library).unwrap()
}
