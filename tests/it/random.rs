//! Whatever is done to the plugin directory of a running host, in whatever order, ends where a fresh start on the same
//! directory would: the same versions answer the same commands.
//!
//! Two differences are meant. A link that was taken away under a running host is a decision, which a fresh start knows nothing
//! of: it gets a directory without that plugin. And what serves goes on when its file is damaged, is gone, or has become
//! other content of the same version. And a link that somebody has moved stays there, unless something new comes after that.
//!
//! Each schedule has its seed, which a failure prints. `SEED=7 cargo test -p tests --test it random` runs that one alone,
//! `SCHEDULES=1000` as many as that. The steps are the same each time, their timing is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::panic::catch_unwind;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tests::contents::{Contents, PLUGINS, parts, sonames};
use tests::follow::{quiet, told};
use tests::host::{Host, Site};
use tests::ledger::Ledger;
use tests::schedule::{Disorder, copy};
use tests::swaps::{constructed, lives, soname, start};

const SCHEDULES: u64 = 36;
const STEPS: usize = 12;
const COMMANDS: Range<u8> = 0x10..0x13;

/// Who answers which command.
type Answers = BTreeMap<u8, String>;

#[test]
fn whatever_is_done_to_the_directory_ends_where_a_fresh_start_would() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SCHEDULES").unwrap_or(SCHEDULES),
    };
    let folder = TempDir::new().unwrap();
    let contents = Contents::new(folder.path());
    // One failing schedule says little: which ones fail says more.
    let failed: Vec<u64> = seeds
        .filter(|seed| catch_unwind(|| schedule(&contents, *seed)).is_err())
        .collect();
    assert!(failed.is_empty(), "these seeds fail: {failed:?}");
}

fn schedule(contents: &Contents, seed: u64) {
    let site = Site::default();
    let mut disorder = Disorder::new(&site.plugins(), contents, seed);
    for _ in 0..disorder.below(5) {
        disorder.step();
    }
    disorder.ledger.host_starts();
    let mut case = Case {
        seed,
        steps: Vec::new(),
    };
    let host = start(&site);
    for _ in 0..STEPS {
        disorder.step();
        case.steps.clone_from(&disorder.steps);
        // How long the host has decides what it sees between two steps, and nothing else.
        match disorder.below(6) {
            0..=1 => {
                quiet(&host, disorder.being_written());
                disorder.ledger.host_has_looked();
            }
            2 => host.signal(Signal::HUP),
            3 => sleep(Duration::from_millis(disorder.below(30) as u64)),
            _ => {}
        }
    }
    disorder.finish();
    case.steps.clone_from(&disorder.steps);
    quiet(&host, 0);

    let running = answers(&host);
    let fresh = fresh(&site, &disorder.ledger);
    let log = host.stop();
    compare(&site.plugins(), &disorder.ledger, &running, &fresh, &log);
    for (soname, target) in disorder.ledger.pointed() {
        let link = fs::read_link(site.plugins().join(soname)).unwrap();
        assert_eq!(
            link.to_str(),
            Some(target.as_str()),
            "{soname} was moved\n{}",
            told(&log)
        );
    }
    nothing_was_replaced_unasked(&disorder.ledger, &log);
    nothing_was_taken_away_unasked(&disorder.ledger, &log);
    each_content_lived_properly(&site);
}

/// Says which schedule it was, when it fails.
struct Case {
    seed: u64,
    steps: Vec<String>,
}

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let steps = self.steps.join("\n  ");
            eprintln!("SEED={} cargo test -p tests --test it random\n  {steps}", self.seed);
        }
    }
}

fn answers(host: &Host) -> Answers {
    let mut client = host.connect();
    let asked = COMMANDS.map(|command| (command, client.submit(command, b"")));
    asked
        .filter(|(_, ack)| ack.result == 0)
        .map(|(command, ack)| (command, String::from_utf8(ack.body).unwrap()))
        .collect()
}

