//! How much is logged of a text that comes from a plugin and may be of any length.

use std::borrow::Cow;

/// The most bytes that are logged of what a plugin says at once.
pub(crate) const LONGEST: usize = 16 << 10;

/// A plugin's text, as long as a log can be expected to take.
pub(crate) fn cut(text: &str) -> Cow<'_, str> {
    cut_at(text, LONGEST)
}

/// At most so many bytes of a text, and how many more there were.
pub(crate) fn cut_at(text: &str, most: usize) -> Cow<'_, str> {
    let kept = beginning(text, most);
    match text.len() - kept.len() {
        0 => Cow::Borrowed(text),
        more => Cow::Owned(format!("{kept}{}", rest(more))),
    }
}

/// What stands in the place of so many bytes.
pub(super) fn rest(bytes: usize) -> String {
    format!("... ({bytes} bytes more)")
}

/// At most so many bytes of a text, in whole characters.
pub(crate) fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_says_what_was_cut() {
        let fits = "x".repeat(LONGEST);
        assert_eq!(cut(&fits), fits);
        assert_eq!(cut(&format!("{fits}yz")), format!("{fits}... (2 bytes more)"));
        let cut = cut(&format!("x{}", "ä".repeat(LONGEST))).into_owned();
        assert!(cut.ends_with("ä... (16386 bytes more)"), "{}", &cut[cut.len() - 40..]);
    }
}
