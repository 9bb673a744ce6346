//! Real plugins and records with something changed: always the same changes, whoever runs them.

use std::sync::atomic::{AtomicUsize, Ordering};

use fastrand::Rng;
use plugin_record::{Record, note};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{bad, files, macho};

use super::Peaks;
use super::fields::{self, Field};

// Long: a list of mutations.
pub(crate) fn all(peaks: &mut Peaks, done: &AtomicUsize) {
    let mut rng = Rng::with_seed(3);
    let (plugin, record) = plugin();
    let dylib = macho::plugin(
        macho::AARCH64,
        "@rpath/libsubmit_echo.1.dylib",
        &note::encode(&record).unwrap(),
    );
    for (file, fields) in [(&plugin, fields::elf(&plugin)), (&dylib, fields::macho(&dylib))] {
        let mut file = File {
            bytes: file.clone(),
            undo: Vec::new(),
        };
        let mut read = |file: &mut File| {
            peaks.file(&file.bytes);
            file.restore();
            done.fetch_add(1, Ordering::Relaxed);
        };
        // Every field at every extreme, then several fields at once.
        for field in &fields {
            for value in fields::extremes(file.bytes.len()) {
                file.set(*field, value);
                read(&mut file);
            }
        }
        for _ in 0..15_000 {
            for _ in 0..rng.usize(2..5) {
                file.set(
                    fields[rng.usize(..fields.len())],
                    some_number(&mut rng, file.bytes.len()),
                );
            }
            read(&mut file);
        }
        // Flips, where the headers are and anywhere; and one stretch of the file in the place of another.
        for number in 0..17_000 {
            for _ in 0..rng.usize(1..4) {
                let (start, width) = fields[rng.usize(..fields.len())];
                let at = match number % 2 {
                    0 => start + rng.usize(..width),
                    _ => rng.usize(..file.bytes.len()),
                };
                file.put(at, &[file.bytes[at] ^ 1 << rng.u8(..8)]);
            }
            read(&mut file);
        }
        for _ in 0..3_000 {
            let size = rng.usize(1..200);
            let [from, to] = [(); 2].map(|()| rng.usize(..file.bytes.len().min(16_384) - size));
            let stretch = file.bytes[from..from + size].to_vec();
            file.put(to, &stretch);
            read(&mut file);
        }
        // Cut off: at every byte of the headers, then anywhere.
        for length in 0..file.bytes.len().min(4_000) {
            peaks.file(&file.bytes[..length]);
            done.fetch_add(1, Ordering::Relaxed);
        }
        for _ in 0..1_000 {
            peaks.file(&file.bytes[..rng.usize(..file.bytes.len())]);
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
    records(&record, &mut rng, peaks, done);
}

/// A stripped plugin whose record has lost all but a few packages: reading one that is whole takes a debug build too long
/// for so many times. (`hostile` has large ones.)
fn plugin() -> (Vec<u8>, Record) {
    let folder = TempDir::new().unwrap();
    let small = bad::small(folder.path());
    let mut kept = None;
    files::with_record(&small, &small, |record| {
        record.packages.truncate(6);
        let chain = |(index, package): (usize, &mut plugin_record::Package)| package.dependencies = vec![index + 1, 0];
        record.packages.iter_mut().enumerate().for_each(chain);
        kept = Some(record.clone());
    });
    (std::fs::read(small).unwrap(), kept.unwrap())
}

fn records(record: &Record, rng: &mut Rng, peaks: &mut Peaks, done: &AtomicUsize) {
    let json = serde_json::to_vec(record).unwrap();
    let mut read = |bytes: &[u8]| {
        peaks.description(bytes);
        done.fetch_add(1, Ordering::Relaxed);
    };
    for length in 0..=json.len() {
        read(&json[..length]);
    }
    for _ in 0..15_000 {
        let mut bytes = json.clone();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..bytes.len());
            bytes[at] = match rng.bool() {
                true => bytes[at] ^ 1 << rng.u8(..8),
                false => *rng.choice(b"0123456789-+.eE\"\\[]{}:, \0\xFF").unwrap(),
            };
        }
        read(&bytes);
    }
    // Every value at every extreme, then several at once.
    let value: Value = serde_json::from_slice(&json).unwrap();
    let (places, extremes) = (places(&value), values());
    for place in &places {
        for extreme in &extremes {
            let mut value = value.clone();
            *value.pointer_mut(place).unwrap() = extreme.clone();
            read(&serde_json::to_vec(&value).unwrap());
        }
    }
    for _ in 0..5_000 {
        let mut value = value.clone();
        for _ in 0..rng.usize(2..5) {
            let place = rng.choice(&places).unwrap();
            // An earlier change may have taken the place away.
            if let Some(found) = value.pointer_mut(place) {
                *found = rng.choice(&extremes).unwrap().clone();
            }
        }
        // Edges that make cycles, lead nowhere, or lead twice to the same.
        if let Some(packages) = value.pointer_mut("/packages").and_then(Value::as_array_mut) {
            for package in packages.iter_mut().filter(|package| package.is_object()) {
                package["dependencies"] = (0..rng.usize(..6)).map(|_| rng.u64(..8)).collect();
            }
        }
        read(&serde_json::to_vec(&value).unwrap());
    }
}

/// The pointers to all values in a value.
fn places(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| (index.to_string(), item))
            .collect(),
        Value::Object(items) => items.iter().map(|(key, item)| (key.clone(), item)).collect(),
        _ => Vec::new(),
    };
    let below = children
        .iter()
        .flat_map(|(key, child)| places(child).into_iter().map(move |place| format!("/{key}{place}")));
    std::iter::once(String::new()).chain(below).collect()
}

fn values() -> Vec<Value> {
    let deep = (0..100).fold(json!([]), |inner, _| json!([inner]));
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(255),
        json!(256),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!(""),
        json!("\0\u{1b}[2J\n"),
        json!("9".repeat(40)),
        json!("18446744073709551616.0.0"),
        json!("1.2.3-x.y+z"),
        json!("\u{10ffff}".repeat(300)),
        json!([]),
        json!([0, 0, 5, u64::MAX]),
        json!([u64::MAX, 1, 2, 3]),
        json!({}),
        json!({"x": {}}),
        deep,
    ]
}

fn some_number(rng: &mut Rng, length: usize) -> u64 {
    match rng.u8(..3) {
        0 => rng.u64(..),
        1 => rng.u64(..2 * length as u64),
        _ => *rng.choice(&fields::extremes(length)).unwrap(),
    }
}

/// A file that is changed and restored: copying it a hundred thousand times would take longer than reading it.
struct File {
    bytes: Vec<u8>,
    undo: Vec<(usize, Vec<u8>)>,
}

impl File {
    fn put(&mut self, at: usize, new: &[u8]) {
        let place = &mut self.bytes[at..at + new.len()];
        self.undo.push((at, place.to_vec()));
        place.copy_from_slice(new);
    }

    fn set(&mut self, (at, width): Field, value: u64) {
        self.put(at, &value.to_le_bytes()[..width]);
    }

    fn restore(&mut self) {
        while let Some((at, old)) = self.undo.pop() {
            self.bytes[at..at + old.len()].copy_from_slice(&old);
        }
    }
}
