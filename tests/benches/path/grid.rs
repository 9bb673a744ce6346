//! Host, floor and tokio server, over connections and windows.

use crate::load::{Load, Sample};
use crate::report::Report;
use crate::rounds::{Rounds, Settings};
use crate::servers::Server;

/// The servers, as they are numbered in the rounds.
const HOST: usize = 0;
const FLOOR: usize = 1;
const TOKIO: usize = 2;

pub(crate) fn measure(settings: &Settings, report: &mut Report) {
    let servers = [Server::host(1), Server::floor(), Server::tokio()];
    let loads =
        [(1, 1), (100, 1), (100, 16), (10, 128), (1, 1024)].map(|(connections, window)| Load::new(connections, window));
    let larger = Load::new(100, 16).payload(1024);
    let cpu: fn(&Sample) -> f64 = |sample| sample.cpu;
    let rate: fn(&Sample) -> f64 = |sample| sample.acks_per_second;
    let (mut of_cpu, mut of_rate) = (Vec::new(), Vec::new());
    for load in loads.into_iter().chain([larger]) {
        let rounds = settings.take_turns(&servers.each_ref().map(|server| (server, load.clone())));
        let aim = rounds.ratio(HOST, FLOOR, cpu).at_most(1.15);
        of_cpu.push(row(&load, &rounds, cpu, aim));
        let aim = rounds.ratio(HOST, FLOOR, rate).at_least(0.9);
        of_rate.push(row(&load, &rounds, rate, aim));
    }
    let header = [
        "(connections, window)",
        "payload",
        "host",
        "floor",
        "tokio",
        "host/floor",
        "aim",
        "tokio/floor",
        "host/tokio",
    ];
    report.table("Host, floor and tokio server: CPU-ns per ack", &header, &of_cpu);
    report.table("Host, floor and tokio server: acks/s", &header, &of_rate);
}

fn row(load: &Load, rounds: &Rounds, figure: fn(&Sample) -> f64, aim: String) -> Vec<String> {
    let mut row = vec![
        format!("({}, {})", load.connections, load.window),
        format!("{} B", load.payload),
    ];
    row.extend([HOST, FLOOR, TOKIO].map(|server| format!("{:.0}", rounds.median(server, figure))));
    row.push(rounds.ratio(HOST, FLOOR, figure).show());
    row.push(aim);
    row.push(rounds.ratio(TOKIO, FLOOR, figure).show());
    row.push(rounds.ratio(HOST, TOKIO, figure).show());
    row
}