/// What a fresh start makes of the directory as it lies there.
fn fresh(site: &Site, ledger: &Ledger) -> Answers {
    let mut taken = sonames();
    taken.retain(|soname| ledger.was_taken(soname) && !is_linked(&site.plugins(), soname));
    let other = Site::default();
    copy(&site.plugins(), &other.plugins(), &taken);
    let host = start(&other);
    let answers = answers(&host);
    host.stop();
    answers
}

fn is_linked(plugins: &Path, soname: &str) -> bool {
    fs::symlink_metadata(plugins.join(soname)).is_ok()
}

#[track_caller]
fn compare(plugins: &Path, ledger: &Ledger, running: &Answers, fresh: &Answers, log: &[Value]) {
    let goes_on: BTreeSet<String> = running
        .values()
        .filter(|body| goes_on(plugins, ledger, body))
        .map(|body| soname_of(body))
        .collect();
    // What goes on keeps its commands; who would have them in its place, with others, has none of them.
    let is_in_its_place = |body: &String| {
        let commands = PLUGINS.iter().find(|(name, _)| *name == parts(body).0).unwrap().1;
        let mut theirs = commands.iter().filter_map(|command| running.get(command));
        theirs.any(|body| goes_on.contains(&soname_of(body)))
    };
    for command in COMMANDS {
        let (now, then) = (running.get(&command), fresh.get(&command));
        let is_meant = now.is_some_and(|body| goes_on.contains(&soname_of(body)))
            || now.is_none() && then.is_some_and(is_in_its_place);
        assert!(
            now == then || is_meant,
            "command {command:#04x}: {now:?} answers, after a fresh start {then:?} would\n{}",
            told(log)
        );
    }
}

/// Whether that is not what its link leads to, because there is nothing good or other content of its version.
fn goes_on(plugins: &Path, ledger: &Ledger, body: &str) -> bool {
    let Ok(target) = fs::read_link(plugins.join(soname_of(body))) else {
        return false;
    };
    match ledger.good(target.to_str().unwrap()) {
        Some(other) => other != body && parts(other).1 == parts(body).1,
        None => true,
    }
}

fn soname_of(body: &str) -> String {
    let (name, version, _) = parts(body);
    soname(name, version)
}

/// Other content under a name that serves is not taken over unless that is allowed. (A link that is pointed to a lower
/// version at the same time makes it a newcomer.)
#[track_caller]
fn nothing_was_replaced_unasked(ledger: &Ledger, log: &[Value]) {
    for replaced in log.iter().filter(|line| line["message"] == "replaced") {
        let soname = replaced["soname"].as_str().unwrap();
        assert!(ledger.was_pointed(soname), "{replaced}\n{}", told(log));
    }
}

/// Damage is no decision: what has no rival is taken out of the route table when its link was taken away, and only then.
#[track_caller]
fn nothing_was_taken_away_unasked(ledger: &Ledger, log: &[Value]) {
    let without_rival = soname(PLUGINS[1].0, "1.0.0"); // a linked lower line goes before the higher one
    for removed in log.iter().filter(|line| line["message"] == "removed") {
        let is_asked_for = removed["soname"] != without_rival.as_str() || ledger.was_taken(&without_rival);
        assert!(is_asked_for, "{removed}\n{}", told(log));
    }
}

/// No content is loaded twice. One whose file goes and comes back may live again, but never twice at the same time.
#[track_caller]
fn each_content_lived_properly(site: &Site) {
    let mut loaded = constructed(site);
    loaded.sort_unstable();
    for pair in loaded.windows(2) {
        assert_ne!(pair[0], pair[1], "loaded twice");
    }
    for (name, _) in PLUGINS {
        for (body, life) in lives(site, name) {
            let times = life.len() / 3;
            assert_eq!(life, ["init", "shutdown", "drop"].repeat(times), "{body}");
        }
    }
}
