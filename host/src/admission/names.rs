//! Decides how the names of plugin files are made and read: `libsubmit_echo.so.1.1.0` (real name), `libsubmit_echo.so.1`
//! (soname), and the unversioned `libsubmit_echo.so` that cargo writes; on macOS `libsubmit_echo.1.1.0.dylib`,
//! `libsubmit_echo.1.dylib` (with which the install name ends) and `libsubmit_echo.dylib`. Never looks at the files behind
//! the names.

use std::fmt;

use plugin_record::Record;
use semver::{Prerelease, Version};

/// Whose way of naming libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// `lib*.so[.N[.N[.N[-pre]]]]`
    Elf,
    /// `lib*[.N[.N[.N[-pre]]]].dylib`
    MachO,
}

impl Platform {
    /// That of the system which this host was built for.
    pub const HOST: Platform = if cfg!(target_vendor = "apple") {
        Platform::MachO
    } else {
        Platform::Elf
    };

    /// A library's file name; `version` may be a pattern, for messages.
    pub fn file_name(self, stem: &str, version: Option<&str>) -> String {
        match (self, version) {
            (Platform::Elf, Some(version)) => format!("lib{stem}.so.{version}"),
            (Platform::Elf, None) => format!("lib{stem}.so"),
            (Platform::MachO, Some(version)) => format!("lib{stem}.{version}.dylib"),
            (Platform::MachO, None) => format!("lib{stem}.dylib"),
        }
    }

    /// Stem and version of a file name.
    fn split(self, file_name: &str) -> Option<(&str, Option<&str>)> {
        let rest = file_name.strip_prefix("lib")?;
        match self {
            Platform::Elf => match rest.split_once(".so.") {
                Some((stem, version)) => Some((stem, Some(version))),
                None => Some((rest.strip_suffix(".so")?, None)),
            },
            Platform::MachO => {
                let rest = rest.strip_suffix(".dylib")?;
                let split = rest.split_once('.');
                Some(split.map_or((rest, None), |(stem, version)| (stem, Some(version))))
            }
        }
    }
}

/// A library's file name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryName {
    /// Whose form it has.
    pub platform: Platform,
    /// What stands between `lib` and the first `.`: a package's name with `_` for `-`.
    pub stem: String,
    /// One to three version parts; none in the unversioned name.
    pub parts: Vec<u64>,
    /// A pre-release tag, after three parts.
    pub pre: Prerelease,
}

impl LibraryName {
    /// Takes a file name apart; `None` if no plugin's file is named so on this system.
    pub fn parse(file_name: &str) -> Option<LibraryName> {
        LibraryName::parse_as(Platform::HOST, file_name)
    }

    /// The same for any system's names.
    pub fn parse_as(platform: Platform, file_name: &str) -> Option<LibraryName> {
        let (stem, version) = platform.split(file_name)?;
        let is_stem = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if stem.is_empty() || !stem.chars().all(is_stem) {
            return None;
        }
        let (parts, pre) = match version {
            Some(version) => parse_version(version)?,
            None => (Vec::new(), Prerelease::EMPTY),
        };
        Some(LibraryName {
            platform,
            stem: stem.to_owned(),
            parts,
            pre,
        })
    }

    /// Whether the name carries a version, as all names in a plugin directory do.
    pub fn is_versioned(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Whether the name's version, as far as it goes, is this one.
    pub fn agrees_with(&self, version: &Version) -> bool {
        let full = [version.major, version.minor, version.patch];
        full.starts_with(&self.parts) && (self.parts.len() < 3 || self.pre == version.pre)
    }

    /// The version as the name writes it.
    pub fn version(&self) -> String {
        let parts: Vec<String> = self.parts.iter().map(u64::to_string).collect();
        match self.pre.is_empty() {
            true => parts.join("."),
            false => format!("{}-{}", parts.join("."), self.pre),
        }
    }
}

impl fmt::Display for LibraryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.is_versioned().then(|| self.version());
        f.write_str(&self.platform.file_name(&self.stem, version.as_deref()))
    }
}

