//! What an ack costs in instructions, counted by callgrind: a figure that is the same on a busy machine as on an idle one,
//! and so can be held to. `cargo bench -p tests --bench instructions` counts, compares with what is expected
//! (`instructions.toml`), and fails when an ack has come to cost over 5 % more.
//!
//! Each scenario is run by itself with few rounds and with many; the difference of the two counts, divided by that of their
//! acks, is the figure, so that what the start costs falls out. It is everything that this process does for an ack, in the
//! host, in the plugin and in the C library, but for the kernel. It includes the client (`tests::inside`): its write, its read
//! and its comparison of the acks, once for each read of the server; and a clock that ticks twenty times a second.
//! With 128 Submits in a read that is little, with one it is a good part of the figure. The host is this program's copy of
//! it, compiled as the program `host` is; what the compiler inlines may differ.
//!
//! `--run SCENARIO ROUNDS` is what callgrind runs; it works without it too, for other profilers.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::fs;
use std::iter::repeat_n;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde::Deserialize;
use tempfile::TempDir;
use tests::cargo::{rustc, sample, succeed, text};
use tests::files::{with_identity, with_record};
use tests::host::Site;
use tests::inside::{CONFIGURATION, Exchange, Inside};

/// What a figure may differ from its expectation, in percent.
const TOLERANCE: f64 = 5.0;
const WRITE: &str = "cargo bench -p tests --bench instructions -- --write \"REASON\"";

struct Scenario {
    name: &'static str,
    what: &'static str,
    /// Whether acks carry their Submit's payload.
    reply: bool,
    /// The command of each Submit in a read.
    commands: fn() -> Vec<u8>,
    /// Few and many.
    rounds: [usize; 2],
}

/// The command of submit-echo, and that of its copy.
const ECHO: u8 = 0x02;
const OTHER: u8 = 0x03;

const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "batch",
        what: "128 Submits of 32 bytes in a read, acks without a body",
        reply: false,
        commands: || repeat_n(ECHO, 128).collect(),
        rounds: [100, 2100],
    },
    Scenario {
        name: "echo",
        what: "the same, each ack with its Submit's payload",
        reply: true,
        commands: || repeat_n(ECHO, 128).collect(),
        rounds: [100, 2100],
    },
    Scenario {
        name: "single",
        what: "one Submit in a read",
        reply: false,
        commands: || vec![ECHO],
        rounds: [100, 10_100],
    },
    Scenario {
        name: "turns",
        what: "128 Submits for two plugins in turn: a call for each",
        reply: false,
        commands: || [ECHO, OTHER].into_iter().cycle().take(128).collect(),
        rounds: [100, 2100],
    },
];

/// What is stored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectations {
    /// Why these figures are what they should be.
    reason: String,
    /// They are no other compiler's.
    compiler: String,
    /// They are no other processor's at all: elsewhere nothing is judged.
    architecture: String,
    /// For each ack, by scenario.
    instructions: BTreeMap<String, f64>,
}

fn main() -> ExitCode {
    // cargo passes `--bench` to every bench.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["--run", name, rounds] => {
            let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
            run(
                scenario.expect("a scenario"),
                rounds.parse().expect("a number of rounds"),
            );
            ExitCode::SUCCESS
        }
        ["--write", reason] if !reason.trim().is_empty() => counted(|found| write(reason.trim(), found)),
        [] => counted(compare),
        _ => {
            eprintln!(
                "none of these: no argument; --write \"REASON\", where the reason says something; --run SCENARIO ROUNDS"
            );
            ExitCode::from(2)
        }
    }
}

/// The part that is counted: a host with the scenario's plugins, and a client that keeps it busy.
fn run(scenario: &Scenario, rounds: usize) {
    let (echo, other) = ("submit-echo", "second-echo");
    let mut configuration = CONFIGURATION.to_owned();
    for name in [echo, other] {
        configuration += &format!("[plugin.{name}]\nversion = \"1\"\nconfig.reply = {}\n", scenario.reply);
    }
    let site = Site::new(&configuration);
    let library = site.copy(&sample(echo), "libsubmit_echo.so.1.1.0");
    let copy = site.plugins().join("libsecond_echo.so.1.1.0");
    with_identity(&library, &copy, other, "1.1.0");
    with_record(&copy, &copy, |record| record.commands = vec![OTHER]);

    let payload = [b'p'; 32];
    let body = if scenario.reply { &payload[..] } else { &[] };
    let mut inside = Inside::start(&site);
    inside.exchange(&mut [Exchange::new((scenario.commands)(), &payload, body)], rounds);
    inside.stop();
}

