//! One measurement: `host bench` against a server, for a moment.

use std::process::Command;

use serde_json::Value;
use tests::cargo::{host_binary, succeed};

use crate::servers::Server;

/// What to put on a server.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) window: usize,
    pub(crate) payload: usize,
    pub(crate) commands: &'static str,
}

impl Load {
    /// With a payload of 32 bytes, for the first plugin.
    pub(crate) fn new(connections: usize, window: usize) -> Load {
        Load {
            connections,
            window,
            payload: 32,
            commands: "0x02",
        }
    }

    pub(crate) fn payload(self, payload: usize) -> Load {
        Load { payload, ..self }
    }

    /// The command that makes it.
    pub(crate) fn command(&self, server: &Server, milliseconds: u64) -> Command {
        let mut command = Command::new(host_binary());
        command.args(["bench", "--json", "--warmup", "200ms", "--body", "empty"]);
        command.args(["--addr", server.address(), "--pid", &server.pid().to_string()]);
        command.args(["--connections", &self.connections.to_string()]);
        command.args(["--window", &self.window.to_string()]);
        command.args(["--payload", &self.payload.to_string()]);
        command.args(["--commands", self.commands]);
        command.args(["--duration", &format!("{milliseconds}ms")]);
        command
    }

    /// Puts it on the server. Every ack is checked; one that is wrong ends the bench.
    pub(crate) fn run(&self, server: &Server, milliseconds: u64) -> Sample {
        let output = succeed(&mut self.command(server, milliseconds));
        Sample::read(&output.stdout)
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) acks_per_second: f64,
    /// The server's processor time for each ack, in nanoseconds.
    pub(crate) cpu: f64,
    /// Latencies in microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Sample {
    pub(crate) fn read(json: &[u8]) -> Sample {
        let report: Value = serde_json::from_slice(json).unwrap();
        let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("no number in {report}"));
        let latencies = &report["latency_us"];
        Sample {
            acks_per_second: number(&report["acks_per_second"]),
            cpu: number(&report["host_cpu_ns_per_ack"]),
            p50: number(&latencies["p50"]),
            p99: number(&latencies["p99"]),
            max: number(&latencies["max"]),
        }
    }
}
