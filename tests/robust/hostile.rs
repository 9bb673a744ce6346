//! Files and records made to cost as much as they can, each at its limit of size.

use std::sync::atomic::{AtomicUsize, Ordering};

use plugin_record::note::{self, MAX_RECORD};
use plugin_record::{FORMAT, Package, Record};
use serde_json::{Value, json};
use tests::{bad, macho};

use host::admission::host_record::host_record;
use host::admission::inspect::{self, FileFault, RecordFault};

use super::Peaks;

pub(crate) fn all(peaks: &mut Peaks, done: &AtomicUsize) {
    for make in [one_list, many_features, deep, long_strings, many_commands, long_name] {
        let mut text = make(&value());
        // At the limit, padded with what JSON passes over; and beyond it.
        text.truncate(MAX_RECORD);
        peaks.description(text.as_bytes());
        text.push_str(&" ".repeat(MAX_RECORD + 1 - text.len()));
        peaks.description(text.as_bytes());
        done.fetch_add(2, Ordering::Relaxed);
    }
    for (count, name) in [(400, "x"), (4_000, "x"), (4_000, "\u{1}"), (5_000, "x")] {
        let json = serde_json::to_vec(&chain(count, name)).unwrap();
        peaks.description(&json);
        done.fetch_add(1, Ordering::Relaxed);
    }
    for bytes in [notes(1), notes(2), notes(40_000), overlapping(), versions()] {
        peaks.file(&bytes);
        done.fetch_add(1, Ordering::Relaxed);
    }
    limits_hold();
}

/// That the above is at the limits and not past the point: what is just inside is read, and what is outside is named.
fn limits_hold() {
    let parse = |json: &[u8]| note::parse(FORMAT, json).map_err(|error| error.to_string());
    let text = |record: &Record| serde_json::to_vec(record).unwrap();
    assert!(parse(&text(&chain(4_000, "x"))).is_ok());
    assert_eq!(
        parse(&text(&chain(5_000, "x"))).unwrap_err(),
        "5001 packages, the limit is 4096"
    );
    assert!(parse(&text(&chain(400, &"x".repeat(255)))).is_ok());
    assert_eq!(
        parse(&text(&chain(400, &"x".repeat(256)))).unwrap_err(),
        "a package name of 256 bytes, the limit is 255"
    );
    assert!(parse(one_list(&value()).as_bytes()).is_ok());
    let deep = parse(deep(&value()).as_bytes()).unwrap_err();
    assert!(
        deep.contains("recursion limit") || deep.contains("invalid type"),
        "{deep}"
    );
    let record = |bytes: &[u8]| inspect::read(bytes).map(|inspection| inspection.record);
    assert!(matches!(record(&notes(2)), Ok(Err(RecordFault::Duplicate))));
    for (many, what) in [
        (notes(40_000), "notes"),
        (overlapping(), "notes"),
        (versions(), "needed versions"),
    ] {
        let limit = format!("more than 4096 {what}");
        assert!(matches!(record(&many), Err(FileFault::Malformed(text)) if text == limit));
    }
}

fn value() -> Value {
    serde_json::to_value(chain(1, "x")).unwrap()
}

/// The record of a chain of packages, each needed by the one before, all of them different from a package of the host.
fn chain(count: usize, name: &str) -> Record {
    let mut record = host_record().clone();
    let theirs = record
        .packages
        .iter()
        .find(|package| package.name == "serde_json")
        .unwrap();
    let mut theirs = Package {
        features: Vec::new(),
        dependencies: Vec::new(),
        ..theirs.clone()
    };
    theirs.version.patch += 1;
    theirs.identity = plugin_record::Identity::Registry { checksum: None };
    record.packages = vec![theirs; count + 1];
    for (index, package) in record.packages.iter_mut().enumerate() {
        // The first ones carry names that each path shows.
        if index < 8 {
            package.name = name.repeat((255 / name.len()).min(255));
        }
        package.dependencies = vec![index + 1];
    }
    if name.len() > 8 {
        record.packages[0].name = name.to_owned();
    }
    record
}

