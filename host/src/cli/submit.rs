//! `host submit`: a client for people. Sends each text as a Submit and prints its ack.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde::Serialize;

use super::output;
use crate::result;

/// An ack that is larger did not come from a host: no frame may be (see `server.max_frame`).
const MAX_ACK: usize = 64 << 20;
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

fn command(text: &str) -> Result<u8, String> {
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
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let stream = TcpStream::connect(&self.addr);
        let mut stream = stream.with_context(|| format!("can't reach a host at {}; does it run?", self.addr))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut all_good = true;
        let mut submit = |number: u32, payload: &[u8]| -> anyhow::Result<()> {
            let id = format!("{number:08}");
            stream.write_all(&frame(self.command, id.as_bytes(), payload)?)?;
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
        Ok(ExitCode::from(if all_good { 0 } else { super::FAILED }))
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

fn frame(command: u8, id: &[u8], payload: &[u8]) -> anyhow::Result<Vec<u8>> {
    let length = i32::try_from(4 + 1 + id.len() + payload.len()).context("the payload is too long for a frame")?;
    let mut frame = length.to_be_bytes().to_vec();
    frame.push(command);
    frame.extend_from_slice(id);
    frame.extend_from_slice(payload);
    Ok(frame)
}

fn read_ack(stream: &mut TcpStream) -> anyhow::Result<Ack> {
    let mut length = [0; 4];
    stream
        .read_exact(&mut length)
        .context("the host closed the connection, its log says why")?;
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(0);
    if !(14..=MAX_ACK).contains(&length) {
        bail!("an ack of {length} bytes: is this a host?");
    }
    let mut packet = vec![0; length - 4];
    stream.read_exact(&mut packet)?;
    let (head, body) = packet.split_at(10);
    Ok(Ack {
        command: head[0],
        id: String::from_utf8_lossy(&head[1..9]).into_owned(),
        result: head[9],
        meaning: result::describe(head[9]),
        body: String::from_utf8_lossy(body).into_owned(),
    })
}