/// Counts all scenarios, and lets their figures be judged.
fn counted(judge: impl FnOnce(&[f64; SCENARIOS.len()]) -> ExitCode) -> ExitCode {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!(
            "instructions are counted by valgrind, which is not here: apt-get install valgrind, or your system's like"
        );
        return ExitCode::FAILURE;
    }
    // Before anything is counted: a start that has to build it would differ from one that finds it.
    sample("submit-echo");
    judge(&SCENARIOS.each_ref().map(instructions))
}

/// For each ack.
fn instructions(scenario: &Scenario) -> f64 {
    let [few, many] = scenario.rounds;
    let [less, more] = scenario.rounds.map(|rounds| callgrind(scenario.name, rounds));
    let acks = (many - few) * (scenario.commands)().len();
    (more as f64 - less as f64) / acks as f64
}

/// All instructions of one run.
fn callgrind(name: &str, rounds: usize) -> u64 {
    let folder = TempDir::new().unwrap();
    let counts = folder.path().join("counts");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--run", name, &rounds.to_string()]);
    let output = succeed(&mut valgrind);
    let counts = fs::read_to_string(counts).unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    let total = counts.lines().find_map(|line| line.strip_prefix("totals:"));
    let total = total.and_then(|total| total.trim().parse().ok());
    total.unwrap_or_else(|| panic!("no totals from callgrind: {}", text(&output)))
}

/// Shows the figures beside those that are expected; fails when one has grown.
fn compare(found: &[f64; SCENARIOS.len()]) -> ExitCode {
    let stored = fs::read_to_string(file()).unwrap();
    let stored: Expectations = toml::from_str(&stored).unwrap_or_else(|error| panic!("{}: {error}", file().display()));
    println!(
        "instructions for each ack; expected are those of {}: {}",
        stored.compiler, stored.reason
    );
    println!(
        "{:<10}{:>10}{:>10}{:>12}",
        "scenario", "expected", "found", "difference"
    );
    let (mut grown, mut shrunk) = (Vec::new(), Vec::new());
    for (scenario, found) in SCENARIOS.iter().zip(found) {
        let name = scenario.name;
        let expected = *stored.instructions.get(name).unwrap_or(&0.0);
        let percent = (found / expected - 1.0) * 100.0;
        println!(
            "{name:<10}{expected:>10.1}{found:>10.1}{percent:>+10.1} %  {}",
            scenario.what
        );
        let line =
            format!("{name}: expected {expected:.1} instructions for each ack, found {found:.1} ({percent:+.1} %)");
        if percent > TOLERANCE {
            grown.push(line);
        } else if percent < -TOLERANCE {
            shrunk.push(line);
        }
    }
    if ARCH != stored.architecture {
        println!(
            "not judged: this is {ARCH}, and expected are the figures of {}",
            stored.architecture
        );
        return ExitCode::SUCCESS;
    }
    if compiler() != stored.compiler {
        println!("this is {}: part of a difference may be the compiler's", compiler());
    }
    if !shrunk.is_empty() {
        println!(
            "less than expected, please store it, so that it stays so: {WRITE}\n{}",
            shrunk.join("\n")
        );
    }
    if grown.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "over {TOLERANCE} % more than expected; if it has to be, say why: {WRITE}\n{}",
        grown.join("\n")
    );
    ExitCode::FAILURE
}

/// Stores the figures as what is expected from now on.
fn write(reason: &str, found: &[f64; SCENARIOS.len()]) -> ExitCode {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut stored = format!(
        "# Instructions for each ack, as counted by benches/instructions.rs. Written by\n# {WRITE}\n\
         reason = {}\ncompiler = {}\narchitecture = {ARCH:?}\n\n[instructions]\n",
        quoted(reason),
        quoted(&compiler())
    );
    for (scenario, found) in SCENARIOS.iter().zip(found) {
        stored += &format!("{} = {found:.1} # {}\n", scenario.name, scenario.what);
    }
    fs::write(file(), &stored).unwrap();
    print!("{stored}");
    ExitCode::SUCCESS
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.toml")
}

/// The name and version of the compiler that built this.
fn compiler() -> String {
    text(&succeed(rustc().arg("--version"))).trim().to_owned()
}
