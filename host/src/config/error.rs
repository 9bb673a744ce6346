//! Holds the reasons why a configuration can't be used, each with file, line and key, so that it can be corrected.

use std::fmt;
use std::path::{Path, PathBuf};

use plugin_record::printable;

/// How many errors of a file are shown; one with more of them is some other file.
pub(super) const MOST_SHOWN: usize = 50;
/// How much of a key or a value is shown, in characters.
const MOST_OF_A_TEXT: usize = 200;

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
    #[error("{}", errors.join("; "))]
    Invalid {
        /// What, in the order of the file; each names file, line and key.
        errors: Vec<String>,
    },
}

impl ConfigError {
    pub(super) fn invalid(path: &Path, text: &str, faults: Vec<Fault>) -> ConfigError {
        let path = shown(path);
        let mut errors = Vec::new();
        let (mut line, mut counted) = (1, 0);
        for fault in faults.iter().take(MOST_SHOWN) {
            // In the order of the text: so that all of it is counted once.
            let passed = text.as_bytes().get(counted..fault.at).unwrap_or_default();
            line += passed.iter().filter(|byte| **byte == b'\n').count();
            counted = counted.max(fault.at);
            errors.push(format!("{path}:{line}: {}", printable(fault.to_string())));
        }
        if faults.len() > MOST_SHOWN {
            errors.push(format!("{path}: and more errors"));
        }
        ConfigError::Invalid { errors }
    }

    /// What is to be said, line by line.
    pub fn lines(&self) -> Vec<String> {
        match self {
            ConfigError::Invalid { errors } => errors.clone(),
            error => vec![error.to_string()],
        }
    }
}

fn shown(path: &Path) -> String {
    printable(path.display().to_string())
}

/// One thing that is wrong with a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Its place in the text, in bytes.
    pub(super) at: usize,
    /// The key that it is about; nothing where that is not known.
    pub(super) key: String,
    reason: String,
}

impl Fault {
    pub(super) fn new(at: usize, reason: String) -> Fault {
        Fault {
            at,
            key: String::new(),
            reason,
        }
    }

    /// The same, of a value that stands under this key.
    pub(super) fn under(self, path: &str) -> Fault {
        let key = match self.key.as_str() {
            "" => path.to_owned(),
            key if key.starts_with('[') => format!("{path}{key}"),
            key => format!("{path}.{key}"),
        };
        Fault { key, ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => f.write_str(&self.reason),
            key => write!(f, "`{key}`: {}", self.reason),
        }
    }
}

/// A key under a path of keys, written as TOML has it.
pub(super) fn dotted(path: &str, key: &str) -> String {
    let key = match is_bare(key) {
        true => clipped(key),
        false => format!("{:?}", clipped(key)),
    };
    match path {
        "" => key,
        path => format!("{path}.{key}"),
    }
}

