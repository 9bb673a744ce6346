//! What was done and what came of it, to be compared at the end.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::faults;

#[derive(Default)]
pub(crate) struct Balance {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Submits sent and acks received, by kind of client.
    clients: BTreeMap<&'static str, (u64, u64)>,
    /// Whatever else was done.
    deeds: BTreeMap<&'static str, u64>,
    latencies: Vec<Duration>,
    /// Plugins that must be refused, and with which code.
    refusals: BTreeMap<String, &'static str>,
}

impl Balance {
    pub(crate) fn sent(&self, kind: &'static str, count: u64) {
        self.lock().clients.entry(kind).or_default().0 += count;
    }

    pub(crate) fn acked(&self, kind: &'static str, count: u64) {
        self.lock().clients.entry(kind).or_default().1 += count;
    }

    /// Something that is worth a number was done.
    pub(crate) fn did(&self, deed: &'static str) {
        *self.lock().deeds.entry(deed).or_default() += 1;
    }

    /// The bystander's.
    pub(crate) fn took(&self, latency: Duration) {
        self.lock().latencies.push(latency);
    }

    /// A plugin that must be refused.
    pub(crate) fn is_bad(&self, plugin: &str, code: &'static str) {
        self.lock().refusals.insert(plugin.to_owned(), code);
    }

    /// The plugins that must be refused, by name.
    pub(crate) fn bad(&self) -> BTreeMap<String, &'static str> {
        self.lock().refusals.clone()
    }

    /// Prints it, and notes what was not acked.
    pub(crate) fn print(&self) {
        let mut state = self.lock();
        println!(
            "\n{:<34}{:>14}{:>14}",
            "checked clients", "Submits sent", "acks received"
        );
        for (kind, (sent, acked)) in &state.clients {
            println!("  {kind:<32}{sent:>14}{acked:>14}");
            faults::unless(sent == acked, || format!("{kind}: {sent} Submits, {acked} acks"));
        }
        state.latencies.sort_unstable();
        if let Some(last) = state.latencies.len().checked_sub(1) {
            let [p50, p99, most] = [50, 99, 100].map(|percent| {
                let latency = state.latencies[last * percent / 100];
                format!("{:.2} ms", latency.as_secs_f64() * 1e3)
            });
            println!("  bystander: p50 {p50}, p99 {p99}, max {most}");
        }
        println!("\nwhat else was done");
        for (deed, count) in &state.deeds {
            println!("  {deed:<46}{count:>16}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
