//! Logs now and then what each plugin has answered: only for plugins whose total changed, so an idle host is silent. The
//! plugin's own counters are read, so a packet costs nothing more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use semver::Version;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::dispatch::routes::Routes;
use crate::runtime::Plugin;

/// Logs the totals once every `period` until `end`, and a last time then.
pub async fn log_totals(routes: Arc<Routes>, period: Duration, end: CancellationToken) {
    let mut totals = Totals::new();
    let mut period = interval(period);
    // Counted from the last line: after a pause of the machine one line that covers it is enough.
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    period.tick().await; // the first is at once
    while end.run_until_cancelled(period.tick()).await.is_some() {
        totals.log(&routes);
    }
    totals.log(&routes);
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

    fn log(&mut self, routes: &Routes) {
        let now = Instant::now();
        let seconds = now.duration_since(self.at).as_secs_f64();
        self.at = now;
        // No reference to a plugin leaves the table: the last one to go would have the plugin's own code run here.
        let answered = |plugin: &Arc<Plugin>| (plugin.name().to_owned(), plugin.version().clone(), plugin.submits());
        let plugins: Vec<_> = routes.read(|table| table.plugins().iter().map(answered).collect());
        for (plugin, version, total) in plugins {
            let key = (plugin.clone(), version.clone());
            let before = self.known.insert(key, total).unwrap_or(0);
            if total == before {
                continue;
            }
            // A total below the last one is that of a new instance, made for a changed configuration.
            let new = total.checked_sub(before).unwrap_or(total);
            // In tenths, as finely as anybody reads it.
            let rate = (new as f64 / seconds.max(f64::MIN_POSITIVE) * 10.0).round() / 10.0;
            info!(
                plugin,
                %version,
                total,
                rate,
                "submits"
            );
        }
    }
}
