//! What RUST_LOG lets through. What is wrong in it is left out and told as an event, like anything else:
//! `tracing-subscriber` itself would print it, past the log and its format.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use tracing::warn;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{Directive, LevelFilter};

/// A part of RUST_LOG that is no directive.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    directive: String,
    reason: String,
}

/// The filter that RUST_LOG asks for, `info` where it asks for nothing; and what is wrong in it.
pub(super) fn from_environment() -> (EnvFilter, Vec<Wrong>) {
    let (directives, wrong) = read(&std::env::var_os(EnvFilter::DEFAULT_ENV).unwrap_or_default());
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse_lossy(directives.join(","));
    // Whatever else is filtered: who mistyped a directive may see nothing at all, and would not know why.
    let told = match wrong.is_empty() {
        true => None,
        false => concat!(module_path!(), "=warn").parse().ok(),
    };
    let filter = match told {
        Some(directive) => filter.add_directive(directive),
        None => filter,
    };
    (filter, wrong)
}

impl Wrong {
    /// Writes its line.
    pub(super) fn log(&self) {
        let Wrong { directive, reason } = self;
        warn!(
            directive,
            reason,
            "RUST_LOG: a directive is wrong and counts for nothing: write LEVEL or TARGET=LEVEL, with commas between them"
        );
    }
}

/// The directives in this text, and what is none. Nothing between two commas is nothing wrong.
fn read(text: &OsStr) -> (Vec<String>, Vec<Wrong>) {
    let (mut directives, mut wrong) = (Vec::new(), Vec::new());
    for part in text.as_bytes().split(|byte| *byte == b',') {
        // Without white space around it: the parser trims, and then takes the wrong bytes for the name.
        let checked = str::from_utf8(part).map(str::trim).map_err(|error| error.to_string());
        let parsed = checked.and_then(|part| match part.parse::<Directive>() {
            _ if part.is_empty() => Ok(None),
            Ok(_) => Ok(Some(part.to_owned())),
            Err(error) => Err(error.to_string()),
        });
        match parsed {
            Ok(directive) => directives.extend(directive),
            Err(reason) => wrong.push(Wrong {
                directive: String::from_utf8_lossy(part).trim().to_owned(),
                reason,
            }),
        }
    }
    (directives, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_directive_is_read_by_itself_and_what_is_none_is_named() {
        for (text, directives, wrong) in [
            (&b""[..], &[][..], &[][..]),
            (b"info,,plugin.x=debug,", &["info", "plugin.x=debug"], &[]),
            (b" info , plugin.x=debug\n", &["info", "plugin.x=debug"], &[]),
            (
                b"info,plugin.x=loud",
                &["info"],
                &[("plugin.x=loud", "expected one of")],
            ),
            (
                b"a=1, b==,[,warn",
                &["a=1", "warn"],
                &[("b==", "expected one of"), ("[", "invalid")],
            ),
            (b"x=\xff,error", &["error"], &[("x=\u{fffd}", "invalid utf-8")]),
        ] {
            let (read, faults) = read(OsStr::from_bytes(text));
            assert_eq!(read, directives);
            assert_eq!(faults.len(), wrong.len(), "{faults:?}");
            for (fault, (directive, reason)) in faults.iter().zip(wrong) {
                assert!(
                    fault.directive == *directive && fault.reason.contains(reason),
                    "{fault:?}"
                );
            }
        }
    }
}
