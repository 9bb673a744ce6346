//! What a plugin's code has done to the process that it shares with the host, looked for each time that it has run for the
//! first time: handlers for the host's signals, which are named; standard streams that are closed, whose numbers the next
//! connections would have; and descriptors of the host that are closed, after which nothing can go on.

use std::fs;

use crate::logging::FieldValue;
use crate::process::sentinel::{self, Suspect};
use crate::process::{descriptors, exit};

/// SIGHUP, SIGINT and SIGTERM, signal(7).
const SIGNALS: [(u32, &str); 3] = [(1, "SIGHUP"), (2, "SIGINT"), (15, "SIGTERM")];

/// What is known of the process.
#[derive(Debug)]
pub struct SideEffects {
    /// A bit for each signal that is handled or ignored, from the lowest for signal 1.
    taken: u64,
}

impl SideEffects {
    /// As the process is before any plugin's code has run.
    pub fn new() -> SideEffects {
        SideEffects { taken: taken() }
    }

    /// This plugin's code is about to run for the first time.
    pub fn expect(&self, plugin: &str, version: &semver::Version) {
        sentinel::suspect(Some(Suspect {
            plugin: plugin.to_owned(),
            version: version.to_string(),
        }));
    }

    /// Looks at what has changed since; it is this plugin's doing. Ends the process if it can't go on.
    pub fn look(&mut self, plugin: &str, version: &semver::Version) {
        if sentinel::is_gone() {
            exit::descriptors_gone();
        }
        sentinel::suspect(None);
        let closed = descriptors::keep_standard_streams();
        if !closed.is_empty() {
            let closed = FieldValue::words(&closed);
            let closed = closed.field();
            tracing::warn!(plugin, %version, closed, "its code has closed standard streams, which are /dev/null now");
        }
        let now = taken();
        let signals: Vec<&str> = names(now & !self.taken);
        self.taken |= now;
        if !signals.is_empty() {
            let signals = FieldValue::words(&signals);
            tracing::warn!(
                plugin,
                %version,
                signals = signals.field(),
                "the plugin has set handlers for the host's signals: they are never called, the host asks for these signals itself"
            );
        }
    }
}

impl Default for SideEffects {
    fn default() -> SideEffects {
        SideEffects::new()
    }
}

fn names(signals: u64) -> Vec<&'static str> {
    let is_in = |number: u32| signals & (1 << (number - 1)) != 0;
    SIGNALS
        .iter()
        .filter(|(number, _)| is_in(*number))
        .map(|(_, name)| *name)
        .collect()
}

/// The signals of this process that have a handler or are ignored; none where the system does not tell, proc(5).
fn taken() -> u64 {
    fs::read_to_string("/proc/self/status").map_or(0, |status| mask(&status, "SigCgt:") | mask(&status, "SigIgn:"))
}

fn mask(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_read_and_named() {
        let status = "SigIgn:\t0000000000001000\nSigCgt:\t0000000000004002\n";
        let taken = mask(status, "SigCgt:") | mask(status, "SigIgn:");
        assert_eq!(names(taken), ["SIGINT", "SIGTERM"]);
        assert_eq!(names(0), Vec::<&str>::new());
        assert_eq!(mask(status, "SigBlk:"), 0);
    }
}
