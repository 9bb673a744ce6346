//! Decides what is no TOML in a configuration, and which other errors of the file are believed all the same. Never reads a
//! value.
//!
//! The parser goes on after an error, by a guess at what was meant. So one mistake may bring further errors of the parser,
//! and wrong values and keys that are not in the file: a table's header without its `]` leaves its keys to another table, a
//! string without its end leaves its lines to be taken for keys. Each error has a region in which nothing else is believed.
//!
//! A file may have a hundred thousand errors, and the thread that reads it has other work: each step here costs no more for
//! one error than for another.

use std::ops::Range;

use toml::de::{DeTable, Error};

use super::error::{Fault, clipped};
use super::positions::{Entries, Entry, is_known};

/// Says that a key is there twice, which is no error of the grammar: what the parser makes of the rest is right.
const DUPLICATE: &str = "duplicate key";

/// How many errors of the grammar are told apart; behind them nothing is believed. Fewer are shown.
const MOST_BROKEN: usize = 200;

/// What the parser says of a text without quotes, by what it takes it for.
const NO_VALUE: [&str; 6] = [
    "string values must be quoted",
    "missing opening quote",
    "invalid boolean",
    "invalid date-time",
    "invalid float",
    "invalid integer",
];

const NOT_A_VALUE: &str = "not a value: text stands in quotes (\"...\"); all else is a number, a date, true or false";

/// All that is wrong, in the order of the text: what the parser has found (`broken`), and what is said of its result.
pub(super) fn faults(text: &str, root: &DeTable<'_>, broken: &[Error], said: Vec<Fault>) -> Vec<Fault> {
    if broken.is_empty() {
        return in_order(said);
    }
    let (twice, broken): (Vec<&Error>, Vec<&Error>) = broken.iter().partition(|error| error.message() == DUPLICATE);
    let (mut faults, regions) = told_apart(text, root, &broken);
    let twice = twice.into_iter().map(|error| {
        let key = error.span().and_then(|span| text.get(span)).unwrap_or_default();
        let key = key.trim_matches(['"', '\'']);
        let fault = Fault::new(start(error, text), DUPLICATE.to_owned());
        // Others may be no keys at all, but a part of a secret.
        match is_known(root, key) {
            true => fault.under(&clipped(key)),
            false => fault,
        }
    });
    let believed = said.into_iter().chain(twice).filter(|fault| !regions.have(fault.at));
    faults.extend(believed);
    in_order(faults)
}

fn in_order(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort_by_key(|fault| fault.at);
    faults
}

/// The errors of the grammar that do not come from another one, and their regions.
fn told_apart(text: &str, root: &DeTable<'_>, broken: &[&Error]) -> (Vec<Fault>, Regions) {
    let mut broken: Vec<(usize, &Error)> = broken.iter().map(|error| (start(error, text), *error)).collect();
    broken.sort_by_key(|(at, _)| *at);
    let entries = Entries::of(root);
    let mut regions = Vec::new();
    let mut faults = Vec::new();
    let mut told = 0; // no region behind this place
    for (at, error) in broken {
        if at < told {
            continue;
        }
        if faults.len() == MOST_BROKEN {
            regions.push(at..text.len() + 1);
            break;
        }
        let entry = match is_header(text, at) {
            true => None,
            false => entries.at(at),
        };
        let region = region(text, entry, at);
        told = told.max(region.end);
        regions.push(region);
        let key = entry.map(|entry| entries.public_key(entry)).unwrap_or_default();
        faults.push(Fault::new(at, reason(text, entry, at, error.message())).under(&key));
    }
    (faults, Regions::of(regions))
}

/// Where an error stands: a place between two characters. Each has one; only a key with too many parts has none, and `depth.rs`
/// has found that.
fn start(error: &Error, text: &str) -> usize {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    (0..=start).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |end| end + 1)
}

/// Whether a place is in the header of a table.
fn is_header(text: &str, at: usize) -> bool {
    text[line_start(text, at)..]
        .trim_start_matches([' ', '\t'])
        .starts_with('[')
}

