//! How an ack is printed, for people and as JSON. A body is bytes: it is text where it is UTF-8, and never changed.

use std::fmt::Write;

use serde::Serialize;
use wire::CONN;
use wire::result;

use super::super::failure::Failure;
use super::exchange::Answer;
use crate::cli::output;

/// What `--json` prints; host/schema/submit.json says the same.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    request: u8,
    command: u8,
    id: String,
    result: u8,
    meaning: &'static str,
    body: Option<&'a str>,
    body_hex: String,
}

pub(super) fn print(answer: &Answer, as_json: bool) -> Result<(), Failure> {
    let id = answer.id.escape_ascii();
    let meaning = result::describe(answer.result);
    let text = std::str::from_utf8(&answer.body).ok();
    if as_json {
        return output::line(&serde_json::to_string(&Printed {
            request: answer.request,
            command: answer.command,
            id: id.to_string(),
            result: answer.result,
            meaning,
            body: text,
            body_hex: hex(&answer.body),
        })?);
    }
    let kind = if answer.request == CONN { "Conn " } else { "" };
    let body = match text {
        Some("") => String::new(),
        Some(text) => format!(", body {text:?}"),
        None => format!(", body in hex {}", hex(&answer.body)),
    };
    output::line(&format!(
        "ack {:#04x} of {kind}{id}: result {:#04x} ({meaning}){body}",
        answer.command, answer.result
    ))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}"); // a String takes everything
            hex
        })
}
