//! `host submit`: a client for people. Sends each text as a Submit and prints its ack.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde::Serialize;

use super::output;
use crate::result;
use crate::wire::MIN_ACK;
use crate::wire::client::{self, Decoded};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct Submit {
    /// The host's address.
    #[arg(long, default_value = "127.0.0.1:8888")]
    addr: String,
    /// The command: 2 to 127, decimal or 0x.. .
    #[arg(short, long, value_name = "CMD", default_value = "0x02", value_parser = command)]
    command: u8,
    /// Print the acks as JSON, one a line.
    #[arg(long)]
    json: bool,
    /// The payload. Without it, each line of the standard input is one.
    text: Option<String>,
}

pub(super) fn command(text: &str) -> Result<u8, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u8::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed
        .ok()
        .filter(|command| crate::wire::is_submit(*command))
        .ok_or_else(|| format!("{text:?} is no Submit command: 0x02 to 0x7f"))
}

#[derive(Debug, Serialize)]
struct Ack {
    command: u8,
    id: String,
    result: u8,
    meaning: &'static str,
    body: String,
}

impl Submit {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let stream = TcpStream::connect(&self.addr);
        let mut stream = stream.with_context(|| format!("can't reach a host at {}; does it run?", self.addr))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut all_good = true;
        let mut submit = |number: u32, payload: &[u8]| -> anyhow::Result<()> {
            let id = format!("{:08}", number % 100_000_000);
            ensure!(
                payload.len() <= client::MAX_PAYLOAD,
                "the payload is too long for a frame"
            );
            let mut request = Vec::new();
            client::request(&mut request, self.command, id_bytes(&id), payload);
            stream.write_all(&request)?;
            let ack = read_ack(&mut stream).with_context(|| format!("no ack for Submit {id}"))?;
            ensure!(ack.id == id, "expected the ack of Submit {id}, found one of {}", ack.id);
            all_good &= ack.result == 0;
            self.print(&ack)
        };
        match &self.text {
            Some(text) => submit(1, text.as_bytes())?,
            None => {
                if std::io::stdin().is_terminal() {
                    eprintln!("each line is sent as one Submit; end with Ctrl-D");
                }
                for (line, number) in std::io::stdin().lock().split(b'\n').zip(1..) {
                    submit(number, &line?)?;
                }
            }
        }
        Ok(if all_good { super::GOOD } else { super::FAILED })
    }

    fn print(&self, ack: &Ack) -> anyhow::Result<()> {
        if self.json {
            return output::line(&serde_json::to_string(ack)?);
        }
        let body = if ack.body.is_empty() {
            String::new()
        } else {
            format!(", body {:?}", ack.body)
        };
        output::line(&format!(
            "ack {:#04x} of {}: result {:#04x} ({}){body}",
            ack.command, ack.id, ack.result, ack.meaning
        ))
    }
}

/// Eight digits are eight bytes.
fn id_bytes(digits: &str) -> [u8; 8] {
    digits.as_bytes().try_into().unwrap_or_default()
}

fn read_ack(stream: &mut TcpStream) -> anyhow::Result<Ack> {
    let mut bytes = vec![0; MIN_ACK];
    stream
        .read_exact(&mut bytes)
        .context("the host closed the connection, its log says why")?;
    loop {
        match client::decode(&bytes) {
            Decoded::Ack { ack, .. } => {
                return Ok(Ack {
                    command: ack.command,
                    id: String::from_utf8_lossy(&ack.id).into_owned(),
                    result: ack.result,
                    meaning: result::describe(ack.result),
                    body: String::from_utf8_lossy(ack.body).into_owned(),
                });
            }
            Decoded::Incomplete { missing } => {
                let received = bytes.len();
                bytes.resize(received + missing, 0);
                stream.read_exact(&mut bytes[received..])?;
            }
            Decoded::Malformed { length } => bail!("an ack of {length} bytes: is this a host?"),
        }
    }
}