/// Where nothing else is believed once an error was found at `at`: the line, and all of the entry that the error stands in. What
/// stands behind a broken header belongs to an unknown table, and what stands behind a broken string perhaps to the string: up
/// to the next header.
fn region(text: &str, entry: Option<&Entry<'_>>, at: usize) -> Range<usize> {
    let span = entry.map_or(at..at, |entry| entry.span.clone());
    let start = line_start(text, at).min(span.start);
    let line_end = |at: usize| text[at..].find('\n').map_or(text.len(), |end| at + end);
    let end = line_end(at).max(span.end);
    let has_quote = text.get(start..end).is_none_or(|text| text.contains(['"', '\'']));
    let end = match has_quote || is_header(text, at) {
        true => text
            .get(end..)
            .and_then(|rest| rest.find("\n["))
            .map_or(text.len(), |next| end + next),
        false => end,
    };
    // An error may stand behind the last byte.
    start..end + 1
}

/// What is wrong, for a reader who writes TOML and has not read its grammar.
fn reason(text: &str, entry: Option<&Entry<'_>>, at: usize, message: &str) -> String {
    let scalar = entry.and_then(|entry| entry.scalar_at(at));
    let written = scalar.and_then(|span| text.get(span));
    let is_unquoted = |written: &str| {
        !written.starts_with(['"', '\'', '[', '{']) && NO_VALUE.iter().any(|words| message.starts_with(words))
    };
    match written {
        Some("") => "no value".to_owned(),
        Some(written) if is_unquoted(written) => NOT_A_VALUE.to_owned(),
        _ => clipped(message.trim_end_matches(", expected nothing")),
    }
}

/// Places in which nothing is believed: apart from each other, in the order of the text.
struct Regions(Vec<Range<usize>>);

impl Regions {
    fn of(mut regions: Vec<Range<usize>>) -> Regions {
        regions.sort_by_key(|region| region.start);
        let mut apart: Vec<Range<usize>> = Vec::with_capacity(regions.len());
        for region in regions {
            match apart.last_mut() {
                Some(last) if region.start <= last.end => last.end = last.end.max(region.end),
                _ => apart.push(region),
            }
        }
        Regions(apart)
    }

    fn have(&self, at: usize) -> bool {
        let behind = self.0.partition_point(|region| region.start <= at);
        behind > 0 && self.0[behind - 1].contains(&at)
    }
}

#[cfg(test)]
mod tests {
    use super::NOT_A_VALUE;
    use crate::config::{Config, ConfigError};

    /// Line and text of each error.
    fn said(text: &str) -> Vec<String> {
        let faults = Config::from_text(text).expect_err("no configuration");
        faults
            .iter()
            .map(|fault| format!("{}: {fault}", text[..fault.at].matches('\n').count() + 1))
            .collect()
    }

    #[test]
    fn one_mistake_is_one_error() {
        for (text, expected) in [
            ("[server\nlisten = 1\n", "1: unclosed table, expected `]`"),
            (
                "[plugin.x]\ncommands = [0x02\nrequired = true\n[policy]\ncompiler = \"any\"\n",
                "3: `plugin.x.commands`: missing comma between array elements, expected `,`",
            ),
            (
                "[server]\nlisten = 127.0.0.1:8888",
                &format!("2: `server.listen`: {NOT_A_VALUE}"),
            ),
            ("[plugins]\nstandby =\n", "2: `plugins.standby`: no value"),
            (
                "[server]\nlisten = \"127.0.0.1:1\nmax_frame = 14",
                "2: `server.listen`: invalid basic string, expected `\"`",
            ),
            ("[plugin.x]\nrequired\n", "2: key with no value, expected `=`"),
            (
                "[plugin.x]\nrequired: true\n",
                "2: invalid unquoted key, expected letters, numbers, `-`, `_`",
            ),
            (
                "[plugin.x]\nrequired = True\n",
                &format!("2: `plugin.x.required`: {NOT_A_VALUE}"),
            ),
            (
                "[plugins] dir = \"a\"\n",
                "1: unexpected key or value, expected newline, `#`",
            ),
            ("]\n[server]\n", "1: missing table open, expected `[`"),
        ] {
            assert_eq!(said(text), [expected], "{text}");
        }
    }

