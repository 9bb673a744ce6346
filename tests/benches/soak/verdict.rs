//! What must be so at the end, and is a fault if it is not.

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;
use tests::host::Site;
use tests::swaps::{NAME, lives};

use crate::balance::Balance;
use crate::faults;
use crate::sample::Sample;
use crate::scene::{DRAIN_TIMEOUT, staging};

/// Threads and descriptors that there may be more of at the end than after the warm-up: a spare thread that has yet to
/// find out that it is one too many, a connection whose end is under way.
const SPARE: usize = 4;
/// What memory may grow by that no library explains: what the allocator keeps of the busiest moment, which may have come
/// after the warm-up (the log's queue has 4 MiB, a held thread's buffers some 100 KiB).
const SLACK: u64 = 32 << 20;
/// What a library may cost beyond what was measured on a quiet host, in hundredths: under load more of its pages are used.
const OF_MEASURED: u64 = 125;
/// How late the end may be on a busy machine.
const LATE: Duration = Duration::from_secs(2);

/// The host's log: no fault of its own, and refusals of what is bad and of nothing else.
pub(crate) fn of_log(log: &[Value], balance: &Balance) {
    let message = |line: &Value| line["message"].as_str().unwrap_or_default().to_owned();
    for line in log {
        let is_own_fault = message(line).starts_with("panicked") || message(line).contains("fault of the host's own");
        faults::unless(!is_own_fault, || format!("the log says: {line}"));
    }
    let bad = balance.bad();
    let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
    let is_refusal = |line: &&Value| line["message"] == "refused";
    // A file may go between the listing of the directory and its opening.
    let is_gone = |line: &Value| {
        line["found"]
            .as_str()
            .is_some_and(|found| found.starts_with("No such file"))
    };
    let gone = log.iter().filter(is_refusal).filter(|line| is_gone(line)).count();
    for line in log.iter().filter(is_refusal).filter(|line| !is_gone(line)) {
        let code = line["code"].as_str().unwrap_or_default();
        let expected = line["plugin"].as_str().and_then(|plugin| bad.get(plugin));
        faults::unless(expected == Some(&code), || format!("refused without need: {line}"));
        *refused.entry(code).or_default() += 1;
    }
    faults::unless(!bad.is_empty(), || "no newcomer was refused".to_owned());
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    bad.values().for_each(|code| *expected.entry(code).or_default() += 1);
    println!("\nthe log: {} lines", log.len());
    println!("  bad newcomers {expected:?}, lines of refusal {refused:?}");
    println!("  refused since they were gone when they were opened: {gone}");
    let sum = |field: &str, of: &str| -> u64 {
        let lines = log.iter().filter(|line| message(line).starts_with(of));
        lines.filter_map(|line| line[field].as_u64()).sum()
    };
    let (lost, of_plugins) = (sum("lines", "log lines lost"), sum("of_plugins", "log lines lost"));
    println!(
        "  lines lost {lost}, of which of plugins {of_plugins}; left out {}",
        sum("lines", "lines like this were left out")
    );
    let mut others: BTreeMap<String, u64> = BTreeMap::new();
    for line in log.iter().filter(|line| line["target"] != "plugin.submit-log") {
        *others.entry(message(line)).or_default() += 1;
    }
    for (message, count) in others {
        println!("  {message:<62}{count:>8}");
    }
}

/// The host gives back what it took, but for the libraries; a version costs this many bytes.
pub(crate) fn of_samples(samples: &[Sample], of_version: u64) {
    let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    println!("\nhost          RSS  of libraries  libraries  threads  descriptors  staged");
    for sample in samples {
        println!(
            "{:<7}{:>10}{:>14}{:>11}{:>9}{:>13}{:>8}",
            sample.name,
            mebibytes(sample.resident),
            mebibytes(sample.of_libraries),
            sample.libraries,
            sample.threads,
            sample.descriptors,
            sample.staged
        );
    }
    let [start, _, end] = samples else { return };
    let libraries = (end.libraries - start.libraries) as u64;
    let explained = libraries * of_version * OF_MEASURED / 100;
    let grown = end.resident.saturating_sub(start.resident);
    println!(
        "RSS grew by {}; {libraries} libraries of {} as measured, and a quarter more, explain {}; slack {}",
        mebibytes(grown),
        mebibytes(of_version),
        mebibytes(explained),
        mebibytes(SLACK)
    );
    faults::unless(grown <= explained + SLACK, || "memory is lost".to_owned());
    for (what, before, after) in [
        ("threads", start.threads, end.threads),
        ("descriptors", start.descriptors, end.descriptors),
        ("private copies", start.staged, end.staged),
    ] {
        faults::unless(after <= before + SPARE, || {
            format!("{what}: {before} at first, {after} now")
        });
    }
}

/// It ends in order and in time, leaves no copies behind, and each version had one life.
pub(crate) fn of_end(site: &Site, status: ExitStatus, took: Duration) {
    println!("SIGTERM: {status} after {:.2} s", took.as_secs_f64());
    faults::unless(status.success(), || format!("the host ended with {status}"));
    faults::unless(took <= DRAIN_TIMEOUT + LATE, || format!("the end took {took:?}"));
    let left = staging(site);
    faults::unless(left.is_empty(), || format!("left behind: {left:?}"));
    for (who, life) in lives(site, NAME) {
        faults::unless(life == ["init", "shutdown", "drop"], || {
            format!("the life of {who}: {life:?}")
        });
    }
}