/// As many numbers as fit.
fn one_list(value: &Value) -> String {
    let room = MAX_RECORD - value.to_string().len();
    let numbers = "0,".repeat(room / 2 - 8);
    with(value, "/packages/0/dependencies", &format!("[{numbers}0]"))
}

fn many_features(value: &Value) -> String {
    let room = MAX_RECORD - value.to_string().len();
    let texts = "\"\",".repeat(room / 3 - 8);
    with(value, "/packages/0/features", &format!("[{texts}\"\"]"))
}

fn many_commands(value: &Value) -> String {
    with(value, "/commands", &format!("[{}2]", "2,".repeat(400_000)))
}

fn deep(value: &Value) -> String {
    with(value, "/packages", &"[".repeat(MAX_RECORD / 2))
}

fn long_strings(value: &Value) -> String {
    with(value, "/target", &format!("\"{}\"", "\\u0001".repeat(100_000)))
}

/// In the place of a key, which an error would name.
fn long_name(value: &Value) -> String {
    let mut value = value.clone();
    value[&"k".repeat(900_000)] = json!(1);
    value.to_string()
}

/// The value as text, with this text at that place.
fn with(value: &Value, place: &str, text: &str) -> String {
    let mut value = value.clone();
    *value.pointer_mut(place).unwrap() = json!("HERE");
    value.to_string().replacen("\"HERE\"", text, 1)
}

/// A library with as many notes of ours, all empty.
fn notes(count: usize) -> Vec<u8> {
    let one = &note::encode(host_record()).unwrap()[..24];
    let mut empty = one.to_vec();
    empty[4..8].fill(0);
    macho::plugin(macho::X86_64, "libx.1.dylib", &empty.repeat(count))
}

/// A real plugin, of which all program headers but two lead to the same mebibyte of notes.
fn overlapping() -> Vec<u8> {
    let folder = tempfile::TempDir::new().unwrap();
    let mut bytes = std::fs::read(bad::small(folder.path())).unwrap();
    let notes = notes(40_000);
    let start = bytes.len().next_multiple_of(8);
    bytes.resize(start, 0);
    bytes.extend_from_slice(&notes[notes.len() - 24 * 40_000..]);
    let headers = usize::from(bytes[56]);
    for at in (0..headers).map(|index| 64 + 56 * index) {
        let kind = bytes[at];
        if kind == 1 || kind == 2 {
            continue;
        }
        bytes[at..at + 4].copy_from_slice(&4u32.to_le_bytes());
        for (field, value) in [(8, start), (32, 24 * 40_000), (48, 4)] {
            bytes[at + field..][..8].copy_from_slice(&(value as u64).to_le_bytes());
        }
    }
    bytes
}

/// A real plugin whose needed versions are 20,000 cells, each a library's as well as a version's and each leading to the
/// next: walked naively, 200 million steps.
fn versions() -> Vec<u8> {
    let folder = tempfile::TempDir::new().unwrap();
    let mut bytes = std::fs::read(bad::small(folder.path())).unwrap();
    let start = bytes.len().next_multiple_of(8);
    bytes.resize(start, 0);
    // vn_version, vn_cnt, vn_file with the bit that is VER_FLG_WEAK in a version, vn_aux, vn_next.
    let cell = [1u32, 2, 16, 16].map(u32::to_le_bytes).concat();
    bytes.extend(cell.repeat(20_000));
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let headers = usize::from(bytes[56]);
    for at in (0..headers).map(|index| 64 + 56 * index) {
        let (place, size) = (word(&bytes, at + 8), word(&bytes, at + 32));
        match bytes[at] {
            // The first loaded segment grows to the file's end.
            1 if place == 0 => {
                let length = bytes.len() as u64;
                bytes[at + 32..][..8].copy_from_slice(&length.to_le_bytes());
            }
            2 => {
                let mut entries = (place..place + size).step_by(16).map(|at| usize::try_from(at).unwrap());
                let entry = entries.find(|at| word(&bytes, *at) == 0x6FFF_FFFE).unwrap(); // DT_VERNEED
                bytes[entry + 8..][..8].copy_from_slice(&(start as u64).to_le_bytes());
            }
            _ => {}
        }
    }
    bytes
}
