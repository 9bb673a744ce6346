//! What is no TOML in a configuration, and what is said of the rest of the file all the same.
//!
//! The parser goes on after an error, by a guess at what was meant. So one mistake may bring further errors of the parser, and
//! wrong values and keys that nobody wrote: a table's header without its `]` leaves its keys to another table. Each error has a
//! region in which nothing else is believed.

use std::ops::Range;

use toml::de::{DeTable, DeValue, Error};

use super::error::{Fault, clipped, dotted, is_bare};

/// Says that a key is there twice, which is no error of the grammar: what the parser makes of the rest is right.
const DUPLICATE: &str = "duplicate key";

/// All that is wrong, in the order of the text: what the parser has found (`broken`), and what is said of its result.
pub(super) fn faults(text: &str, root: &DeTable<'_>, broken: &[Error], said: Vec<Fault>) -> Vec<Fault> {
    let (twice, mut broken): (Vec<&Error>, Vec<&Error>) = broken.iter().partition(|error| error.message() == DUPLICATE);
    broken.sort_by_key(|error| start(error, text));
    let mut regions: Vec<Range<usize>> = Vec::new();
    let mut faults = Vec::new();
    for error in broken {
        let at = start(error, text);
        if regions.iter().any(|region| region.contains(&at)) {
            continue;
        }
        let (region, key) = region(text, root, at);
        regions.push(region);
        let reason = clipped(error.message().trim_end_matches(", expected nothing"));
        faults.push(Fault::new(at, reason).under(&key));
    }
    let twice = twice.into_iter().map(|error| {
        let key = error.span().and_then(|span| text.get(span)).unwrap_or_default();
        Fault::new(start(error, text), DUPLICATE.to_owned()).under(&clipped(key.trim_matches(['"', '\''])))
    });
    let believed = said
        .into_iter()
        .chain(twice)
        .filter(|fault| !regions.iter().any(|region| region.contains(&fault.at)));
    faults.extend(believed);
    faults.sort_by_key(|fault| fault.at);
    faults
}

/// Where an error stands: a place between two characters.
fn start(error: &Error, text: &str) -> usize {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    (0..=start).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Where nothing else is believed once an error was found at `at`, and the key that it is about, if one is known. It is the line
/// and all of the entry that the error stands in; after a broken header, everything up to the next one.
fn region(text: &str, root: &DeTable<'_>, at: usize) -> (Range<usize>, String) {
    let line_start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line_end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    if text[line_start..].trim_start_matches([' ', '\t']).starts_with('[') {
        let next = text[line_end..].find("\n[").map_or(text.len(), |next| line_end + next);
        return (line_start..next + 1, String::new());
    }
    let (key, entry) = entry_at(root, at, "").unwrap_or_else(|| (String::new(), at..at));
    // An error may stand behind the last byte.
    (line_start.min(entry.start)..line_end.max(entry.end) + 1, key)
}

/// The entry of a table in which a place of the text lies: its key from the root, and where it stands. Of a key that needs
/// quotes, the table's alone: what is no key may be a value in a wrong place.
fn entry_at(table: &DeTable<'_>, at: usize, path: &str) -> Option<(String, Range<usize>)> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref();
        let key_path = match is_bare(name) {
            true => dotted(path, name),
            false => path.to_owned(),
        };
        let span = key.span().start.min(value.span().start)..key.span().end.max(value.span().end);
        if (span.start..=span.end).contains(&at) {
            return Some((key_path, span));
        }
        match value.get_ref() {
            DeValue::Table(table) => entry_at(table, at, &key_path),
            DeValue::Array(values) => values
                .iter()
                .filter_map(|value| value.get_ref().as_table())
                .find_map(|table| entry_at(table, at, &key_path)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigError};

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
            ("[server]\nlisten = 127.0.0.1:8888", "2: `server.listen`: invalid float"),
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
                "2: `plugin.x.required`: invalid boolean, expected `true`",
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
                "2: `server.listen`: string values must be quoted, expected literal string",
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
        ] {
            let said = said(text);
            assert!(
                !said.is_empty() && !said.join("\n").contains("s3cret"),
                "{text}: {said:?}"
            );
        }
    }
}
