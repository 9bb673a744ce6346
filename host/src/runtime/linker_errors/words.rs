//! What the dynamic linker's words mean. It gives no error numbers: dlerror(3) has a text alone, whose words tell a missing
//! library from a missing symbol, and the file's fault from the machine's. Pure.
//!
//! Source of the texts: those of glibc (elf/dl-load.c, dl-lookup.c, dl-version.c, dl-reloc.c) and of musl (ldso/dynlink.c).
//! glibc writes `OBJECT: WHAT[: STRERROR]`.

use rustix::io::Errno;

use crate::unavailable::Shortage;

/// What is wrong, as far as the words tell. A name is that of the library that they are about, if it is not the plugin's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault<'a> {
    /// The machine's, and no verdict on the file.
    Shortage(Shortage),
    LibraryMissing(&'a str),
    LibraryDenied(&'a str),
    Symbol(Option<&'a str>, &'a str),
    /// Of a symbol version: its name, and the library that should have it.
    Version(&'a str, &'a str),
    StaticTls(Option<&'a str>),
    /// No library of this machine, or a damaged one.
    Format(Option<&'a str>),
    /// It may not be executed where it lies, there is no memory for it, or its headers ask for the impossible: glibc's words
    /// are the same.
    NotMapped(Option<&'a str>),
    ExecutableStack(Option<&'a str>),
    TextRelocations(Option<&'a str>),
    /// Built for a newer processor.
    Processor(Option<&'a str>),
    Unknown,
}

/// The words taken apart; `copy` is the private copy's path.
pub(super) fn fault<'a>(words: &'a str, copy: &str) -> Fault<'a> {
    if let Some(lack) = lack(words) {
        return Fault::Shortage(lack);
    }
    of_glibc(words, copy)
        .or_else(|| of_musl(words, copy))
        .unwrap_or(Fault::Unknown)
}

fn of_glibc<'a>(words: &'a str, copy: &str) -> Option<Fault<'a>> {
    let (object, what) = object(words, copy)?;
    let is = |beginnings: &[&str]| beginnings.iter().any(|beginning| what.starts_with(beginning));
    let ends = |errno: Errno| what.ends_with(&strerror(errno));
    Some(if is(&["cannot open shared object file"]) {
        match object {
            Some(name) if ends(Errno::ACCESS) => Fault::LibraryDenied(name),
            Some(name) => Fault::LibraryMissing(name),
            None => Fault::Shortage(Shortage::Staging),
        }
    } else if let Some(symbol) = what.strip_prefix("undefined symbol: ") {
        Fault::Symbol(object, symbol)
    } else if let Some((version, library)) = what
        .split_once(", version ")
        .filter(|_| what.starts_with("symbol "))
        .and_then(|(_, rest)| rest.split_once(" not defined in file "))
    {
        Fault::Version(version, library.split(' ').next().unwrap_or(library))
    } else if let Some((version, _)) = what
        .strip_prefix("version `")
        .and_then(|rest| rest.split_once("' not found"))
    {
        Fault::Version(version, object.unwrap_or("it"))
    } else if is(&[
        "cannot allocate memory in static TLS block",
        "cannot load any more object with static TLS",
    ]) {
        Fault::StaticTls(object)
    } else if is(&["cannot enable executable stack"]) {
        Fault::ExecutableStack(object)
    } else if is(&["cannot make segment writable for relocation"]) {
        Fault::TextRelocations(object)
    } else if is(&["CPU ISA level is lower than required"]) {
        Fault::Processor(object)
    } else if is(&["failed to map segment"]) {
        Fault::NotMapped(object)
    } else if is(&[
        "file too short",
        "invalid ELF header",
        "wrong ELF class",
        "ELF file",
        "ELF load command",
        "nonzero padding in e_ident",
        "only ET_DYN and ET_EXEC",
        "object file has no",
        "cannot read file data",
        "cannot dynamically load",
        "shared object cannot be dlopen",
        "unexpected reloc type",
        "unsupported reloc",
    ]) {
        Fault::Format(object)
    } else {
        return None;
    })
}

/// What stands before a colon, if it is not the copy; and what follows.
fn object<'a>(words: &'a str, copy: &str) -> Option<(Option<&'a str>, &'a str)> {
    // A path may contain what parts it from the rest; the copy's is known.
    match words.strip_prefix(copy).and_then(|rest| rest.strip_prefix(": ")) {
        Some(what) => Some((None, what)),
        None => words.split_once(": ").map(|(object, what)| (Some(object), what)),
    }
}

fn of_musl<'a>(words: &'a str, copy: &str) -> Option<Fault<'a>> {
    if let Some(rest) = words.strip_prefix("Error loading shared library ") {
        let (name, why) = object(rest, copy)?;
        let why = why.split(" (needed by ").next().unwrap_or(why);
        let is = |errno: Errno| why == strerror(errno) || why.starts_with(&format!("{}:", strerror(errno)));
        return Some(match name {
            name if is(Errno::NOEXEC) => Fault::Format(name),
            Some(name) if is(Errno::ACCESS) => Fault::LibraryDenied(name),
            Some(name) => Fault::LibraryMissing(name),
            None => return None,
        });
    }
    let (object, what) = object(words.strip_prefix("Error relocating ")?, copy)?;
    if let Some(symbol) = what.strip_suffix(": symbol not found") {
        Some(Fault::Symbol(object, symbol))
    } else if what.contains("initial-exec TLS resolves to dynamic definition") {
        Some(Fault::StaticTls(object))
    } else if what.starts_with("unsupported relocation") {
        Some(Fault::Format(object))
    } else {
        None
    }
}

