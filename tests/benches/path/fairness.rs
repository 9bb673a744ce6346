//! How long one Submit waits beside connections that flood.

use std::process::Stdio;

use tests::cargo::succeed;

use crate::load::{Load, Sample};
use crate::report::Report;
use crate::rounds::Settings;
use crate::servers::Server;

/// The longest that the one is to wait, in microseconds.
const LONGEST: f64 = 50_000.0;

pub(crate) fn measure(settings: &Settings, report: &mut Report) {
    let server = Server::host(1);
    let milliseconds = 3 * settings.milliseconds;
    let alone = Load::new(1, 1).run(&server, milliseconds);
    let mut rows = vec![row("none", &alone)];
    for payload in [32, 1024, 16_384, 65_523] {
        let flood = Load::new(10, 256).payload(payload);
        // It floods before the other one begins, and after it has ended.
        let mut command = flood.command(&server, 2 * milliseconds);
        let flooding = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = succeed(&mut Load::new(1, 1).command(&server, milliseconds));
        rows.push(row(
            &format!("frames of {} B", payload + 13),
            &Sample::read(&output.stdout),
        ));
        assert!(
            flooding.wait_with_output().unwrap().status.success(),
            "the flood failed"
        );
    }
    let header = ["10 connections flood with", "p50", "p99", "max", "aim"];
    report.table(
        "One connection, window 1, beside 10 that flood, window 256",
        &header,
        &rows,
    );
}

fn row(what: &str, sample: &Sample) -> Vec<String> {
    let verdict = if sample.max < LONGEST { "met" } else { "MISSED" };
    vec![
        what.to_owned(),
        format!("{:.0} us", sample.p50),
        format!("{:.0} us", sample.p99),
        format!("{:.0} us", sample.max),
        format!("max under {LONGEST:.0} us: {verdict}"),
    ]
}
