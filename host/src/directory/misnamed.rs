//! Decides which names are no plugin's although they look like one: a file that a person would take for a plugin must not be
//! passed over in silence. Pure.

use crate::admission::names::{LibraryName, Platform, parse_version};

/// Endings of files that were put aside, or that a program writes beside a library: they are not expected to serve.
const SET_ASIDE: [&str; 28] = [
    "asc", "bak", "backup", "dbg", "debug", "disabled", "filepart", "gz", "md5", "minisig", "new", "off", "old",
    "orig", "part", "partial", "rej", "save", "sha1", "sha256", "sha512", "sig", "swp", "temp", "tmp", "xz", "zip",
    "zst",
];

/// What a file name that no plugin has was probably meant to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misnamed {
    /// This name.
    For(LibraryName),
    /// A library's, of which the name does not tell which.
    Unclear,
}

impl Misnamed {
    /// Judges a name on this system; `None` for a plugin's own, for what is no library's, and for what was put aside.
    pub fn parse(file_name: &str) -> Option<Misnamed> {
        Misnamed::parse_as(Platform::HOST, file_name)
    }

    /// The same for any system's names.
    pub fn parse_as(platform: Platform, file_name: &str) -> Option<Misnamed> {
        if file_name.starts_with('.') || LibraryName::parse_as(platform, file_name).is_some() {
            return None;
        }
        let (stem, version) = split(file_name)?;
        if let Some(name) = meant(platform, stem, version) {
            return Some(Misnamed::For(name));
        }
        (!is_set_aside(file_name)).then_some(Misnamed::Unclear)
    }
}

/// What stands before and behind the ending of a library's name, of either system.
fn split(file_name: &str) -> Option<(&str, &str)> {
    if let Some(stem) = file_name.strip_suffix(".dylib") {
        return Some((stem, ""));
    }
    let mut endings = file_name.match_indices(".so");
    endings.find_map(|(at, ending)| {
        let rest = &file_name[at + ending.len()..];
        let is_ending = rest.is_empty() || !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
        is_ending.then(|| (&file_name[..at], rest))
    })
}

fn meant(platform: Platform, stem: &str, version: &str) -> Option<LibraryName> {
    let (stem, version) = match version.is_empty() {
        true => version_in(stem),
        false => (stem, Some(version.strip_prefix('.')?)),
    };
    let (parts, pre) = match version {
        Some(version) => version_of(version)?,
        None => Default::default(),
    };
    let name = LibraryName {
        platform,
        stem: stem.strip_prefix("lib").unwrap_or(stem).replace('-', "_"),
        parts,
        pre,
    };
    // Only what a plugin can be named.
    LibraryName::parse_as(platform, &name.to_string())
}

/// A version at the end of a stem: `libx-1.0.0`, `libx.1.0.0`, `libx_v1.0.0`.
fn version_in(stem: &str) -> (&str, Option<&str>) {
    let mut separators = stem.match_indices(['-', '.', '_']);
    let found = separators.find(|(at, _)| {
        let version = &stem[at + 1..];
        version.contains('.') && version_of(version).is_some()
    });
    found.map_or((stem, None), |(at, _)| (&stem[..at], Some(&stem[at + 1..])))
}

/// As a version is written elsewhere: with a `v`, or with build metadata.
fn version_of(text: &str) -> Option<(Vec<u64>, semver::Prerelease)> {
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    parse_version(text.split('+').next()?)
}

fn is_set_aside(file_name: &str) -> bool {
    let ending = file_name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let by_package_manager = ["rpm", "dpkg-", "ucf-"].iter().any(|prefix| ending.starts_with(prefix));
    file_name.ends_with(['~', '#']) || by_package_manager || SET_ASIDE.contains(&ending.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(platform: Platform, name: &str) -> Option<String> {
        Misnamed::parse_as(platform, name).map(|misnamed| match misnamed {
            Misnamed::For(name) => name.to_string(),
            Misnamed::Unclear => "?".to_owned(),
        })
    }

    #[test]
    fn names_that_nearly_are_a_plugin_s_have_a_better_one() {
        for (name, better) in [
            ("libmy-echo.so.1.0.0", "libmy_echo.so.1.0.0"),
            ("libmy_echo.so.v1.0.0", "libmy_echo.so.1.0.0"),
            ("libmy_echo.so.1.0.0+build.5", "libmy_echo.so.1.0.0"),
            ("libmy_echo.so.1.0.0-rc.1+5", "libmy_echo.so.1.0.0-rc.1"),
            ("my_echo.so.1.0.0", "libmy_echo.so.1.0.0"),
            ("my-echo.so.1", "libmy_echo.so.1"),
            ("libmy_echo-1.0.0.so", "libmy_echo.so.1.0.0"),
            ("libmy-echo-1.0.0.so", "libmy_echo.so.1.0.0"),
            ("libmy_echo.1.0.0.so", "libmy_echo.so.1.0.0"),
            ("libmy_echo_v1.0.so", "libmy_echo.so.1.0"),
            ("libmy-echo.so", "libmy_echo.so"),
            ("my_echo.so", "libmy_echo.so"),
            ("libmy_echo.1.0.0.dylib", "libmy_echo.so.1.0.0"),
        ] {
            assert_eq!(judged(Platform::Elf, name).as_deref(), Some(better), "{name}");
        }
        assert_eq!(
            judged(Platform::MachO, "libx.so.1.0.0").as_deref(),
            Some("libx.1.0.0.dylib")
        );
    }

    #[test]
    fn other_libraries_are_unclear() {
        for name in [
            "libx.so.1.0.0.0",
            "libx.so.latest",
            "libx.so.01",
            "libx.so.",
            "lib.so.1",
            "libä.so.1",
            "libx.so.1.so",
        ] {
            assert_eq!(judged(Platform::Elf, name).as_deref(), Some("?"), "{name}");
        }
    }

    #[test]
    fn plugins_other_files_and_what_was_put_aside_are_passed_over() {
        for name in [
            "libx.so",
            "libx.so.1.0.0",
            "libx.so.1.0.0.bak",
            "libx.so.1.0.0~",
            "libx.so.1.0.0.sha256",
            "libx.so.rpmsave",
            ".libx.so.1.0.0.Ab3d9f",
            "plugins.toml",
            "x.source",
            "data",
            "",
        ] {
            assert_eq!(judged(Platform::Elf, name), None, "{name}");
        }
    }
}
