//! Whatever the bytes, reading a file or a record neither panics nor loops nor allocates beyond a bound. Shown on real
//! plugins and records with more than a hundred thousand faults, always the same ones; `tests/fuzz` looks for further ones.
#![allow(clippy::unwrap_used, missing_docs)]

mod fields;
mod hostile;
mod mutations;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use host::admission::host_record::host_record;
use host::admission::inspect;
use peak_alloc::PeakAlloc;
use plugin_record::{Policy, Record, compare, note, path_to};

/// What the test harness and the other thread of [`every`] need is small beside the bounds below.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// For each byte that may be a record's: most of it a list of one-digit numbers of 8 bytes each, which doubles as it grows.
const PER_BYTE: usize = 32;
/// For each byte of a record that is compared: the texts of a difference for each package.
const PER_COMPARED_BYTE: usize = 80;
const CONSTANT: usize = 64 << 10;

/// One function, because tests of one process share its memory.
#[test]
fn whatever_the_bytes() {
    let mut peaks = Peaks::default();
    let hostile = every(|done| hostile::all(&mut peaks, done));
    let mutated = every(|done| mutations::all(&mut peaks, done));
    println!(
        "{hostile} hostile and {mutated} mutated plugins and records; memory at most {:.1} times their size for reading, \
         {:.1} times for comparing",
        peaks.reading, peaks.comparing
    );
    assert!(mutated >= 100_000, "{mutated}");
}

/// How much memory was taken at most, in multiples of the input's size, beyond [`CONSTANT`].
#[derive(Default)]
struct Peaks {
    reading: f64,
    comparing: f64,
}

impl Peaks {
    fn file(&mut self, bytes: &[u8]) {
        let limit = bytes.len().min(note::MAX_RECORD);
        let (inspection, peak) = measure(|| inspect::read(bytes));
        self.reading = self.reading.max(multiple("reading", peak, limit, PER_BYTE));
        if let Ok(Ok(record)) = inspection.map(|inspection| inspection.record) {
            self.record(&record, limit);
        }
    }

    /// The bytes that a note's description would be.
    fn description(&mut self, bytes: &[u8]) {
        let (record, peak) = measure(|| note::parse(plugin_record::FORMAT, bytes));
        self.reading = self.reading.max(multiple("reading", peak, bytes.len(), PER_BYTE));
        if let Ok(record) = record {
            self.record(&record, bytes.len());
        }
    }

    fn record(&mut self, record: &Record, size: usize) {
        let (_, peak) = measure(|| compare(host_record(), record, &Policy::default()));
        let multiple = multiple("comparing", peak, size, PER_COMPARED_BYTE);
        self.comparing = self.comparing.max(multiple);
        for index in [0, 1, record.packages.len(), usize::MAX] {
            let path = path_to(record, index);
            assert!(path.len() <= record.packages.len());
        }
        // What can be read can be written, and is the same then.
        let again = note::encode(record).and_then(|note| note::decode(&note));
        assert_eq!(again.unwrap(), *record);
    }
}

fn measure<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = work();
    (result, MEMORY.peak_usage().saturating_sub(before))
}

#[track_caller]
fn multiple(what: &str, peak: usize, size: usize, per_byte: usize) -> f64 {
    assert!(
        peak <= CONSTANT + per_byte * size,
        "{what} took {peak} bytes for an input of {size}"
    );
    peak.saturating_sub(CONSTANT) as f64 / size.max(1) as f64
}

/// Runs the work, which counts what it has done, in a thread of its own: one that stands still is found out.
fn every(work: impl FnOnce(&AtomicUsize) + Send) -> usize {
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (send, finished) = channel::<()>();
        let worker = scope.spawn(|| {
            work(&done);
            drop(send);
        });
        let mut seen = 0;
        while let Err(RecvTimeoutError::Timeout) = finished.recv_timeout(Duration::from_secs(60)) {
            let now = done.load(Ordering::Relaxed);
            if now == seen {
                eprintln!("number {now} did not end within a minute");
                std::process::exit(1); // the thread that loops can't be ended
            }
            seen = now;
        }
        if let Err(panic) = worker.join() {
            eprintln!("number {} of this run", done.load(Ordering::Relaxed));
            std::panic::resume_unwind(panic);
        }
    });
    done.into_inner()
}
