//! Reads the facts of an ELF shared object, as [`super::read`] promises. Source of the rules: the ELF specification,
//! elf(5).

use object::elf;
use object::endian::Endianness;
use object::read::elf::{FileHeader, ProgramHeader};
use plugin_record::{Record, note};

use super::dynamic::{Dynamic, Header, Segment};
use super::{FileFault, Inspection, MAX_SONAME, Needs, Notes, RecordFault, malformed};

/// More program headers than any linker writes; the work below is bounded by it.
const MAX_PROGRAM_HEADERS: usize = 256;

const HOST_MACHINE: u16 = if cfg!(target_arch = "x86_64") {
    elf::EM_X86_64.0
} else if cfg!(target_arch = "aarch64") {
    elf::EM_AARCH64.0
} else if cfg!(target_arch = "riscv64") {
    elf::EM_RISCV.0
} else {
    panic!("plugins are not supported on this architecture yet: add its ELF machine number here")
};

/// Whether a file starts as ELF files do.
pub(super) fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(&elf::ELFMAG)
}

/// The machine that this host runs on, were its files ELF.
pub(super) fn host_machine() -> String {
    machine_name(2, if cfg!(target_endian = "little") { 1 } else { 2 }, HOST_MACHINE)
}

/// # Errors
/// When it is no complete 64-bit shared object.
pub(super) fn read(bytes: &[u8]) -> Result<Inspection, FileFault> {
    let machine = machine(bytes)?;
    if bytes[4] != elf::ELFCLASS64.0 {
        return Err(FileFault::Machine(machine));
    }
    let (expected, found) = (size_of::<Header>() as u64, bytes.len() as u64);
    if found < expected {
        return Err(FileFault::Truncated { expected, found });
    }
    let header = Header::parse(bytes).map_err(malformed)?;
    let endian = header.endian().map_err(malformed)?;
    check_type(header.e_type(endian))?;
    check_complete(header, endian, bytes)?;
    let segments = header.program_headers(endian, bytes).map_err(malformed)?;
    let dynamic = Dynamic::find(segments, endian, bytes)?;
    check_flags(&dynamic)?;
    Ok(Inspection {
        machine,
        soname: soname(&dynamic)?,
        needs: Needs::read(segments, &dynamic, endian)?,
        record: record(segments, endian, bytes)?,
    })
}

/// The machine that a file is for, whole or not.
pub(super) fn machine(bytes: &[u8]) -> Result<String, FileFault> {
    // e_ident[EI_CLASS], e_ident[EI_DATA], and e_machine, which lies at 18 in both classes.
    let (Some(&class), Some(&data), Some(machine)) = (bytes.get(4), bytes.get(5), bytes.get(18..20)) else {
        return Err(FileFault::Truncated {
            expected: 64,
            found: bytes.len() as u64,
        });
    };
    let machine = [machine[0], machine[1]];
    let machine = if data == 2 {
        u16::from_be_bytes(machine)
    } else {
        u16::from_le_bytes(machine)
    };
    Ok(machine_name(class, data, machine))
}

fn machine_name(class: u8, data: u8, machine: u16) -> String {
    let bits = match class {
        1 => "32-bit".to_owned(),
        2 => "64-bit".to_owned(),
        other => format!("class {other}"),
    };
    let order = match data {
        1 => "little-endian".to_owned(),
        2 => "big-endian".to_owned(),
        other => format!("data encoding {other}"),
    };
    let machine = match elf::Machine(machine) {
        elf::EM_386 => "x86".to_owned(),
        elf::EM_X86_64 => "x86_64".to_owned(),
        elf::EM_ARM => "arm".to_owned(),
        elf::EM_AARCH64 => "aarch64".to_owned(),
        elf::EM_RISCV => "riscv".to_owned(),
        elf::EM_PPC64 => "powerpc64".to_owned(),
        elf::EM_S390 => "s390".to_owned(),
        other => format!("machine {}", other.0),
    };
    format!("ELF {bits} {order} {machine}")
}

fn check_type(e_type: elf::FileType) -> Result<(), FileFault> {
    match e_type {
        elf::ET_DYN => Ok(()),
        elf::ET_REL => Err(FileFault::Type("a relocatable object")),
        elf::ET_EXEC => Err(FileFault::Type("an executable")),
        elf::ET_CORE => Err(FileFault::Type("a core dump")),
        _ => Err(FileFault::Type("an object of unknown type")),
    }
}

/// What the file itself says of opening it.
fn check_flags(dynamic: &Dynamic<'_>) -> Result<(), FileFault> {
    let flags = dynamic.value(elf::DT_FLAGS_1).unwrap_or(0);
    if flags & elf::DF_1_PIE.0 != 0 {
        return Err(FileFault::Type("an executable")); // one that can be placed anywhere has ET_DYN, as libraries have
    }
    if flags & elf::DF_1_NOOPEN.0 != 0 {
        return Err(FileFault::Type("a library that is not to be opened (DF_1_NOOPEN)"));
    }
    Ok(())
}

/// Everything that the headers place in the file must lie in it. The section headers, which nothing below needs, are
/// what linkers write last: they tell whether the end is there.
fn check_complete(header: &Header, endian: Endianness, bytes: &[u8]) -> Result<(), FileFault> {
    let mut expected = 0u64;
    let mut extend = |offset: u64, size: u64| {
        expected = expected.max(offset.saturating_add(size));
    };
    let table = |entries: u16, entry: u16| u64::from(entries) * u64::from(entry);
    if header.e_phoff(endian) != 0 {
        extend(
            header.e_phoff(endian),
            table(header.e_phnum(endian), header.e_phentsize(endian)),
        );
    }
    if header.e_shoff(endian) != 0 {
        extend(
            header.e_shoff(endian),
            table(header.e_shnum(endian), header.e_shentsize(endian)),
        );
    }
    let found = bytes.len() as u64;
    if expected > found {
        return Err(FileFault::Truncated { expected, found });
    }
    let segments = header.program_headers(endian, bytes).map_err(malformed)?;
    if segments.len() > MAX_PROGRAM_HEADERS {
        return Err(FileFault::Malformed(format!("{} program headers", segments.len())));
    }
    for segment in segments {
        let end = segment.p_offset(endian).saturating_add(segment.p_filesz(endian));
        if end > found {
            return Err(FileFault::Truncated { expected: end, found });
        }
    }
    Ok(())
}

fn soname(dynamic: &Dynamic<'_>) -> Result<Option<String>, FileFault> {
    let Some(offset) = dynamic.value(elf::DT_SONAME) else {
        return Ok(None);
    };
    match dynamic.string(offset, MAX_SONAME, "DT_SONAME")? {
        "" => Ok(None), // an empty name is none
        name => Ok(Some(name.to_owned())),
    }
}

/// The record, found through the program headers: those survive the loss of the section headers.
fn record(segments: &[Segment], endian: Endianness, bytes: &[u8]) -> Result<Result<Record, RecordFault>, FileFault> {
    let mut found = Notes::default();
    for segment in segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_NOTE) {
        // Other notes are small; a segment that holds more than a record at its largest holds none.
        if segment.p_filesz(endian) > (note::MAX_RECORD + 65536) as u64 {
            continue;
        }
        let Some(notes) = segment.notes(endian, bytes).map_err(malformed)? else {
            continue;
        };
        found.collect(endian, notes)?;
    }
    Ok(found.record())
}
