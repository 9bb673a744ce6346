//! Host and floor, over connections and windows.

use crate::load::{Load, Sample};
use crate::report::Report;
use crate::rounds::Settings;
use crate::servers::Server;

pub(crate) fn measure(settings: &Settings, report: &mut Report) {
    let (host, floor) = (Server::host(1), Server::floor());
    let loads =
        [(1, 1), (100, 1), (100, 16), (10, 128), (1, 1024)].map(|(connections, window)| Load::new(connections, window));
    let larger = Load::new(100, 16).payload(1024);
    let cpu: fn(&Sample) -> f64 = |sample| sample.cpu;
    let rate: fn(&Sample) -> f64 = |sample| sample.acks_per_second;
    let rows = loads.into_iter().chain([larger]).map(|load| {
        let rounds = settings.take_turns(&[(&host, load.clone()), (&floor, load.clone())]);
        let (cpu_ratio, rate_ratio) = (rounds.ratio(0, 1, cpu), rounds.ratio(0, 1, rate));
        vec![
            format!("({}, {})", load.connections, load.window),
            format!("{} B", load.payload),
            format!("{:.0}", rounds.median(0, cpu)),
            format!("{:.0}", rounds.median(1, cpu)),
            cpu_ratio.show(),
            cpu_ratio.at_most(1.15),
            format!("{:.0}", rounds.median(0, rate)),
            rate_ratio.show(),
            rate_ratio.at_least(0.9),
        ]
    });
    let header = [
        "(connections, window)",
        "payload",
        "host, CPU-ns per ack",
        "floor",
        "ratio",
        "aim",
        "host, acks/s",
        "ratio",
        "aim",
    ];
    report.table("Host and floor", &header, &rows.collect::<Vec<_>>());
}
