//! `host submit`: a client for people. Sends payloads, each as a Submit, and prints their acks.

mod exchange;
mod payload;
mod printed;

use std::time::Duration;

use clap::Args;

use super::conn::Conn;
use super::failure::Failure;
use exchange::Exchange;
use payload::Source;

/// How long a connection may take to come about, and an exchange from its first byte to its last.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Send Submits to a host, one after another, and print their acks.
///
/// Without TEXT, --hex and --file, each line of the standard input is a payload: without its line feed (or carriage return
/// and line feed), and the last one also when it has none.
///
/// Exit code 1 when a result is not 0x00, or there is no ack within 30 s.
#[derive(Debug, Args)]
pub(super) struct Submit {
    /// The host's address, or unix:PATH.
    #[arg(long, default_value = "127.0.0.1:8888")]
    addr: String,
    /// The command: 0x02 to 0x7f, or as a decimal number.
    #[arg(short, long, value_name = "CMD", default_value = "0x02", value_parser = command)]
    command: u8,
    #[command(flatten)]
    conn: Conn,
    /// Print the acks as JSON, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

pub(super) fn command(text: &str) -> Result<u8, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u8::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed
        .ok()
        .filter(|command| wire::is_submit(*command))
        .ok_or_else(|| format!("{text:?} is no Submit command: 0x02 to 0x7f"))
}

impl Submit {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let whole = self.source.whole()?;
        let mut exchange = Exchange::connect(&self.addr, TIMEOUT)?;
        let mut ask = |command: u8, number: u32, payload: &[u8]| -> Result<bool, Failure> {
            let answer = exchange.ask(command, id(number), payload)?;
            printed::print(&answer, self.json)?;
            Ok(answer.result == 0)
        };
        // Who is not let in has nothing to submit.
        if let Some(payload) = self.conn.payload()
            && !ask(wire::CONN, 0, payload)?
        {
            return Ok(super::FAILED);
        }
        let mut all_good = true;
        match whole {
            Some(payload) => all_good &= ask(self.command, 1, &payload)?,
            None => payload::each_line(|number, line| {
                all_good &= ask(self.command, number, line)?;
                Ok(())
            })?,
        }
        Ok(if all_good { super::GOOD } else { super::FAILED })
    }
}

/// Eight digits are eight bytes.
fn id(number: u32) -> [u8; 8] {
    let digits = format!("{:08}", number % 100_000_000);
    digits.as_bytes().try_into().unwrap_or_default()
}
