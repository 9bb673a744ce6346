//! Logs now and then what each plugin has answered: only for plugins whose total changed, so an idle host is silent. The
//! plugin's own counters are read, so a packet costs nothing more.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use semver::Version;
use tracing::info;

use crate::dispatch::routes::{RouteTable, Routes};
use crate::process::stop::Stop;

/// Logs the totals once every `period` until `stop`, and a last time then.
pub fn log_totals(routes: &Routes, period: Duration, stop: &Stop) {
    let mut totals = Totals::new();
    let mut last = false;
    while !last {
        // Counted from the last line: after a pause of the machine one line that covers it is enough.
        last = stop.wait_until(totals.at + period);
        // No reference to a plugin is kept from one line to the next: it would hold up its end.
        totals.log(&routes.current());
    }
}

/// What was logged last.
struct Totals {
    known: HashMap<(String, Version), u64>,
    at: Instant,
}

impl Totals {
    fn new() -> Totals {
        Totals {
            known: HashMap::new(),
            at: Instant::now(),
        }
    }

    fn log(&mut self, routes: &RouteTable) {
        let now = Instant::now();
        let seconds = now.duration_since(self.at).as_secs_f64();
        self.at = now;
        for plugin in routes.plugins() {
            let total = plugin.submits();
            let key = (plugin.name().to_owned(), plugin.version().clone());
            let before = self.known.insert(key, total).unwrap_or(0);
            if total == before {
                continue;
            }
            // A total below the last one is that of a new instance, made for a changed configuration.
            let new = total.checked_sub(before).unwrap_or(total);
            // In tenths, as finely as anybody reads it.
            let rate = (new as f64 / seconds.max(f64::MIN_POSITIVE) * 10.0).round() / 10.0;
            info!(
                plugin = plugin.name(),
                version = %plugin.version(),
                total,
                rate,
                "submits"
            );
        }
    }
}
