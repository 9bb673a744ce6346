//! Reads what a library asks of the system that opens it. Whether the system gives that is decided in `system`.
//!
//! Source of the tags: elf(5); of the versions: "Linux Standard Base Core, Symbol Versioning". Where the dynamic linker is
//! more lenient or stricter than these, this file follows the dynamic linker: it will read the library next.

use object::elf::{self, Vernaux, Verneed};
use object::endian::Endianness;
use object::pod;
use object::read::elf::ProgramHeader;

use super::FileFault;
use super::dynamic::{Dynamic, Segment};

use crate::admission::glibc::Glibc;
use crate::admission::static_tls::StaticTls;

/// More needed versions than any library has: the C library's own have some forty, and a library needs a few others.
const MAX_VERSIONS: usize = 4096;
/// The longest version name that is read.
const MAX_VERSION_NAME: usize = 255;
/// The longest list of search paths that is read: sixteen of PATH_MAX.
const MAX_PATHS: usize = 65536;
/// How much of it is kept, in bytes.
const MAX_SHOWN: usize = 1024;

/// What a library asks of the system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The newest GLIBC_x.y among the symbol versions that it can't do without.
    pub glibc: Option<Glibc>,
    /// Its own search paths: DT_RPATH or DT_RUNPATH, and what they say.
    pub search_paths: Vec<(&'static str, String)>,
    /// How it asks for an executable stack, if it does.
    pub executable_stack: Option<&'static str>,
    /// How it asks for writable code, if it does.
    pub text_relocations: Option<&'static str>,
    /// The static TLS that it takes, if its code was built for that.
    pub static_tls: Option<StaticTls>,
}

impl Needs {
    /// Reads what a file with these program headers asks for.
    pub(super) fn read(segments: &[Segment], dynamic: &Dynamic<'_>, endian: Endianness) -> Result<Needs, FileFault> {
        Ok(Needs {
            glibc: newest_glibc(dynamic, endian)?,
            search_paths: search_paths(dynamic)?,
            executable_stack: executable_stack(segments, endian),
            text_relocations: text_relocations(dynamic),
            static_tls: static_tls(segments, dynamic, endian),
        })
    }
}

fn search_paths(dynamic: &Dynamic<'_>) -> Result<Vec<(&'static str, String)>, FileFault> {
    let mut paths = Vec::new();
    for (tag, name) in [(elf::DT_RPATH, "DT_RPATH"), (elf::DT_RUNPATH, "DT_RUNPATH")] {
        if let Some(offset) = dynamic.value(tag) {
            // Any bytes can be a path.
            let path = dynamic.bytes(offset, MAX_PATHS, name)?;
            if !path.is_empty() {
                // An empty one is none; of a long one the beginning shows whose it is.
                let shown = &path[..path.len().min(MAX_SHOWN)];
                paths.push((name, String::from_utf8_lossy(shown).into_owned()));
            }
        }
    }
    Ok(paths)
}

/// The C library takes a missing PT_GNU_STACK for an executable stack, as it was before there was such a header. Linkers
/// write it for all our machines, so a missing one is odd on each.
fn executable_stack(segments: &[Segment], endian: Endianness) -> Option<&'static str> {
    let mut headers = segments.iter().rev();
    match headers.find(|segment| segment.p_type(endian) == elf::PT_GNU_STACK) {
        Some(stack) if stack.p_flags(endian).contains(elf::PF_X) => Some("executable: PT_GNU_STACK has PF_X"),
        Some(_) => None,
        None => Some("executable: there is no PT_GNU_STACK"),
    }
}

fn text_relocations(dynamic: &Dynamic<'_>) -> Option<&'static str> {
    let flags = dynamic.value(elf::DT_FLAGS).unwrap_or(0);
    if dynamic.value(elf::DT_TEXTREL).is_some() {
        Some("DT_TEXTREL")
    } else if flags & elf::DF_TEXTREL.0 != 0 {
        Some("DF_TEXTREL in DT_FLAGS")
    } else {
        None
    }
}

/// DF_STATIC_TLS says that code relies on a fixed place. Its own variables are then all there: they are one block, PT_TLS.
/// Without a block it relies on another library's.
fn static_tls(segments: &[Segment], dynamic: &Dynamic<'_>, endian: Endianness) -> Option<StaticTls> {
    let flags = dynamic.value(elf::DT_FLAGS).unwrap_or(0);
    if flags & elf::DF_STATIC_TLS.0 == 0 {
        return None;
    }
    let is_block = |segment: &&Segment| segment.p_type(endian) == elf::PT_TLS && segment.p_memsz(endian) > 0;
    let block = segments.iter().rev().find(is_block)?;
    Some(StaticTls {
        size: block.p_memsz(endian),
        align: block.p_align(endian).max(1),
    })
}

/// Walks the needed versions (DT_VERNEED: one list for each library, with one entry for each version) along their links
/// until the last, as the dynamic linker does: it does not look at DT_VERNEEDNUM. Links lead only onward, and the number
/// of steps is bounded, so that lists which overlap don't cost their product.
fn newest_glibc(dynamic: &Dynamic<'_>, endian: Endianness) -> Result<Option<Glibc>, FileFault> {
    let Some(address) = dynamic.value(elf::DT_VERNEED) else {
        return Ok(None);
    };
    let broken = || FileFault::Malformed("needed versions (DT_VERNEED) outside the file".to_owned());
    let mut libraries = dynamic.at(address).ok_or_else(broken)?;
    let mut newest = None;
    let mut steps = 0..MAX_VERSIONS;
    loop {
        let (library, _) = pod::from_bytes::<Verneed<Endianness>>(libraries).map_err(|()| broken())?;
        let mut versions = onward(libraries, library.vn_aux.get(endian)).ok_or_else(broken)?;
        loop {
            if steps.next().is_none() {
                return Err(FileFault::Malformed(format!(
                    "more than {MAX_VERSIONS} needed versions"
                )));
            }
            let (version, _) = pod::from_bytes::<Vernaux<Endianness>>(versions).map_err(|()| broken())?;
            // A weak one may be missing: its symbols are then null, and the code that uses them looks.
            if !version.vna_flags.get(endian).contains(elf::VER_FLG_WEAK) {
                let name = dynamic.string(version.vna_name.get(endian).into(), MAX_VERSION_NAME, "needed version")?;
                newest = newest.max(release(name));
            }
            match version.vna_next.get(endian) {
                0 => break,
                next => versions = onward(versions, next).ok_or_else(broken)?,
            }
        }
        match library.vn_next.get(endian) {
            0 => return Ok(newest),
            next => libraries = onward(libraries, next).ok_or_else(broken)?,
        }
    }
}

/// The release that a symbol version stands for, if any: GLIBC_PRIVATE, for one, is of no release.
fn release(version: &str) -> Option<Glibc> {
    let name = version.strip_prefix("GLIBC_")?;
    match name {
        // What libraries with relative relocations in the compact form need: since 2.36, see its NEWS.
        "ABI_DT_RELR" => Glibc::parse("2.36"),
        _ => Glibc::parse(name),
    }
}

fn onward(bytes: &[u8], offset: u32) -> Option<&[u8]> {
    bytes.get(usize::try_from(offset).ok()?..)
}
