//! `host bench`: the load generator's options, and how its report is printed.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::net::ToSocketAddrs;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytesize::ByteSize;
use clap::Args;
use host_bench::{Address, Body, Fault, Plan, Progress, Report, TIMEOUT};
use serde::Serialize;
use wire::client::MAX_PAYLOAD;
use wire::result;

use super::failure::Failure;
use super::output;
use crate::config::unix_path;
use crate::process::open_files;

/// The window of an open loop, unless it is said.
const OPEN_WINDOW: usize = 1024;
/// Longer ones would say nothing more, and overflow the clock.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Put a host under load, check every ack against its Submit, and print rates and latencies.
///
/// Without --rate each connection keeps its window full (a closed loop). With it, Submits are due at a fixed rate, and their
/// latency counts from when they were due, so a host that stalls can't hide it (an open loop).
///
/// Exit code 1 when a Submit was not acked with result 0x00, or none was measured.
#[derive(Debug, Args)]
pub(super) struct Bench {
    /// The host's address, or unix:PATH.
    #[arg(long, default_value = "127.0.0.1:8888")]
    addr: String,
    /// How many connections.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    connections: usize,
    /// The most Submits without an ack, for each connection [default: 1, with --rate 1024].
    #[arg(short, long, value_name = "N", value_parser = at_least_one)]
    window: Option<usize>,
    /// The commands, in turn: `0x02`, `0x02,0x03`, `0x02-0x7f`, with weights `0x02*3,0x03`.
    #[arg(short, long, value_name = "LIST", default_value = "0x02", value_parser = commands)]
    commands: Commands,
    /// The size of each payload, such as 32 or 1KiB.
    #[arg(short, long, value_name = "SIZE", default_value = "32", value_parser = payload)]
    payload: usize,
    /// What the body of an ack has to be.
    #[arg(long, value_enum, default_value_t)]
    body: BodyArgument,
    /// Submits per second of all connections together: an open loop.
    #[arg(short, long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// How long to measure.
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = time)]
    duration: Duration,
    /// How long to load before.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    warmup: Duration,
    /// How many threads make the load.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    threads: usize,
    /// The host's process, to tell its processor time for each ack.
    #[arg(long)]
    pid: Option<u32>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug)]
struct Commands(Vec<u8>);

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(number) if number > 1 << 20 => Err(format!("{number} is too many: at most {}", 1 << 20)),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

fn payload(text: &str) -> Result<usize, String> {
    let size = text.parse::<ByteSize>()?.as_u64();
    match usize::try_from(size) {
        Ok(size) if size <= MAX_PAYLOAD => Ok(size),
        _ => Err(format!("{size} bytes are too many: at most {MAX_PAYLOAD}")),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=1e9).contains(&rate) => Ok(rate),
        Ok(rate) => Err(format!(
            "{rate} is out of range: 0.001 to 1000000000 Submits per second"
        )),
        Err(error) => Err(format!("{error}")),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time <= LONGEST => Ok(time),
        Ok(_) => Err("at most a day".to_owned()),
        Err(error) => Err(format!("{text:?} is no duration such as \"30s\": {error}")),
    }
}

/// A list such as `0x02*3,0x10-0x1f`, as the commands that are sent in turn.
fn commands(text: &str) -> Result<Commands, String> {
    let mut turn = Vec::new();
    for part in text.split(',') {
        let (range, weight) = part.split_once('*').unwrap_or((part, "1"));
        let weight = weight.parse().ok().filter(|weight| (1..=1000).contains(weight));
        let weight: usize = weight.ok_or_else(|| format!("{part:?} has no weight of 1 to 1000"))?;
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (super::submit::command(first)?, super::submit::command(last)?);
        if first > last {
            return Err(format!("{range:?} ends before it begins"));
        }
        turn.extend((first..=last).flat_map(|command| std::iter::repeat_n(command, weight)));
    }
    Ok(Commands(turn))
}

/// `--body`
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum BodyArgument {
    /// Whatever it is.
    #[default]
    Any,
    /// Nothing.
    Empty,
    /// The payload of its Submit.
    Echo,
}