/// Whether a key needs no quotes.
pub(super) fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// The beginning of a text that may be a whole file.
pub(super) fn clipped(text: &str) -> String {
    match text.char_indices().nth(MOST_OF_A_TEXT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn errors(text: &str) -> Vec<String> {
        let faults = Config::from_text(text).expect_err("must not parse");
        ConfigError::invalid("p.toml".as_ref(), text, faults).lines()
    }

    // Long: a table of cases.
    #[test]
    fn all_errors_are_said_in_the_order_of_the_file() {
        let text = "\
[server]
listen = \"here\"
lisen = 1
max_frame = \"1\"
max_connections = 0
threads = 1025
idle_timeout = 30
drain_timeout = \"0s\"
max_unsent = true

[plugin.\"a b\"]
commands = [
    0x02, 0x80,
    2, \"x\", -1]
[plugin.x]
qqq = 1
version = \"1.0\"
config.ratio = inf
config = 1
[protocol]
ack = \"rust\"
[sever]
[policy]
compiler = \"same\"
dependencies = \"interfaces\"
packages.serde = \"newest\"
packages.\"ser.de\" = 1
";
        let expected = [
            "p.toml:2: `server.listen`: \"here\" is neither an IP address with a port, such as \"127.0.0.1:8888\" or \
             \"[::1]:8888\", nor a Unix socket, such as \"unix:/run/host/host.sock\"",
            "p.toml:3: `server.lisen`: unknown key; did you mean `listen`?",
            "p.toml:4: `server.max_frame`: a frame of 1 bytes is out of range: 14 bytes to 64 MiB",
            "p.toml:5: `server.max_connections`: 0 is out of range: at least 1",
            "p.toml:6: `server.threads`: 1025 threads are out of range: 1 to 1024",
            "p.toml:7: `server.idle_timeout`: expected a string such as \"30s\" or \"5m\", found an integer",
            "p.toml:8: `server.drain_timeout`: a duration of 0 is out of range: at least \"1ms\"",
            "p.toml:9: `server.max_unsent`: expected a size such as \"64KiB\" or a number of bytes, found a boolean",
            "p.toml:11: `plugin.\"a b\"`: \"a b\" is no plugin's name: letters, digits, - and _ make one",
            "p.toml:13: `plugin.\"a b\".commands`: command 0x80 is out of range: 0x02 to 0x7f",
            "p.toml:14: `plugin.\"a b\".commands`: command 0x02 is listed twice",
            "p.toml:14: `plugin.\"a b\".commands`: expected a command such as 0x02, found a string",
            "p.toml:14: `plugin.\"a b\".commands`: command -1 is out of range: 0x02 to 0x7f",
            "p.toml:16: `plugin.x.qqq`: unknown key; known here: version, commands, required, enabled, config",
            "p.toml:17: `plugin.x.version`: \"1.0\" is not a compatibility line: expected \"N\" (N from 1), \"0.N\" (N from 1) \
             or \"0.0.N\"",
            "p.toml:18: `plugin.x.config.ratio`: is inf: a plugin gets its configuration as JSON, which has finite numbers \
             alone; leave it out, or write what the plugin knows in its place",
            "p.toml:19: `config`: duplicate key",
            "p.toml:21: `protocol.ack`: \"rust\" is not \"go\" or \"documented\"",
            "p.toml:22: `sever`: unknown key; did you mean `server`?",
            "p.toml:24: `policy.compiler`: \"same\" is not \"exact\" or \"any\"",
            "p.toml:25: `policy.dependencies`: \"interfaces\" is not \"interface\" or \"exact\" or \"any\"",
            "p.toml:26: `policy.packages.serde`: \"newest\" is neither \"exact\" nor \"ignore\" nor a version requirement such \
             as \">=1.2, <2\": unexpected character 'n' while parsing major version number",
            "p.toml:27: `policy.packages.\"ser.de\"`: expected a string, found an integer",
        ];
        let errors = errors(text);
        for (error, expected) in errors.iter().zip(expected) {
            assert_eq!(error, expected);
        }
        assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        for text in [
            "[server]\nlisten = \"\u{1b}[2J\"",
            "[server]\n\"\u{1b}[2J\" = 1",
            "[server]\nlisten = \"\\u001b[2J\"",
        ] {
            let said = errors(text).join("\n");
            assert!(!said.contains('\u{1b}'), "{said:?}");
        }
    }

    #[test]
    fn a_file_full_of_errors_is_cut_short() {
        let errors = errors(&"\n[x]\n".repeat(1000));
        assert_eq!(errors.len(), MOST_SHOWN + 1);
        assert_eq!(errors.last().map(String::as_str), Some("p.toml: and more errors"));
        let long = super::tests::errors(&format!("{} = 1", "k".repeat(100_000))).join("");
        assert!(long.len() < 1000, "{} bytes", long.len());
    }

    #[test]
    fn an_empty_file_will_do() {
        let config = Config::from_text("").expect("an empty configuration");
        assert_eq!((config.server.max_frame, config.plugins.create), (65536, false));
    }
}