/// What the machine lacks: the words end with what strerror(3) says.
fn lack(words: &str) -> Option<Shortage> {
    let words = words.split(" (needed by ").next().unwrap_or(words);
    let is = |errno: Errno| words.ends_with(&format!(": {}", strerror(errno)));
    [
        (Errno::NOMEM, Shortage::Memory),
        (Errno::MFILE, Shortage::Descriptors),
        (Errno::NFILE, Shortage::Descriptors),
        (Errno::IO, Shortage::Device),
    ]
    .into_iter()
    .find_map(|(errno, lack)| is(errno).then_some(lack))
}

/// The system's text for an error number, without the number.
fn strerror(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COPY: &str = "/run/host: 1/x-1.0.0-abc.so";

    // Long: a table of cases.
    #[test]
    fn the_words_of_glibc_are_known() {
        for (words, expected) in [
            (
                "libz.so.1: cannot open shared object file: No such file or directory",
                Fault::LibraryMissing("libz.so.1"),
            ),
            (
                "libz.so.1: cannot open shared object file: Permission denied",
                Fault::LibraryDenied("libz.so.1"),
            ),
            (
                "COPY: cannot open shared object file: Permission denied",
                Fault::Shortage(Shortage::Staging),
            ),
            (
                "COPY: cannot open shared object file: Too many open files",
                Fault::Shortage(Shortage::Descriptors),
            ),
            (
                "COPY: cannot create shared object descriptor: Cannot allocate memory",
                Fault::Shortage(Shortage::Memory),
            ),
            (
                "COPY: cannot read file data: Input/output error",
                Fault::Shortage(Shortage::Device),
            ),
            ("COPY: undefined symbol: nowhere", Fault::Symbol(None, "nowhere")),
            (
                "COPY: undefined symbol: old, version V1",
                Fault::Symbol(None, "old, version V1"),
            ),
            (
                "/lib/libb.so: undefined symbol: in_b",
                Fault::Symbol(Some("/lib/libb.so"), "in_b"),
            ),
            (
                "/lib/libc.so.6: version `GLIBC_2.99' not found (required by COPY)",
                Fault::Version("GLIBC_2.99", "/lib/libc.so.6"),
            ),
            (
                "COPY: symbol f, version V2 not defined in file libf.so.1 with link time reference",
                Fault::Version("V2", "libf.so.1"),
            ),
            (
                "COPY: cannot allocate memory in static TLS block",
                Fault::StaticTls(None),
            ),
            (
                "liba.so: cannot allocate memory in static TLS block",
                Fault::StaticTls(Some("liba.so")),
            ),
            (
                "COPY: failed to map segment from shared object: Operation not permitted",
                Fault::NotMapped(None),
            ),
            (
                "COPY: failed to map segment from shared object: Cannot allocate memory",
                Fault::Shortage(Shortage::Memory),
            ),
            (
                "/lib/liba.so: failed to map segment from shared object",
                Fault::NotMapped(Some("/lib/liba.so")),
            ),
            (
                "/lib/liba.so: wrong ELF class: ELFCLASS32",
                Fault::Format(Some("/lib/liba.so")),
            ),
            ("COPY: ELF load command alignment not page-aligned", Fault::Format(None)),
            ("/lib/liba.so: file too short", Fault::Format(Some("/lib/liba.so"))),
            (
                "liba.so: cannot enable executable stack as shared object requires: Invalid argument",
                Fault::ExecutableStack(Some("liba.so")),
            ),
            (
                "liba.so: cannot make segment writable for relocation: Permission denied",
                Fault::TextRelocations(Some("liba.so")),
            ),
            ("COPY: CPU ISA level is lower than required", Fault::Processor(None)),
            ("COPY: something new", Fault::Unknown),
            ("", Fault::Unknown),
        ] {
            let words = words.replace("COPY", COPY);
            assert_eq!(fault(&words, COPY), expected, "{words}");
        }
    }

    #[test]
    fn the_words_of_musl_are_known() {
        for (words, expected) in [
            (
                "Error loading shared library libz.so.1: No such file or directory (needed by COPY)",
                Fault::LibraryMissing("libz.so.1"),
            ),
            (
                "Error loading shared library COPY: Exec format error",
                Fault::Format(None),
            ),
            (
                "Error relocating COPY: nowhere: symbol not found",
                Fault::Symbol(None, "nowhere"),
            ),
            (
                "Error relocating COPY: buffer: initial-exec TLS resolves to dynamic definition in COPY",
                Fault::StaticTls(None),
            ),
            (
                "Error relocating COPY: unsupported relocation type 37",
                Fault::Format(None),
            ),
        ] {
            let words = words.replace("COPY", COPY);
            assert_eq!(fault(&words, COPY), expected, "{words}");
        }
    }
}
