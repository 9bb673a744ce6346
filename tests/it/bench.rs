//! `host bench`: what it measures of a real host, and that it finds what is wrong with a false one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Output, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tests::cargo::{sample, text};
use tests::false_host::{Request, acks, listen, serve};
use tests::host::{Host, Site};

const REPLY: &str = "[plugin.submit-echo.config]\nreply = true\n";
const QUICK: &str = "--duration=300ms --warmup=100ms";

#[test]
fn a_good_host_is_measured() {
    let site = site(REPLY);
    let host = site.start();
    let pid = host.pid().to_string();
    // arguments, connections, window
    let loads = [
        ("", 1, 1),
        ("--window 100 --payload 0 --body echo", 1, 100),
        ("--connections 7 --threads 3 --window 3 --body echo", 7, 3),
        ("--connections 2 --threads 4 --payload 60KiB --body echo", 2, 1),
        ("--rate 2000", 1, 1024),
        ("--rate 500.5 --connections 3 --threads 2 --window 4 --body echo", 3, 4),
        ("--commands 0x02*2,0x03 --connections 2", 2, 1),
    ];
    for (arguments, connections, window) in loads {
        let report = good(&site, &host, &format!("{arguments} --pid {pid}"));
        let numbers = (&report["connections"], &report["window"], &report["address"]);
        assert_eq!(numbers, (&connections.into(), &window.into(), &host.address().into()));
        assert!(report["acks"].as_u64() > Some(0), "{arguments}: {report:#}");
        assert!(
            report["acks_per_second"].as_f64() > Some(0.0),
            "{arguments}: {report:#}"
        );
        assert!(
            report["measured_seconds"].as_f64() > Some(0.0),
            "{arguments}: {report:#}"
        );
        assert!(
            report["host_cpu_seconds"].as_f64() > Some(0.0),
            "{arguments}: {report:#}"
        );
        let results: Vec<&String> = report["results"].as_object().unwrap().keys().collect();
        assert_eq!(results, ["0x00"], "{arguments}");
        let latencies = ["p50", "p90", "p99", "p99.9", "p99.99", "max"].map(|name| report["latency_us"][name].as_f64());
        assert!(
            latencies[0] > Some(0.0) && latencies.is_sorted(),
            "{arguments}: {report:#}"
        );
    }
    assert_eq!(
        good(&site, &host, "-c 0x02*2,0x03")["commands"],
        serde_json::json!([2, 2, 3])
    );

    let output = bench(&site, &host.address(), &format!("{QUICK} --pid {pid}"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    for part in [
        "1 connections, window 1, payload 32 B, 0.3 s after 0.1 s",
        "acks/s ",
        "latency ",
        "CPU-ns per ack",
        "result    0x00 (success): ",
    ] {
        assert!(text(&output).contains(part), "no {part:?} in {}", text(&output));
    }
    host.stop();
}

#[test]
fn acks_with_either_numbering_are_good() {
    let site = site("protocol.ack = \"documented\"");
    let host = site.start();
    good(&site, &host, "--body empty --window 10");
    host.stop();
}

#[test]
fn what_a_real_host_does_otherwise_than_asked_for_is_found() {
    let site = site(REPLY);
    let host = site.start();
    let without = bad(&site, &host.address(), "--commands 0x02,0x7f");
    assert!(without["results"]["0xf0"].as_u64() > Some(0) && without["results"]["0x00"].as_u64() > Some(0));
    assert_eq!(faults(&without), "");
    let wrong = bad(&site, &host.address(), "--body empty");
    assert_eq!(faults(&wrong), "wrong_body");
    assert_eq!(wrong["faults"]["wrong_body"], wrong["results"]["0x00"]);
    assert_eq!(
        faults(&bad(&site, &host.address(), "--body echo --commands 0x02,0x03")),
        "wrong_body"
    );
    let output = bench(&site, &host.address(), &format!("{QUICK} --body empty"));
    assert!(
        text(&output).contains("FAULT     acks with another body than asked for: "),
        "{}",
        text(&output)
    );
    host.stop();
}

#[test]
fn without_a_host_there_is_an_error_that_names_the_address() {
    let site = Site::default();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let web_server = listen(|mut stream| {
        drop(stream.read(&mut [0; 13]));
        drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    });
    let shy = listen(drop);
    let no_ack = "gets no ack for its Conn";
    for (address, says) in [
        (closed, "can't open connection 1 of 1 to"),
        (web_server, no_ack),
        (shy, no_ack),
    ] {
        let output = bench(&site, &address, QUICK);
        assert_eq!(
            (output.status.code(), &*output.stdout),
            (Some(1), &b""[..]),
            "{}",
            text(&output)
        );
        assert!(
            text(&output).contains(says) && text(&output).contains(&address),
            "{}",
            text(&output)
        );
    }
    let host = self::site("").start();
    let output = bench(&site, &host.address(), &format!("{QUICK} --pid 999999999"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("the processor time of process 999999999"),
        "{}",
        text(&output)
    );
    host.stop();
}

#[test]
fn what_cannot_be_meant_is_a_usage_error() {
    let site = Site::default();
    let wrong = [
        "-c 0x01",
        "-c 0x80",
        "-c 4-2",
        "-c 0x02*0",
        "-c 0x02*",
        "-c 2,,3",
        "-c=",
        "-n 0",
        "-w 0",
        "--threads 0",
        "--rate 0",
        "--rate -1",
        "--rate NaN",
        "--payload 17MiB1",
        "--payload 1GiB",
        "--duration soon",
        "--body some",
    ];
    for arguments in wrong {
        let output = bench(&site, "127.0.0.1:1", arguments);
        assert_eq!(
            (output.status.code(), &*output.stdout),
            (Some(2), &b""[..]),
            "{arguments}: {}",
            text(&output)
        );
    }
}

#[test]
fn a_host_that_ends_in_the_middle_is_found_out() {
    for signal in [Signal::TERM, Signal::KILL] {
        let site = site("");
        let host = site.start();
        let address = host.address();
        let bench = start(&site, &address, "-c 0x03 -n 3 --duration 60s --warmup 0s --json");
        host.wait_until("the load's first Submit", |log| {
            let submit = |line: &&Value| line["target"] == "plugin.submit-log";
            log.iter().find(submit).map(drop)
        });
        host.signal(signal);
        let (status, _) = host.wait();
        assert_eq!(status.success(), signal == Signal::TERM);
        let output = bench.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{signal:?}: {}", text(&output));
        let report = json(&output);
        assert_eq!(report["faults"]["closed"], 3, "{signal:?}: {report:#}");
        let others = ["unknown_id", "wrong_command", "wrong_body", "malformed"].map(|fault| &report["faults"][fault]);
        assert_eq!(others, [&Value::from(0); 4], "{signal:?}");
        if signal == Signal::KILL {
            assert_eq!(report["faults"]["lost"], 3, "{report:#}");
        }
    }
}

#[test]
fn acks_in_pieces_and_in_any_order_are_good() {
    let site = Site::default();
    let pieces = serve(|requests, stream| {
        for byte in acks(requests) {
            stream.write_all(&[byte])?;
        }
        Ok(())
    });
    assert_eq!(faults(&run(&site, &pieces, "--window 3 --body echo", 0)), "");
    let any_order = serve(|requests, stream| {
        let reversed: Vec<Request> = requests.iter().rev().cloned().collect();
        stream.write_all(&acks(&reversed))
    });
    assert_eq!(
        faults(&run(&site, &any_order, "--window 50 --body echo -c 2-20", 0)),
        ""
    );
}

#[test]
fn every_kind_of_wrong_ack_is_found() {
    type Wrong = fn(&[Request], &mut TcpStream) -> std::io::Result<()>;
    let cases: [(&str, Wrong); 7] = [
        // Beside the right one, which would be missed otherwise.
        ("unknown_id", |requests, stream| {
            let mut wrong = requests.to_vec();
            wrong.iter_mut().for_each(|request| request.id[0] ^= 0x40);
            stream.write_all(&[acks(&wrong), acks(requests)].concat())
        }),
        ("unknown_id", |requests, stream| {
            stream.write_all(&acks(requests).repeat(2))
        }),
        ("wrong_command", |requests, stream| {
            let mut wrong = requests.to_vec();
            wrong.iter_mut().for_each(|request| request.command += 1);
            stream.write_all(&acks(&wrong))
        }),
        ("wrong_body", |requests, stream| {
            let mut wrong = requests.to_vec();
            wrong.iter_mut().for_each(|request| request.payload[20] ^= 1);
            stream.write_all(&acks(&wrong))
        }),
        // Each body is another's.
        ("wrong_body", |requests, stream| {
            let mut wrong = requests.to_vec();
            wrong.iter_mut().for_each(|request| request.payload[7] ^= 1);
            stream.write_all(&acks(&wrong))
        }),
        ("lost malformed", |_, stream| {
            stream.write_all(b"\0\0\0\x05 what is this?")
        }),
        ("closed lost", |requests, stream| {
            let acks = acks(requests);
            stream.write_all(&acks[..acks.len() - 1])?;
            Err(std::io::ErrorKind::Other.into())
        }),
    ];
    let site = Site::default();
    for (expected, wrong) in cases {
        let address = serve(wrong);
        assert_eq!(faults(&bad(&site, &address, "--window 2 --body echo")), expected);
    }
}

#[test]
fn an_ack_that_never_comes_is_lost() {
    let site = Site::default();
    let address = serve(|requests, stream| {
        let known: Vec<Request> = requests
            .iter()
            .filter(|request| request.command == 0x02)
            .cloned()
            .collect();
        stream.write_all(&acks(&known))
    });
    let report = bad(&site, &address, "--window 2 -c 0x02,0x03 --duration 50ms");
    assert_eq!(
        (faults(&report), &report["faults"]["lost"]),
        ("lost".to_owned(), &2.into()),
        "{report:#}"
    );
}

#[test]
fn a_host_that_stalls_cannot_hide_it_from_an_open_loop() {
    const STALL: Duration = Duration::from_millis(300);
    let stalling = || {
        let mut stalls = [STALL].into_iter();
        serve(move |requests, stream| {
            stalls.next().into_iter().for_each(thread::sleep);
            stream.write_all(&acks(requests))
        })
    };
    let site = Site::default();
    let stall = STALL.as_micros() as f64;
    let latency = |report: &Value, name: &str| report["latency_us"][name].as_f64().unwrap();
    // What was due while it stalled has waited, too: of 500 Submits, 150 for half of it or longer.
    let open = run(&site, &stalling(), "--rate 1000 --duration 500ms --warmup 0s", 0);
    assert!(
        latency(&open, "max") >= stall && latency(&open, "p99") >= 0.9 * stall,
        "{open:#}"
    );
    assert!(latency(&open, "p90") >= 0.5 * stall, "{open:#}");
    // Nor can it by a stall to the end, although only 4 of 300 could be sent before: the others are, when it is over.
    let late = run(
        &site,
        &stalling(),
        "--rate 1000 --window 4 --duration 300ms --warmup 0s",
        0,
    );
    assert_eq!(late["results"], serde_json::json!({ "0x00": 300 }), "{late:#}");
    // The last was due at 299 ms, and the stall is over 300 ms after the first was sent.
    assert!(latency(&late, "p50") >= 0.45 * stall, "{late:#}");
    // A client that waits has asked for nothing meanwhile.
    let closed = run(&site, &stalling(), "--duration 1s --warmup 0s", 0);
    assert!(
        latency(&closed, "max") >= stall && latency(&closed, "p50") < stall,
        "{closed:#}"
    );
}

fn site(configuration: &str) -> Site {
    Site::with(configuration, &[&sample("submit-echo"), &sample("submit-log")])
}

fn start(site: &Site, address: &str, arguments: &str) -> Child {
    let mut command = site.command();
    command
        .args(["bench", "--addr", address])
        .args(arguments.split_whitespace());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn bench(site: &Site, address: &str, arguments: &str) -> Output {
    start(site, address, arguments).wait_with_output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

/// A short load's report; the exit code must be this.
#[track_caller]
fn run(site: &Site, address: &str, arguments: &str, code: i32) -> Value {
    // What comes first may be said again.
    let quick = if arguments.contains("--duration") { "" } else { QUICK };
    let output = bench(site, address, &format!("{quick} {arguments} --json"));
    assert_eq!(output.status.code(), Some(code), "{arguments}: {}", text(&output));
    json(&output)
}

#[track_caller]
fn good(site: &Site, host: &Host, arguments: &str) -> Value {
    let report = run(site, &host.address(), arguments, 0);
    assert_eq!(faults(&report), "", "{arguments}");
    report
}

#[track_caller]
fn bad(site: &Site, address: &str, arguments: &str) -> Value {
    run(site, address, arguments, 1)
}

/// The faults that were found.
fn faults(report: &Value) -> String {
    let faults = report["faults"].as_object().unwrap().iter();
    let found: Vec<&str> = faults
        .filter(|(_, count)| **count != 0)
        .map(|(name, _)| &**name)
        .collect();
    found.join(" ")
}
