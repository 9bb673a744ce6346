//! What an ack costs as one thing after another grows.

use crate::idle::Idle;
use crate::load::{Load, Sample};
use crate::plot::{Line, plot};
use crate::report::Report;
use crate::rounds::Settings;
use crate::servers::Server;

const CPU: fn(&Sample) -> f64 = |sample| sample.cpu;

/// With more plugins, the same load; and load that goes to all of them in turn.
pub(crate) fn plugins(settings: &Settings, report: &mut Report) {
    let counts = [1, 16, 126];
    let hosts = counts.map(Server::host);
    let load = Load::new(100, 16);
    let servers: Vec<_> = hosts.iter().map(|host| (host, load.clone())).collect();
    let rounds = settings.take_turns(&servers);
    let mut rows = Vec::new();
    for (at, count) in counts.into_iter().enumerate() {
        let ratio = rounds.ratio(at, 0, CPU);
        let aim = if count == 126 {
            ratio.at_most(1.05)
        } else {
            String::new()
        };
        rows.push(vec![
            count.to_string(),
            "0x02".to_owned(),
            format!("{:.0}", rounds.median(at, CPU)),
            ratio.show(),
            aim,
        ]);
    }
    let in_turn = ["0x02", "0x02-0x11", "0x02-0x7f"].map(|commands| Load {
        commands,
        ..load.clone()
    });
    let servers: Vec<_> = hosts.iter().zip(in_turn.clone()).collect();
    let rounds = settings.take_turns(&servers);
    for (at, load) in in_turn.iter().enumerate().skip(1) {
        rows.push(vec![
            counts[at].to_string(),
            format!("{} in turn", load.commands),
            format!("{:.0}", rounds.median(at, CPU)),
            rounds.ratio(at, 0, CPU).show(),
            String::new(),
        ]);
    }
    let header = [
        "plugins",
        "commands",
        "host, CPU-ns per ack",
        "against one plugin",
        "aim",
    ];
    report.table("Number of plugins, (100, 16)", &header, &rows);
}

/// With more connections that say nothing, beside 100 that do.
pub(crate) fn idle(settings: &Settings, report: &mut Report) {
    let counts = [0, 1_000, 10_000, 50_000].map(|count| count.min(Idle::most()));
    if counts[3] < 50_000 {
        report.line(&format!(
            "\n50,000 idle connections do not fit into this machine's hard limit on open files (ulimit -Hn): {} do",
            counts[3]
        ));
    }
    let hosts = counts.map(|count| {
        let host = Server::host(1);
        let idle = Idle::open(&host, count);
        (host, idle)
    });
    let load = Load::new(100, 16);
    let servers: Vec<_> = hosts.iter().map(|(host, _)| (host, load.clone())).collect();
    let rounds = settings.take_turns(&servers);
    let mut points = Vec::new();
    let rows = counts.into_iter().enumerate().map(|(at, count)| {
        let ratio = rounds.ratio(at, 0, CPU);
        let p99: fn(&Sample) -> f64 = |sample| sample.p99;
        points.push(((count + 100) as f64, rounds.median(at, CPU)));
        vec![
            count.to_string(),
            format!("{:.0}", rounds.median(at, CPU)),
            ratio.show(),
            if at == 3 { ratio.at_most(1.2) } else { String::new() },
            format!("{:.0} us", rounds.median(at, p99)),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let header = ["idle", "host, CPU-ns per ack", "against none", "aim", "p99 latency"];
    report.table("Idle connections beside 100 busy ones, window 16", &header, &rows);
    let lines = [Line { name: "host", points }];
    report.plot(
        "connections",
        plot("CPU time per ack beside idle connections", "connections", &lines),
    );
}

/// With larger payloads.
pub(crate) fn payload(settings: &Settings, report: &mut Report) {
    let sizes = [0, 32, 256, 1024, 4096, 16_384, 65_523]; // the last makes the largest frame
    let loads = sizes.map(|size| (size, Load::new(10, 16).payload(size)));
    let title = "Payload, (10, 16)";
    against_floor(settings, report, title, "payload, bytes", &loads);
}

/// With larger windows, and so more Submits in each read.
pub(crate) fn window(settings: &Settings, report: &mut Report) {
    let loads = [1, 4, 16, 64, 256, 1024].map(|window| (window, Load::new(1, window)));
    let title = "Submits under way on one connection";
    against_floor(settings, report, title, "window", &loads);
}

fn against_floor(settings: &Settings, report: &mut Report, title: &str, what: &str, loads: &[(usize, Load)]) {
    let names = ["host", "floor", "tokio"];
    let servers = [Server::host(1), Server::floor(), Server::tokio()];
    let (mut rows, mut points) = (Vec::new(), names.map(|_| Vec::new()));
    for (size, load) in loads {
        let rounds = settings.take_turns(&servers.each_ref().map(|server| (server, load.clone())));
        let mut row = vec![size.to_string()];
        for (at, points) in points.iter_mut().enumerate() {
            let median = rounds.median(at, CPU);
            points.push((*size as f64, median));
            row.push(format!("{median:.0}"));
        }
        row.push(rounds.ratio(0, 1, CPU).show());
        row.push(rounds.ratio(2, 1, CPU).show());
        rows.push(row);
    }
    let header = [
        what,
        "host, CPU-ns per ack",
        "floor",
        "tokio",
        "host/floor",
        "tokio/floor",
    ];
    report.table(title, &header, &rows);
    let lines: Vec<Line> = names
        .into_iter()
        .zip(points)
        .map(|(name, points)| Line { name, points })
        .collect();
    let name = what.split(',').next().unwrap();
    report.plot(name, plot(&format!("CPU time per ack: {title}"), what, &lines));
}
