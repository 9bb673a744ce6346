//! Why a configuration can't be used, said so that it can be mended: file, line, key, and the nearest key that exists.

use std::ops::Range;
use std::path::{Path, PathBuf};

use plugin_record::printable;

use super::finite::NotFinite;

/// How alike a mistyped key must be to one that exists, to be taken for it: 1 is equal, 0 has nothing in common.
const ALIKE: f64 = 0.6;

/// Why plugins.toml can't be used. What an error quotes from the file is shown as it is, control characters aside.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read the configuration {}: {error}", shown(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Something that is no configuration's file stands there.
    #[error(
        "can't read the configuration {}: expected a regular file, found {found}; put the configuration there, or name \
         another file with --plugins",
        shown(path)
    )]
    NotRegular {
        /// Where.
        path: PathBuf,
        /// What stands there.
        found: &'static str,
    },
    /// More than any configuration.
    #[error(
        "can't read the configuration {}: expected at most {} bytes, found more; is it the right file?",
        shown(path),
        super::file::MAX_SIZE
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file says something wrong.
    #[error("{}:{line}: {}", shown(path), printable(reason.clone()))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Key and cause.
        reason: String,
    },
}

impl ConfigError {
    pub(super) fn explain(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
        let (line, source) = place(text, error.span());
        let message = error.message().trim_end();
        let reason = match unknown_field(message) {
            Some((key, known)) => unknown(key, &known),
            // serde says what is wrong with the value; the line says which key has it.
            None => format!("{message}, in: {source}"),
        };
        ConfigError::Invalid {
            path: path.to_owned(),
            line,
            reason,
        }
    }

    pub(super) fn not_finite(path: &Path, text: &str, found: NotFinite) -> ConfigError {
        let (line, source) = place(text, Some(found.span));
        let NotFinite { key, written, .. } = found;
        ConfigError::Invalid {
            path: path.to_owned(),
            line,
            reason: format!(
                "`{key}` is {written}: a plugin gets its configuration as JSON, which has finite numbers alone; leave it out, \
                 or write what the plugin knows in its place, in: {source}"
            ),
        }
    }
}

fn shown(path: &Path) -> String {
    printable(path.display().to_string())
}

/// The line, from 1, where a span begins, and what it says.
fn place(text: &str, span: Option<Range<usize>>) -> (usize, &str) {
    let at = span.map_or(0, |span| span.start.min(text.len()));
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    (line, text.lines().nth(line - 1).unwrap_or("").trim())
}

fn unknown(key: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|known| (strsim::jaro_winkler(key, known), *known))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match nearest {
        Some((_, nearest)) => format!("unknown key `{key}`; did you mean `{nearest}`?"),
        None => format!("unknown key `{key}`; known here: {}", known.join(", ")),
    }
}

/// Takes serde's "unknown field `x`, expected one of `a`, `b`" apart: it has no other way to say it.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    Some((quoted.next()?, quoted.collect()))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn error(text: &str) -> String {
        let error = toml::from_str::<Config>(text).expect_err("must not parse");
        super::ConfigError::explain("p.toml".as_ref(), text, &error).to_string()
    }

    #[test]
    fn names_key_line_and_nearest_known_key() {
        assert_eq!(
            error("[server]\n\nlisen = 1"),
            "p.toml:3: unknown key `lisen`; did you mean `listen`?"
        );
        assert_eq!(
            error("[sever]"),
            "p.toml:1: unknown key `sever`; did you mean `server`?"
        );
        assert_eq!(
            error("[plugin.x]\nqqq = 1"),
            "p.toml:2: unknown key `qqq`; known here: version, commands, required, enabled, config"
        );
    }

    #[test]
    fn names_the_value_and_its_range() {
        assert_eq!(
            error("[plugin.x]\ncommands = [0x80]"),
            "p.toml:2: command 0x80 is out of range: 0x02 to 0x7f, in: commands = [0x80]"
        );
        assert_eq!(
            error("[plugin.x]\nversion = \"1.0\""),
            "p.toml:2: \"1.0\" is not a compatibility line: expected \"N\" (N from 1), \"0.N\" (N from 1) or \"0.0.N\", \
             in: version = \"1.0\""
        );
        assert!(error("[server]\nidle_timeout = \"x\"").contains("\"x\" is not a duration such as \"30s\" or \"5m\""));
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        let said = error("[server]\nlisten = \"\u{1b}[2J\"");
        assert!(!said.contains('\u{1b}'), "{said:?}");
        assert!(said.contains("u{1b}"), "{said:?}");
    }

    #[test]
    fn an_empty_file_will_do() {
        let config: Config = toml::from_str("").expect("an empty configuration");
        assert_eq!(config.server.max_frame, 65536);
    }
}
