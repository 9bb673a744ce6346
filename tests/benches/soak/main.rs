//! A soak: everything that peers, handlers and operators do, all at once against one real host, through nothing but sockets,
//! files and signals. It fails, with exit code 1 and a reason, when anything is lost, wrong or left behind.
//!
//! ```text
//! cargo bench -p tests --bench soak                            ten minutes
//! cargo bench -p tests --bench soak -- --seconds 20 --seed 7   shorter; what is done at random hangs on the seed
//! cargo bench -p tests --bench soak -- --without "plugins.toml" without what has this name
//! ```
//!
//! It has three parts: a warm-up, in which everything happens that costs memory, threads or descriptors once, and two halves.
//! After each the host is left in peace and measured, so that what is compared is the same state. Whatever panics is a
//! fault, on whichever thread; what only a quick machine could promise (latency) is printed and not asserted.
#![allow(clippy::unwrap_used, missing_docs)]

mod balance;
mod clients;
mod faults;
mod newcomers;
mod operators;
mod peers;
mod sample;
mod scene;
mod verdict;
mod versions;

use std::time::{Duration, Instant};

use clap::Parser;
use rustix::process::Signal;
use tests::cargo::scratch;
use tests::host::show;

use sample::Sample;
use scene::{Part, Scene};
use versions::Versions;

#[derive(Debug, Parser)]
struct Arguments {
    /// How long it takes, beside what it waits for.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(10..))]
    seconds: u64,
    /// What is done at random hangs on it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leave out what has this name, as faults have it: to find out what it takes for one.
    #[arg(long, value_name = "NAME")]
    without: Vec<String>,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    faults::collect();
    let arguments = Arguments::parse();
    println!("soak: {} s, seed {}", arguments.seconds, arguments.seed);
    // A panic is noted; there is nothing to add.
    let _ = std::panic::catch_unwind(|| soak(&arguments));
    let faults = faults::all();
    for fault in &faults {
        println!("FAILED: {fault}");
    }
    if faults.is_empty() {
        println!("nothing was lost");
    }
    // Where something has failed, threads may be left that wait for what does not come.
    std::process::exit(i32::from(!faults.is_empty()));
}

fn soak(arguments: &Arguments) {
    let scene = Scene::start();
    let mut versions = Versions::new(&scene);
    let of_version = versions.measure();
    let mut samples = Vec::new();
    for (number, (name, fifths)) in [("start", 1), ("middle", 2), ("end", 2)].into_iter().enumerate() {
        let part = Part::new(
            &scene,
            Duration::from_millis(arguments.seconds * 200 * fifths),
            arguments.seed.wrapping_add(1000 * number as u64),
        );
        play(&part, &mut versions, &arguments.without);
        if faults::any() {
            break;
        }
        scene.rest(&mut versions);
        samples.push(Sample::take(name, &scene));
    }
    let asked = Instant::now();
    scene.host.read_log(true);
    scene.host.signal(Signal::TERM);
    let Scene {
        site, host, balance, ..
    } = scene;
    let (status, log) = host.wait();
    let file = scratch().join("soak.log");
    std::fs::write(&file, show(&log)).unwrap();
    println!("the host's log: {}", file.display());
    balance.print();
    verdict::of_log(&log, &balance);
    verdict::of_samples(&samples, of_version);
    verdict::of_end(&site, status, asked.elapsed());
}

/// All that happens, beside each other until the time is over or something has failed.
fn play(part: &Part<'_>, versions: &mut Versions<'_>, without: &[String]) {
    std::thread::scope(|scope| {
        let spawn = |name: &str, run: fn(&Part<'_>)| {
            if without.iter().any(|without| without == name) {
                return;
            }
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread.spawn_scoped(scope, move || part.run(|| run(part))).unwrap();
        };
        clients::all(&spawn);
        peers::all(&spawn);
        operators::all(&spawn);
        spawn("newcomers", newcomers::come);
        part.run(|| versions.change(part));
    });
}
