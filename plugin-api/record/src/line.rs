//! The semver compatibility line: the part of a version that must be equal for two versions to be interchangeable.
//! Source of the rule: the Cargo book, "SemVer compatibility" (the leftmost non-zero part decides).

use std::fmt;

use semver::Version;

/// A compatibility line, written as a soname carries it: `1`, `0.3` or `0.0.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    /// `0.0.z`: every version is a line of its own.
    Patch(u64),
    /// `0.minor`.
    Minor(u64),
    /// `major`, from 1 up.
    Major(u64),
}

impl Line {
    /// The line that a version belongs to.
    pub fn of(version: &Version) -> Line {
        match (version.major, version.minor) {
            (0, 0) => Line::Patch(version.patch),
            (0, minor) => Line::Minor(minor),
            (major, _) => Line::Major(major),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Patch(patch) => write!(f, "0.0.{patch}"),
            Line::Minor(minor) => write!(f, "0.{minor}"),
            Line::Major(major) => write!(f, "{major}"),
        }
    }
}

/// Not of the form `N`, `0.N` or `0.0.N`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a compatibility line: expected \"N\" (N from 1), \"0.N\" (N from 1) or \"0.0.N\"")]
pub struct NotALine(String);

impl std::str::FromStr for Line {
    type Err = NotALine;

    fn from_str(text: &str) -> Result<Line, NotALine> {
        let parts: Option<Vec<u64>> = text.split('.').map(|part| part.parse().ok()).collect();
        let line = match parts.as_deref() {
            Some([0, 0, patch]) => Line::Patch(*patch),
            Some([0, minor]) if *minor > 0 => Line::Minor(*minor),
            Some([major]) if *major > 0 => Line::Major(*major),
            _ => return Err(NotALine(text.to_owned())),
        };
        // "01" parses as a number but names no file that we would write.
        if line.to_string() == text {
            Ok(line)
        } else {
            Err(NotALine(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leftmost_part_that_is_not_zero_decides() {
        for (version, line) in [
            ("1.1.0", "1"),
            ("12.0.3", "12"),
            ("0.3.9", "0.3"),
            ("0.0.5", "0.0.5"),
            ("0.0.0", "0.0.0"),
        ] {
            let version: Version = version.parse().expect("a version");
            assert_eq!(Line::of(&version).to_string(), line);
            assert_eq!(line.parse(), Ok(Line::of(&version)));
        }
        for text in ["", "0", "0.0", "1.0", "01", "x", "1.", "-1"] {
            assert!(text.parse::<Line>().is_err(), "{text}");
        }
    }
}
