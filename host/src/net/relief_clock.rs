//! The relief clock: decides when a loop gets another thread, because a turn of the loop was under way at two samples in a row.
//! Where ready connections wait for long, though no turn lasts that long, it asks the loop's driver whether calls block; while
//! some do, the clock samples more often, for where one handler blocks others mostly do as well. It also counts the ticks by
//! which timeouts go, and wakes loops with a timeout that may have come.
//!
//! The clock never waits: it takes locks that are held for a moment only, starts no thread and writes no log. While a library's
//! start-up code runs, a thread can hang in what it does for the first time, if the C library keeps a list of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::connection::TICK;
use super::event_loop::pace::HANDING_OVER;
use super::event_loop::{Context, EventLoop, Loops};

/// How often the clock samples while handlers block.
const BUSY_TICK: Duration = Duration::from_millis(5);
/// How long ready connections may wait where calls have blocked lately; elsewhere that is a tick.
const SHORT_WAIT: Duration = Duration::from_millis(10);

/// What was seen of a loop.
struct Seen {
    turn: Option<u64>,
    round: u64,
    /// When this round was first seen.
    since: Instant,
    /// The tick until which it is sampled at the busy tick.
    closely_until: u32,
}

/// Counts the ticks of `context`, and watches these loops, whose threads come from `relay`. Never ends.
pub(super) fn keep_time(loops: &[Arc<EventLoop>], relay: &Loops, context: &Context) {
    let start = Instant::now();
    let unseen = |_: &Arc<EventLoop>| Seen {
        turn: None,
        round: 0,
        since: start,
        closely_until: 0,
    };
    let mut seen: Vec<Seen> = loops.iter().map(unseen).collect();
    let mut tick = 0;
    loop {
        let is_quiet = relay.held() == 0 && seen.iter().all(|seen| seen.closely_until <= tick);
        // A thread that sleeps and does nothing else: no timer of the control plane, which may be late when that has much to do.
        std::thread::sleep(if is_quiet { TICK } else { BUSY_TICK });
        let now = Instant::now();
        let ticks = now.duration_since(start).as_nanos() / TICK.as_nanos();
        tick = u32::try_from(ticks).unwrap_or(u32::MAX);
        context.tick.store(tick, Ordering::Relaxed);
        for (event_loop, seen) in loops.iter().zip(&mut seen) {
            event_loop.wake_if_due(tick);
            seen.sample(event_loop, now, tick);
            let turn = event_loop.turns.current();
            let is_held = turn.is_some() && turn == seen.turn;
            seen.turn = turn;
            if let Some(turn) = turn.filter(|_| is_held) {
                let report = Some(event_loop.call());
                relay.relieve(Arc::clone(event_loop), &event_loop.turns, turn, report);
            }
        }
    }
}

impl Seen {
    /// Sees whether ready connections wait for long.
    fn sample(&mut self, event_loop: &EventLoop, now: Instant, tick: u32) {
        let pace = &event_loop.pace;
        if let Some(until) = pace.hands_over_until() {
            self.closely_until = until.saturating_add(HANDING_OVER);
        }
        let round = pace.round();
        if round != self.round || event_loop.turns.current().is_none() {
            self.round = round;
            self.since = now;
            return;
        }
        let longest = if tick < self.closely_until { SHORT_WAIT } else { TICK };
        if now.duration_since(self.since) >= longest {
            pace.ask();
        }
    }
}
