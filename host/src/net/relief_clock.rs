//! The clock: it counts ticks, has loops sweep, and watches them. A turn that lasts two looks is relieved of its loop. Where those
//! who are ready wait for long, though no turn does, the loop's driver is asked whether calls block. While some do, the clock
//! looks more often, for where one handler blocks others mostly do as well.
//!
//! It waits for nobody: it takes locks that are held for a moment only, starts no thread and writes no log. While a library's
//! start-up code runs, a thread can hang in what it does for the first time, if the C library keeps a list of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::connection::TICK;
use super::event_loop::EventLoop;
use super::event_loop::pace::HANDING_OVER;
use super::loop_threads::Crew;

/// How often the clock looks while handlers block.
const CLOSE_LOOK: Duration = Duration::from_millis(5);
/// How long those who are ready may wait where calls have blocked lately; elsewhere that is a tick.
const SHORT_WAIT: Duration = Duration::from_millis(10);

/// What was seen of a loop.
struct Seen {
    turn: Option<u64>,
    round: u64,
    /// When this round was first seen.
    since: Instant,
    /// The tick until which it is looked at closely.
    closely_until: u32,
}

/// Never ends.
pub(super) fn keep_time(crew: &Crew) {
    let start = Instant::now();
    let unseen = |_: &Arc<EventLoop>| Seen {
        turn: None,
        round: 0,
        since: start,
        closely_until: 0,
    };
    let mut seen: Vec<Seen> = crew.loops().iter().map(unseen).collect();
    let mut tick = 0;
    loop {
        let is_quiet = crew.relay.held() == 0 && seen.iter().all(|seen| seen.closely_until <= tick);
        std::thread::sleep(if is_quiet { TICK } else { CLOSE_LOOK });
        let now = Instant::now();
        let ticks = now.duration_since(start).as_nanos() / TICK.as_nanos();
        tick = u32::try_from(ticks).unwrap_or(u32::MAX);
        crew.context.now.store(tick, Ordering::Relaxed);
        for (event_loop, seen) in crew.loops().iter().zip(&mut seen) {
            event_loop.sweep(tick);
            seen.look(event_loop, now, tick);
            let turn = event_loop.turns.current();
            let is_held = turn.is_some() && turn == seen.turn;
            seen.turn = turn;
            if let Some(turn) = turn.filter(|_| is_held) {
                let report = Some(event_loop.call());
                crew.relay
                    .relieve(Arc::clone(event_loop), &event_loop.turns, turn, report);
            }
        }
    }
}

impl Seen {
    /// Sees whether those who are ready wait for long.
    fn look(&mut self, event_loop: &EventLoop, now: Instant, tick: u32) {
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
