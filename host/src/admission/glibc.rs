//! Decides which release of the GNU C library this process runs on, and how releases compare.
//!
//! The running release is read from the very file that is mapped here: the C library's own function for it would be an unsafe
//! call for one line of text, and the same text stands in the file.

use std::fmt;
use std::fs;
use std::sync::OnceLock;

/// A release: 2.36, or 2.2.5 in the old days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glibc {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Glibc {
    /// Reads `2.36` or `2.2.5`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Glibc> {
        let mut parts = text.split('.').map(|part| part.parse::<u32>().ok());
        let release = Glibc {
            major: parts.next()??,
            minor: parts.next()??,
            patch: parts.next().unwrap_or(Some(0))?,
        };
        parts.next().is_none().then_some(release)
    }

    /// The release that this process runs on. `None` where there is none (another C library, or one that is part of the
    /// host) or its file can't be read: then only opening a library tells.
    pub fn running() -> Option<Glibc> {
        static RUNNING: OnceLock<Option<Glibc>> = OnceLock::new();
        *RUNNING.get_or_init(|| {
            let running = mapped();
            tracing::debug!(running = running.map(tracing::field::display), "the C library");
            running
        })
    }
}

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        match self.patch {
            0 => Ok(()),
            patch => write!(f, ".{patch}"),
        }
    }
}

/// Looks through what is mapped into this process, proc_pid_maps(5): address, mode, offset, device, inode, path.
fn mapped() -> Option<Glibc> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let paths = maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..]));
    // libc.so.6 is a link to libc-2.31.so and the like before 2.34.
    let mut libraries: Vec<&str> = paths
        .filter(|path| {
            let name = path.rsplit('/').next().unwrap_or_default();
            name == "libc.so.6" || (name.starts_with("libc-2.") && name.ends_with(".so"))
        })
        .collect();
    libraries.dedup();
    libraries
        .iter()
        .find_map(|path| banner(&fs::read(path).ok()?).and_then(Glibc::parse))
}

/// The C library carries the text that it prints when it is run: "GNU C Library (...) stable release version 2.36." and
/// more lines.
fn banner(library: &[u8]) -> Option<&str> {
    let mut texts = library.split(|byte| *byte == 0);
    let text = texts.find(|text| text.starts_with(b"GNU C Library "))?;
    let line = std::str::from_utf8(text.split(|byte| *byte == b'\n').next()?).ok()?;
    let (_, version) = line.split_once(" release version ")?;
    Some(
        version
            .split(|c: char| !c.is_ascii_digit() && c != '.')
            .next()?
            .trim_end_matches('.'),
    )
}