    #[test]
    fn what_stands_elsewhere_is_said_as_well() {
        let text = "[server]\nlisten = here\nmax_frame = 1\n[protocol\nack = 1\n[plugins]\ndir = 1\ndir = 2\n";
        assert_eq!(
            said(text),
            [
                &format!("2: `server.listen`: {NOT_A_VALUE}"),
                "3: `server.max_frame`: a frame of 1 bytes is out of range: 14 bytes to 64 MiB",
                "4: unclosed table, expected `]`",
                "7: `plugins.dir`: expected a string, a path, found an integer",
                "8: `dir`: duplicate key",
            ]
        );
    }

    /// A host that runs reads whatever is written.
    #[test]
    fn no_text_is_too_odd() {
        let text = "[server]\nlisten = \"\u{e4}\"\nthreads = 0x1f\n[plugin.x]\ncommands = [2, 3]\n[[plugin.x.config.a]]\n\
                    b = { c = 1979-05-27, d = inf }\nd = '''\u{e4}'''\n";
        let key = vec!["a"; 40].join(".");
        let nested = format!("{key}={{{key}=[{{{key}={{}}}}]}}\n{key}.b = 1");
        let texts = [text, &nested];
        let places = texts
            .iter()
            .flat_map(|text| text.char_indices().map(move |(at, _)| (*text, at)));
        for (text, at) in places {
            let _ = Config::from_text(&text[..at]);
            for odd in [
                "[", "]", "=", "\"", "'", "{", "}", ".", ",", "#", "\n", "\r", "\\", "\0", "\u{e4}", "0x\u{e4}", "_",
            ] {
                let text = format!("{}{odd}{}", &text[..at], &text[at..]);
                let Err(faults) = Config::from_text(&text) else {
                    continue;
                };
                assert!(
                    !faults.is_empty() && faults.is_sorted_by_key(|fault| fault.at),
                    "{text}"
                );
                ConfigError::invalid("p.toml".as_ref(), &text, faults);
            }
        }
    }

    /// A log that was copied to the configuration's place has as many errors as lines. Were they looked for by comparing each
    /// with all others, this test would take minutes.
    #[test]
    fn a_file_full_of_errors_is_read_in_one_walk() {
        for line in [
            "kN = v\n",
            "=\n",
            "x\n",
            "[kN\n",
            "kN = 1\n",
            "k = 1\n",
            "[a.kN]\nb = \"\n",
            "[[s]]\n",
        ] {
            let text: String = (0..20_000)
                .map(|number| line.replace('N', &number.to_string()))
                .collect();
            let faults = Config::from_text(&text).expect_err("no configuration");
            ConfigError::invalid("p.toml".as_ref(), &text, faults);
        }
    }

    #[test]
    fn no_error_shows_what_may_be_secret() {
        for text in [
            "[plugin.x.config]\ntoken = s3cret\n",
            "[plugin.x.config]\nurl = http://me:s3cret@host\n",
            "[plugin.x.config]\ns3cret\n",
            "[plugin.x.config]\ntoken: s3cret = 1\n",
            "[plugin.x.config]\ntoken = \"\"\"s3cret\n\n",
            "[plugin.x]\nconfig = { token = s3cret }\n",
            "[plugin.x]\nconfig = \"s3cret\"\n",
            "[plugin.x]\ntoken = \"s3cret\"\n",
            "[plugin.x.config]\ntoken = \"\\s3cret\"\n",
            "[plugin.x.config]\na = 2020-13-01s3cret\n",
            "[plugin.x.config]\ncert = \"-----BEGIN\ns3cret==\n-----END\"\n",
            "[plugin.x.config]\ncert = \"-----BEGIN\ns3cret=\nMIIE\n-----END\"\n",
            "[plugin.x]\nconfig.token = \"a\ns3cret = wJalr\n\"\n",
            "[plugin.x]\nconfig.token = 'a\ns3cret = 1\n",
            "[plugin.x.config]\ntoken = \"a\ns3cret = 1\ns3cret = 2\n",
        ] {
            let said = said(text);
            assert!(
                !said.is_empty() && !said.join("\n").contains("s3cret"),
                "{text}: {said:?}"
            );
        }
    }
}
