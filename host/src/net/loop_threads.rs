//! The worker threads of the event loops: decides how many there are, and starts them. Some drive the loops, some are spare, and
//! one thread of its own starts further ones. A thread that asks for a worker does not wait for it: a thread begins when the
//! system lets it, which may be late while a library's start-up code runs. Which worker drives which loop is `loop_handover`'s
//! decision, when a worker is relieved the relief clock's.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::connection::{Call, Scratch};
use super::event_loop::{Context, EventLoop, Loops};
use super::loop_handover::{Relay, ThreadLimits, Was};
use super::relief_clock;
use crate::dispatch::target;
use crate::logging::FieldValue;
use crate::process::exit::critical;

/// How many threads handlers may hold at once, beyond those that drive loops. When all are held, the connections of further
/// loops that block wait.
const MOST_HELD: usize = 256;
/// How many spare threads are kept ready: so many calls can begin to block while no thread can be started.
const RESERVE: usize = 16;
/// Between two tries to start a thread, when the system has none.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the log hears of a plugin whose handler blocks while it does.
const REMINDER: Duration = Duration::from_secs(10);

pub(super) struct LoopThreads {
    context: Arc<Context>,
    loops: Vec<Arc<EventLoop>>,
    relay: Loops,
}

impl LoopThreads {
    /// Starts driving these loops.
    ///
    /// # Errors
    /// When there are no threads.
    pub(super) fn start(loops: Vec<Arc<EventLoop>>, context: Arc<Context>) -> io::Result<Arc<LoopThreads>> {
        let first = loops.len() + 1;
        let limits = ThreadLimits {
            reserve: RESERVE,
            most_held: MOST_HELD,
        };
        let threads = Arc::new(LoopThreads {
            context,
            relay: Relay::new(loops.iter().cloned(), first, limits),
            loops,
        });
        (0..first).try_for_each(|_| threads.start_thread())?;
        let starter = Arc::clone(&threads);
        critical("starter", move || starter.start_threads())?;
        let clock = Arc::clone(&threads);
        critical("clock", move || {
            relief_clock::keep_time(&clock.loops, &clock.relay, &clock.context)
        })?;
        Ok(threads)
    }

    pub(super) fn loops(&self) -> &[Arc<EventLoop>] {
        &self.loops
    }

    fn start_thread(self: &Arc<LoopThreads>) -> io::Result<()> {
        let threads = Arc::clone(self);
        critical("worker", move || threads.work()).map(drop)
    }

    /// What a worker does: drives one loop after another, as they need a driver.
    fn work(&self) {
        let mut scratch = None; // a spare thread needs none
        let mut was = Was::Starting;
        while let Some(next) = self.relay.next(was) {
            let scratch = scratch.get_or_insert_with(|| Scratch::new(&self.context.shared));
            let is_held = next.drive(scratch, &self.relay);
            was = if is_held { Was::Held } else { Was::Driving };
        }
    }

    /// Starts threads where they are missing, and logs which calls they are for. Never ends.
    fn start_threads(self: &Arc<LoopThreads>) {
        let mut logged: HashMap<Option<u64>, Instant> = HashMap::new();
        let mut is_lacking = false;
        loop {
            let (missing, reports) = self.relay.missing();
            let mut lack = None;
            let started = (0..missing)
                .take_while(|_| self.start_thread().map_err(|error| lack = Some(error)).is_ok())
                .count();
            for (call, held) in reports {
                log_blocking_call(call, held, &mut logged);
            }
            if let Some(error) = &lack
                && !is_lacking
            {
                warn!(%error, missing = missing - started, "can't start threads, trying again: handlers that block may hold up others");
            }
            if lack.is_none() && is_lacking && missing > 0 {
                info!("threads can be started again");
            }
            is_lacking = lack.is_some() || (is_lacking && missing == 0);
            if started < missing {
                self.relay.not_started(missing - started);
                // No event tells that the system has threads again.
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// Logs that a call blocks, unless a line on its plugin was logged less than [`REMINDER`] ago.
fn log_blocking_call(call: Option<Call>, held: usize, logged: &mut HashMap<Option<u64>, Instant>) {
    let plugin = call.map(|call| call.plugin);
    if logged.get(&plugin).is_some_and(|at| at.elapsed() < REMINDER) {
        return;
    }
    logged.retain(|_, at| at.elapsed() < REMINDER);
    logged.insert(plugin, Instant::now());
    let name = plugin.and_then(target::name);
    let command = call.map(|call| FieldValue::Command(call.command));
    warn!(
        plugin = name.as_ref().map(|(name, _)| name),
        version = name.as_ref().map(|(_, version)| tracing::field::display(version)),
        command = command.as_ref().map(FieldValue::field),
        threads = held,
        "handlers block, other threads serve in their place"
    );
}
