//! Where the payloads of `host submit` come from: the command line, a file, or the lines of the standard input.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use wire::client::MAX_PAYLOAD;

use crate::cli::failure::Failure;

#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct Source {
    /// The payload.
    text: Option<OsString>,
    /// The payload in hex: two digits a byte, white space between bytes as you like.
    #[arg(long, value_name = "HEX", value_parser = hex)]
    hex: Option<Bytes>,
    /// The file whose content, whole, is the payload; `-` is the standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Bytes(Vec<u8>);

impl Source {
    /// The only payload; `None` when the lines of the standard input are meant.
    pub(super) fn whole(&self) -> anyhow::Result<Option<Vec<u8>>> {
        if let Some(Bytes(bytes)) = &self.hex {
            return Ok(Some(bytes.clone()));
        }
        if let Some(path) = &self.file {
            return read(path).map(Some);
        }
        Ok(self.text.clone().map(OsString::into_vec))
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let is_input = path == Path::new("-");
    let name = match is_input {
        true => "the standard input".to_owned(),
        false => path.display().to_string(),
    };
    let mut content = Vec::new();
    // One byte more than fits: a file without an end is not read to its end.
    let limit = MAX_PAYLOAD as u64 + 1;
    let read = match is_input {
        true => io::stdin().lock().take(limit).read_to_end(&mut content),
        false => File::open(path).and_then(|file| file.take(limit).read_to_end(&mut content)),
    };
    read.with_context(|| format!("can't read {name}"))?;
    let size = std::fs::metadata(path).ok().filter(|file| !is_input && file.is_file());
    ensure!(
        content.len() <= MAX_PAYLOAD,
        "{name} is too long for a payload: expected at most {MAX_PAYLOAD} bytes, found {}",
        size.map_or_else(|| "more".to_owned(), |file| file.len().to_string())
    );
    Ok(content)
}

/// Hands on each line of the standard input, with its number from 1.
pub(super) fn each_line(mut take: impl FnMut(u32, &[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        let _ = writeln!(io::stderr(), "each line is sent as one Submit; end with Ctrl-D");
    }
    lines(&mut stdin.lock(), &mut take)
}

fn lines(input: &mut impl BufRead, take: &mut impl FnMut(u32, &[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = input.take(MAX_PAYLOAD as u64 + 3).read_until(b'\n', &mut line);
        if read.context("can't read the standard input")? == 0 {
            break;
        }
        let payload = line
            .strip_suffix(b"\n")
            .map_or(&line[..], |line| line.strip_suffix(b"\r").unwrap_or(line));
        if payload.len() > MAX_PAYLOAD {
            return Err(anyhow!(
                "line {number} of the standard input is too long for a payload: expected at most {MAX_PAYLOAD} bytes, found more"
            )
            .into());
        }
        take(number, payload)?;
    }
    Ok(())
}

fn hex(text: &str) -> Result<Bytes, String> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    // The first digit of a byte, and its place.
    let mut half: Option<(u32, usize)> = None;
    let alone = |place| {
        format!("the digit at character {place} has no second one: a byte has two digits, with nothing in between")
    };
    for (c, place) in text.chars().zip(1..) {
        let digit = c.to_digit(16);
        match (half.take(), digit) {
            (None, Some(digit)) => half = Some((digit, place)),
            (Some((first, _)), Some(digit)) => bytes.push((first * 16 + digit) as u8),
            (_, None) if !c.is_whitespace() => return Err(format!("{c:?} at character {place} is no hex digit")),
            (Some((_, place)), None) => return Err(alone(place)),
            (None, None) => {}
        }
    }
    match half {
        Some((_, place)) => Err(alone(place)),
        None => Ok(Bytes(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_pairs_of_digits_with_white_space_between() {
        for (text, bytes) in [
            ("", &[][..]),
            (" \n", &[]),
            ("00ff", &[0, 255]),
            ("00 Ff\n\t7f ", &[0, 255, 127]),
        ] {
            assert_eq!(hex(text), Ok(Bytes(bytes.to_vec())), "{text:?}");
        }
        for (text, place) in [
            ("0", "the digit at character 1 "),
            ("00 1 22", "the digit at character 4 "),
            ("00 123", "the digit at character 6 "),
            ("0x00", "'x' at character 2 "),
            ("00 \u{e4}0", "'\u{e4}' at character 4 "),
        ] {
            let said = hex(text).expect_err(text);
            assert!(said.starts_with(place), "{text:?}: {said}");
        }
    }

    #[test]
    fn a_line_ends_with_a_line_feed_or_both_or_the_input() {
        let mut found = Vec::new();
        let mut take = |number: u32, line: &[u8]| {
            found.push((number, line.to_vec()));
            Ok(())
        };
        lines(&mut &b"a\nb\r\n\n\xff\r\r\nlast\r"[..], &mut take).expect("lines");
        let expected: [&[u8]; 5] = [b"a", b"b", b"", b"\xff\r", b"last\r"];
        let expected: Vec<(u32, Vec<u8>)> = (1..).zip(expected.map(<[u8]>::to_vec)).collect();
        assert_eq!(found, expected);
    }
}