/// One to three numbers, and a pre-release tag behind three.
pub(crate) fn parse_version(text: &str) -> Option<(Vec<u64>, Prerelease)> {
    let (numbers, pre) = match text.split_once('-') {
        Some((numbers, pre)) => (numbers, Prerelease::new(pre).ok().filter(|pre| !pre.is_empty())?),
        None => (text, Prerelease::EMPTY),
    };
    let mut parts = Vec::with_capacity(3);
    for part in numbers.split('.') {
        // As semver: digits only, no leading zero.
        let is_number = part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
        parts.push(part.parse().ok().filter(|_| is_number)?);
    }
    let pre_is_whole = pre.is_empty() || parts.len() == 3;
    (parts.len() <= 3 && pre_is_whole).then_some((parts, pre))
}

/// The stem of a package's library: cargo writes `_` for `-`.
pub fn stem(package: &str) -> String {
    package.replace('-', "_")
}

/// The soname that a record's library must have, e.g. `libsubmit_echo.so.1`.
pub fn soname(record: &Record) -> String {
    Platform::HOST.file_name(&stem(&record.name), Some(&record.line().to_string()))
}

/// The real name that a record's library is installed under, e.g. `libsubmit_echo.so.1.1.0`.
pub fn real_name(record: &Record) -> String {
    // Build metadata decides nothing in semver and could not be told from a version part here.
    let version = Version {
        build: semver::BuildMetadata::EMPTY,
        ..record.version.clone()
    };
    Platform::HOST.file_name(&stem(&record.name), Some(&version.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_and_put_together() {
        for text in [
            "libx.so",
            "libx.so.1",
            "libhandler.so.1.1",
            "libsubmit_echo.so.1.1.0",
            "libx.so.0.0.5",
            "libx.so.1.2.3-rc.1",
        ] {
            let name = LibraryName::parse_as(Platform::Elf, text).unwrap_or_else(|| panic!("{text} is a name"));
            assert_eq!(name.to_string(), text);
        }
        for text in [
            "x.so.1",
            "lib.so.1",
            "libx.so.",
            "libx.so.1.",
            "libx.so.01",
            "libx.so.1.2.3.4",
            "libx.so.+1",
            "libx.so.1-rc",
            "libx.so.1.2.3-",
            "libx.so.1.so.1",
            "libx-y.so.1",
            "libx.so.1~",
            "libx.soo",
            "libx",
            "libx.so.99999999999999999999999",
        ] {
            assert_eq!(LibraryName::parse_as(Platform::Elf, text), None, "{text}");
        }
    }

    #[test]
    fn names_on_macos_have_their_version_before_the_ending() {
        for (text, stem, version) in [
            ("libx.dylib", "x", ""),
            ("libx.1.dylib", "x", "1"),
            ("libsubmit_echo.1.1.0.dylib", "submit_echo", "1.1.0"),
            ("libx.0.0.5.dylib", "x", "0.0.5"),
            ("libx.1.2.3-rc.1.dylib", "x", "1.2.3-rc.1"),
        ] {
            let name = LibraryName::parse_as(Platform::MachO, text).unwrap_or_else(|| panic!("{text} is a name"));
            assert_eq!((name.stem.as_str(), name.version().as_str()), (stem, version));
            assert_eq!(name.to_string(), text);
            assert_eq!(LibraryName::parse_as(Platform::Elf, text), None, "{text}");
        }
        for text in [
            "x.1.dylib",
            "lib.1.dylib",
            "libx..dylib",
            "libx.1..dylib",
            "libx.01.dylib",
            "libx.1.2.3.4.dylib",
            "libx.dylib.1",
            "libx.so.1",
            "libx.so.dylib",
            "libx-y.1.dylib",
            "libx.1",
        ] {
            assert_eq!(LibraryName::parse_as(Platform::MachO, text), None, "{text}");
        }
    }

    #[test]
    fn a_version_given_to_n_parts_must_equal_the_first_n() {
        let agrees = |name: &str, version: &str| {
            let name = LibraryName::parse_as(Platform::Elf, &format!("libx.so.{name}")).expect("a name");
            name.agrees_with(&version.parse().expect("a version"))
        };
        assert!(agrees("1", "1.1.0") && agrees("1.1", "1.1.0") && agrees("1.1.0", "1.1.0"));
        assert!(!agrees("1.0", "1.1.0") && !agrees("2", "1.1.0") && !agrees("1.1.0", "1.1.0-rc.1"));
        assert!(agrees("1.1.0-rc.1", "1.1.0-rc.1") && agrees("1.1", "1.1.0-rc.1"));
    }
}
