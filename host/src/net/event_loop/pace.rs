//! Decides whether a loop is handed over before each turn. Mostly its driver keeps the loop, and is relieved when a turn lasts too
//! long. Where calls block for a shorter time than that, and many do, ready connections would wait for the sum of them; so for
//! a while the driver hands the loop over before each turn, and the calls block beside each other.
//!
//! That costs a thread switch for each turn, which is right where calls block and wrong where there is only much to compute.
//! The difference is in the driver's voluntary context switches. It counts them when it is asked to: when the relief
//! clock has seen that ready connections have waited for long.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use nix::sys::resource::{UsageWho, getrusage};

use crate::net::connection::Call;

/// For how many ticks a loop is handed over before each turn, once calls were seen to block: a second.
pub(in crate::net) const HANDING_OVER: u32 = 20;
/// After how many turns it is known whether calls block.
const PROBED: u32 = 8;
/// One call that blocks in so many is enough.
const SHARE: u32 = 4;

const NORMAL: u32 = 0;
const ASKED: u32 = 1;

/// A loop's pace, as its driver and the relief clock see it.
#[derive(Default)]
pub(in crate::net) struct Pace {
    /// Counts the rounds: passes through the connections that are ready.
    round: AtomicU64,
    /// [`NORMAL`]; [`ASKED`]: its driver is to find out whether calls block; above: the tick until which it hands over.
    state: AtomicU32,
}

impl Pace {
    /// A round begins. By the loop's driver alone.
    pub(super) fn begin_round(&self) {
        let round = self.round.load(Ordering::Relaxed);
        self.round.store(round.wrapping_add(1), Ordering::Relaxed);
    }

    /// Which round it is.
    pub(in crate::net) fn round(&self) -> u64 {
        self.round.load(Ordering::Relaxed)
    }

    /// Whether the driver simply keeps the loop: one load for each turn.
    #[inline]
    pub(super) fn is_normal(&self) -> bool {
        self.state.load(Ordering::Relaxed) == NORMAL
    }

    /// Has the driver find out whether calls block.
    pub(in crate::net) fn ask(&self) {
        let _ = self
            .state
            .compare_exchange(NORMAL, ASKED, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The tick until which the loop is handed over before each turn.
    pub(in crate::net) fn hands_over_until(&self) -> Option<u32> {
        Some(self.state.load(Ordering::Relaxed)).filter(|state| *state > ASKED)
    }

    /// Whether the loop is to be handed over now. If it is to be found out whether calls block, `probe` does.
    #[cold]
    pub(super) fn hands_over(&self, now: u32, probe: &mut Option<Probe>) -> bool {
        match self.state.load(Ordering::Relaxed) {
            NORMAL => false,
            ASKED => {
                if probe.is_none() {
                    *probe = Probe::begin();
                }
                false
            }
            until if until <= now => {
                self.state.store(NORMAL, Ordering::Relaxed);
                false
            }
            _ => true,
        }
    }

    /// Takes in whether calls block.
    pub(super) fn conclude(&self, do_block: bool, now: u32) {
        let state = if do_block {
            now.saturating_add(HANDING_OVER)
        } else {
            NORMAL
        };
        // Not over what another driver has found out since.
        let _ = self
            .state
            .compare_exchange(ASKED, state, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Looks at a few turns: in how many of them this thread gave its processor away.
pub(super) struct Probe {
    switches: i64,
    turns: u32,
    blocked: u32,
    call: Option<Call>,
}

impl Probe {
    fn begin() -> Option<Probe> {
        Some(Probe {
            switches: switches()?,
            turns: 0,
            blocked: 0,
            call: None,
        })
    }

    /// After a turn, in which `call` was the last call.
    pub(super) fn note(&mut self, call: Option<Call>) {
        let switches = switches().unwrap_or(self.switches);
        self.turns += 1;
        if switches > self.switches {
            self.blocked += 1;
            self.call = call.or(self.call);
        }
        self.switches = switches;
    }

    /// Whether calls block, once that is known. `is_over`: there are no more turns to look at.
    pub(super) fn decide(&self, is_over: bool) -> Option<bool> {
        let do_block = self.blocked > 0 && self.blocked * SHARE >= self.turns;
        (is_over || self.turns >= PROBED || (do_block && self.blocked > 1)).then_some(do_block)
    }

    /// One of the calls that blocked.
    pub(super) fn call(&self) -> Option<Call> {
        self.call
    }
}

/// How often this thread has given its processor away, to wait for something.
fn switches() -> Option<i64> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).ok()?;
    Some(usage.voluntary_context_switches())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_is_no_computing() {
        let mut probe = Probe::begin().expect("the system counts context switches");
        for _ in 0..2 {
            std::thread::sleep(std::time::Duration::from_millis(1));
            probe.note(None);
        }
        assert_eq!(probe.decide(false), Some(true));

        let mut probe = Probe::begin().expect("the system counts context switches");
        for turn in 0..PROBED {
            assert_eq!(probe.decide(false), None, "after {turn} turns");
            std::hint::black_box((0..1000u64).fold(turn.into(), u64::wrapping_add));
            probe.note(None);
        }
        assert_eq!(probe.decide(false), Some(false));
    }
}
