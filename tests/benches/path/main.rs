//! What the packet path costs. The host, in a release build with everything at its defaults, is put under the same load as a
//! bare epoll loop (`floor`) and as a tokio server with the same plugin (`tokio_server`), in turn and several times over; what
//! counts are the ratios of each round, for machines drift.
//!
//! ```text
//! cargo bench -p tests --bench path                        all of it
//! cargo bench -p tests --bench path -- grid                one part: grid, plugins, idle, payload, window, memory, fairness,
//!                                                          relief
//! cargo bench -p tests --bench path -- --write             and write tables and plots to host/docs/performance
//! ```
//!
//! The aims are printed beside the figures and not asserted: they are for a machine that does nothing else. A figure is met or
//! missed only if the rounds agree on it; else the line says that this machine is too noisy to tell.
#![allow(clippy::unwrap_used, missing_docs)]

mod fairness;
mod floor;
mod grid;
mod growth;
mod idle;
mod load;
mod plot;
mod relief;
mod report;
mod rounds;
mod servers;
mod tokio_server;

use clap::{Parser, ValueEnum};

use report::Report;

#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure; everything unless named.
    parts: Vec<Part>,
    /// How often each server is measured under each load.
    /// Fewer than six have no bounds.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u64).range(6..))]
    rounds: u64,
    /// How long each measurement takes, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    milliseconds: u64,
    /// Write tables and plots to host/docs/performance.
    #[arg(long)]
    write: bool,
    /// Be the floor, with this many loops.
    #[arg(long, hide = true)]
    floor: Option<usize>,
    /// Be the tokio server, with this many runtimes and the plugins of this plugins.toml.
    #[arg(long, hide = true, num_args = 2, value_names = ["RUNTIMES", "FILE"])]
    tokio: Vec<String>,
    /// Hold this many connections to ADDRESS from SOURCE, until the standard input ends.
    #[arg(long, hide = true, num_args = 3, value_names = ["COUNT", "ADDRESS", "SOURCE"])]
    idle: Vec<String>,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Grid,
    Plugins,
    Idle,
    Payload,
    Window,
    Memory,
    Fairness,
    Relief,
}

type Measure = fn(&rounds::Settings, &mut Report);

fn main() {
    let arguments = Arguments::parse();
    if let Some(loops) = arguments.floor {
        return floor::serve(loops);
    }
    if let [runtimes, configuration] = arguments.tokio.as_slice() {
        return tokio_server::serve(runtimes.parse().unwrap(), configuration.as_ref());
    }
    if let [count, address, source] = arguments.idle.as_slice() {
        return idle::hold(
            count.parse().unwrap(),
            address.parse().unwrap(),
            source.parse().unwrap(),
        );
    }
    let asked = |part| arguments.parts.is_empty() || arguments.parts.contains(&part);
    let settings = rounds::Settings {
        rounds: usize::try_from(arguments.rounds).unwrap(),
        milliseconds: arguments.milliseconds,
    };
    let mut report = Report::new();
    let parts: [(Part, Measure); 8] = [
        (Part::Grid, grid::measure),
        (Part::Plugins, growth::plugins),
        (Part::Idle, growth::idle),
        (Part::Payload, growth::payload),
        (Part::Window, growth::window),
        (Part::Memory, idle::memory),
        (Part::Fairness, fairness::measure),
        (Part::Relief, relief::measure),
    ];
    for (part, measure) in parts {
        if asked(part) {
            measure(&settings, &mut report);
        }
    }
    if arguments.write {
        report.write();
    }
}
