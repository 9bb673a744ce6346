//! What was seen: latencies, results, faults. Each thread keeps its own, and they are added up.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::in_flight::Fault;

/// The longest latency that is told apart from longer ones, in nanoseconds: an hour.
const LONGEST: u64 = 3_600_000_000_000;
/// Latencies are kept to three digits.
const DIGITS: u8 = 3;

/// What one or more threads have seen.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Latencies in nanoseconds, of Submits that were due while it was measured.
    pub latencies: Histogram<u64>,
    /// How many acks had each result, over the whole load.
    pub results: Box<[u64; 256]>,
    /// How often each fault was found, in the order of [`Fault::ALL`].
    pub faults: [u64; Fault::ALL.len()],
    /// The longest that a Submit waited between being due and being sent.
    pub behind: Duration,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            latencies: match Histogram::new_with_bounds(1, LONGEST, DIGITS) {
                Ok(histogram) => histogram,
                Err(error) => unreachable!("the bounds are constants: {error}"),
            },
            results: Box::new([0; 256]),
            faults: [0; Fault::ALL.len()],
            behind: Duration::ZERO,
        }
    }
}

impl Tally {
    /// Adds what another has seen.
    pub fn add(&mut self, other: &Tally) {
        let added = self.latencies.add(&other.latencies);
        debug_assert!(added.is_ok(), "both have the same bounds");
        for (sum, count) in self.results.iter_mut().zip(other.results.iter()) {
            *sum += count;
        }
        for (sum, count) in self.faults.iter_mut().zip(other.faults) {
            *sum += count;
        }
        self.behind = self.behind.max(other.behind);
    }

    /// Whether every Submit got its ack, and each with result 0.
    pub fn is_good(&self) -> bool {
        self.faults.iter().all(|count| *count == 0) && self.results[1..].iter().all(|count| *count == 0)
    }

    /// `count` times the same latency.
    pub(super) fn latency(&mut self, nanoseconds: u64, count: u64) {
        self.latencies.saturating_record_n(nanoseconds.max(1), count);
    }

    pub(super) fn fault(&mut self, fault: Fault, count: usize) {
        self.faults[fault as usize] += count as u64;
    }
}
