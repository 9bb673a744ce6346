//! What of a text is shown rather than obeyed. Texts come from peers, plugins and files that nobody vouches for, and go to
//! terminals and into logs that are read line by line: what would move a cursor, begin another line or turn the order of
//! letters round is written out. A text that was written out before stays as it is.

use std::fmt::{self, Write};

/// Whether a terminal, or a reader of lines, obeys this character instead of showing it: control characters, the
/// separators of lines and paragraphs, and what changes the direction of writing.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The text, with everything that would be obeyed written out: `\n`, `\u{1b}`.
pub fn printable(text: String) -> String {
    match text.chars().any(is_obeyed) {
        true => Printable(text.as_str()).to_string(),
        false => text,
    }
}

/// Shows a value as [`printable`] does, without making a text of it first.
#[derive(Clone, Copy)]
pub struct Printable<T>(pub T);

impl<T: fmt::Display> fmt::Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(WrittenOut(f), "{}", self.0)
    }
}

impl<T: fmt::Debug> fmt::Debug for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(WrittenOut(f), "{:?}", self.0)
    }
}

struct WrittenOut<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl Write for WrittenOut<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_obeyed(*c)) {
            self.0.write_str(&rest[..at])?;
            write!(self.0, "{}", c.escape_default())?;
            rest = &rest[at + c.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_obeyed_is_written_out_and_nothing_else_is() {
        for (text, shown) in [
            (
                "plain, \"quoted\", back\\slash, ümläut, 漢",
                "plain, \"quoted\", back\\slash, ümläut, 漢",
            ),
            ("two\nlines\r", r"two\nlines\r"),
            ("\u{1b}[2J\u{9b}K\u{7f}\0", r"\u{1b}[2J\u{9b}K\u{7f}\u{0}"),
            (
                "a\u{2028}b\u{202e}c\u{2066}d\u{200f}e",
                r"a\u{2028}b\u{202e}c\u{2066}d\u{200f}e",
            ),
            (r"\n, \u{1b}", r"\n, \u{1b}"),
        ] {
            assert_eq!(printable(text.to_owned()), shown);
            assert_eq!(printable(shown.to_owned()), shown, "twice");
        }
        assert_eq!(format!("{:?}", Printable("a\nb")), r#""a\nb""#);
    }
}