impl From<BodyArgument> for Body {
    fn from(argument: BodyArgument) -> Body {
        match argument {
            BodyArgument::Any => Body::Any,
            BodyArgument::Empty => Body::Empty,
            BodyArgument::Echo => Body::Echo,
        }
    }
}

impl Bench {
    pub(super) fn run(self) -> Result<u8, Failure> {
        if self.duration.is_zero() {
            return Err(anyhow!("a measurement needs a duration: set --duration").into());
        }
        let plan = self.plan()?;
        open_files::raise_open_files(plan.connections);
        let shows_progress = std::io::stderr().is_terminal();
        let report = host_bench::run(plan.clone(), |progress| {
            if shows_progress {
                let _ = write!(std::io::stderr(), "\r{}\x1b[K", line(&progress));
            }
        });
        if shows_progress {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
        let report = report?;
        match self.json {
            true => output::json(&Printed::new(&plan, &report))?,
            false => text(&plan, &report)?,
        }
        let is_good = report.tally.is_good() && !report.tally.latencies.is_empty();
        Ok(if is_good { super::GOOD } else { super::FAILED })
    }

    fn plan(&self) -> Result<Plan, Failure> {
        Ok(Plan {
            address: address(&self.addr)?,
            connections: self.connections,
            window: self.window.unwrap_or(if self.rate.is_some() { OPEN_WINDOW } else { 1 }),
            commands: self.commands.0.clone(),
            payload: self.payload,
            body: self.body.into(),
            rate: self.rate,
            warmup: self.warmup,
            duration: self.duration,
            threads: self.threads,
            pid: self.pid,
        })
    }
}

fn address(text: &str) -> anyhow::Result<Address> {
    if let Some(path) = unix_path(text) {
        return Ok(Address::Unix(path.into()));
    }
    let found = text
        .to_socket_addrs()
        .with_context(|| format!("{text:?} is no address"))?;
    found
        .into_iter()
        .next()
        .map(Address::Tcp)
        .with_context(|| format!("{text:?} has no address"))
}

fn line(progress: &Progress) -> String {
    format!(
        "{:.0} s of {:.0} s, {:.0} acks/s",
        progress.elapsed.as_secs_f64(),
        progress.whole.as_secs_f64(),
        progress.rate
    )
}

const PERCENTILES: [(&str, f64); 6] = [
    ("p50", 50.0),
    ("p90", 90.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
    ("p99.99", 99.99),
    ("max", 100.0),
];

fn text(plan: &Plan, report: &Report) -> Result<(), Failure> {
    let tally = &report.tally;
    let how = match plan.rate {
        None => format!("window {}", plan.window),
        Some(rate) => format!("{rate} Submits/s, at most {} of a connection under way", plan.window),
    };
    output::line(&format!(
        "{} connections, {how}, payload {} B, {:.1} s after {:.1} s of warm-up",
        plan.connections,
        plan.payload,
        report.measured.as_secs_f64(),
        plan.warmup.as_secs_f64()
    ))?;
    output::line(&format!("acks/s    {:.0}", report.rate()))?;
    let latencies = PERCENTILES.map(|(name, percent)| {
        let latency = Duration::from_nanos(tally.latencies.value_at_quantile(percent / 100.0));
        format!("{name} {:.1}", micros(latency))
    });
    output::line(&format!("latency   {} us", latencies.join(", ")))?;
    if plan.rate.is_some() {
        output::line(&format!(
            "sent      at most {:.1} us after being due",
            micros(tally.behind)
        ))?;
    }
    let share = |used: Duration| 100.0 * used.as_secs_f64() / report.measured.as_secs_f64();
    if let (Some(host), Some(ns)) = (report.host, report.host_ns_per_ack()) {
        output::line(&format!(
            "host      {ns:.1} CPU-ns per ack, {:.0} % of a processor",
            share(host)
        ))?;
    }
    if let Some(client) = report.client {
        output::line(&format!("client    {:.0} % of a processor", share(client)))?;
    }
    for (code, count) in tally.results.iter().enumerate().filter(|(_, count)| **count > 0) {
        let meaning = result::describe(code as u8);
        output::line(&format!("result    {code:#04x} ({meaning}): {count}"))?;
    }
    for (fault, count) in faults(report).filter(|(_, count)| *count > 0) {
        output::line(&format!("FAULT     {}: {count}", explain(fault)))?;
    }
    Ok(())
}

fn faults(report: &Report) -> impl Iterator<Item = (Fault, u64)> {
    Fault::ALL.into_iter().zip(report.tally.faults)
}

fn explain(fault: Fault) -> String {
    match fault {
        Fault::UnknownId => "acks whose ID belongs to no Submit under way".to_owned(),
        Fault::WrongCommand => "acks with another command than their Submit's".to_owned(),
        Fault::WrongBody => "acks with another body than asked for".to_owned(),
        Fault::Malformed => "connections with bytes that are no ack".to_owned(),
        Fault::Closed => "connections that the host closed".to_owned(),
        Fault::Lost => {
            format!("Submits that were due and have no ack, {TIMEOUT:?} after the end or when their connection ended")
        }
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e3
}

/// What `--json` prints; host/schema/bench.json says the same.
#[derive(Debug, Serialize)]
struct Printed {
    address: String,
    connections: usize,
    window: usize,
    commands: Vec<u8>,
    payload_bytes: usize,
    rate: Option<f64>,
    threads: usize,
    warmup_seconds: f64,
    measured_seconds: f64,
    acks: u64,
    acks_per_second: f64,
    latency_us: BTreeMap<&'static str, f64>,
    behind_us: f64,
    host_cpu_seconds: Option<f64>,
    host_cpu_ns_per_ack: Option<f64>,
    client_cpu_seconds: Option<f64>,
    results: BTreeMap<String, u64>,
    faults: BTreeMap<&'static str, u64>,
}

impl Printed {
    fn new(plan: &Plan, report: &Report) -> Printed {
        let tally = &report.tally;
        let at = |percent: f64| micros(Duration::from_nanos(tally.latencies.value_at_quantile(percent / 100.0)));
        let latencies = PERCENTILES.into_iter().map(|(name, percent)| (name, at(percent)));
        let results = tally.results.iter().enumerate().filter(|(_, count)| **count > 0);
        Printed {
            address: plan.address.to_string(),
            connections: plan.connections,
            window: plan.window,
            commands: plan.commands.clone(),
            payload_bytes: plan.payload,
            rate: plan.rate,
            threads: plan.threads,
            warmup_seconds: plan.warmup.as_secs_f64(),
            measured_seconds: report.measured.as_secs_f64(),
            acks: report.acks,
            acks_per_second: report.rate(),
            latency_us: latencies.chain([("mean", tally.latencies.mean() / 1e3)]).collect(),
            behind_us: micros(tally.behind),
            host_cpu_seconds: report.host.map(|used| used.as_secs_f64()),
            host_cpu_ns_per_ack: report.host_ns_per_ack(),
            client_cpu_seconds: report.client.map(|used| used.as_secs_f64()),
            results: results.map(|(code, count)| (format!("{code:#04x}"), *count)).collect(),
            faults: faults(report).map(|(fault, count)| (fault.name(), count)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_of_commands_is_a_list_with_ranges_and_weights() {
        let turn = |text: &str| commands(text).map(|commands| commands.0);
        assert_eq!(turn("0x02"), Ok(vec![2]));
        assert_eq!(turn("0x02*3,0x03"), Ok(vec![2, 2, 2, 3]));
        assert_eq!(turn("2-4,0x7f"), Ok(vec![2, 3, 4, 127]));
        assert_eq!(turn("0x02-0x7f").map(|turn| turn.len()), Ok(126));
        for wrong in ["", "0x01", "0x80", "4-2", "2*0", "2*", "2,,3"] {
            assert!(turn(wrong).is_err(), "{wrong}");
        }
    }
}
