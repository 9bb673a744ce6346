//! Reads a library's facts without running any of it: what machine it is for, whether it is whole, its DT_SONAME and
//! its record. ELF is read here, Mach-O in `macho.rs`; the file's first bytes say which it is. Takes nothing for granted: whatever the bytes, it neither panics nor loops nor allocates beyond a small
//! multiple of the record's limit. Source of the rules: the ELF specification, elf(5).

mod macho;

use object::elf::{self, FileHeader64};
use object::endian::Endianness;
use object::read::elf::{Dyn, FileHeader, NoteIterator, ProgramHeader};
use plugin_record::Record;
use plugin_record::note::{self, ParseError};

use super::name::Platform;

type Header = FileHeader64<Endianness>;

/// More program headers than any linker writes; the work below is bounded by it.
const MAX_PROGRAM_HEADERS: usize = 256;
/// More notes than any linker writes, of all owners.
const MAX_NOTES: usize = 4096;
/// A name longer than the file systems allow is no name.
const MAX_SONAME: usize = 255;

/// What a shared object says of itself.
#[derive(Debug)]
pub struct Inspection {
    /// The machine it is for, as [`host_machine`] names machines.
    pub machine: String,
    /// DT_SONAME, if it has one; of Mach-O the file name in the install name (LC_ID_DYLIB).
    pub soname: Option<String>,
    /// Its record, or why there is none.
    pub record: Result<Record, RecordFault>,
}

/// Why a file is not a shared object for this machine.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// No bytes.
    #[error("an empty file")]
    Empty,
    /// Not of this system's format.
    #[error("{0}")]
    Format(String),
    /// Another machine's.
    #[error("{0}")]
    Machine(String),
    /// Not ET_DYN or MH_DYLIB.
    #[error("{0}")]
    Type(&'static str),
    /// Parts that its headers name lie beyond its end.
    #[error("{found} bytes, cut off")]
    Truncated {
        /// How many bytes the headers speak of.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// Headers that contradict themselves.
    #[error("{0}")]
    Malformed(String),
}

/// Why a shared object has no usable record.
#[derive(Debug, thiserror::Error)]
pub enum RecordFault {
    /// No note of ours.
    #[error("no record")]
    Missing,
    /// Several.
    #[error("several records")]
    Duplicate,
    /// One that can't be read.
    #[error(transparent)]
    Unreadable(#[from] ParseError),
}

/// Reads the facts of a file that this machine could load.
///
/// # Errors
/// When it is no complete shared object for this machine.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, FileFault> {
    let found = machine(bytes)?;
    let is_ours = macho::is_macho(bytes) == (Platform::HOST == Platform::MachO);
    match found == host_machine() {
        true => read(bytes),
        false if is_ours => Err(FileFault::Machine(found)),
        false => Err(FileFault::Format(found)),
    }
}

/// Reads the facts of a 64-bit file for whatever machine.
///
/// # Errors
/// When it is no complete shared object.
pub fn read(bytes: &[u8]) -> Result<Inspection, FileFault> {
    let machine = machine(bytes)?;
    if macho::is_macho(bytes) {
        return macho::read(bytes);
    }
    if bytes[4] != elf::ELFCLASS64.0 {
        return Err(FileFault::Machine(machine));
    }
    if bytes.len() < size_of::<Header>() {
        return Err(FileFault::Truncated {
            expected: size_of::<Header>() as u64,
            found: bytes.len() as u64,
        });
    }
    let header = Header::parse(bytes).map_err(malformed)?;
    let endian = header.endian().map_err(malformed)?;
    check_type(header.e_type(endian))?;
    check_complete(header, endian, bytes)?;
    let segments = header.program_headers(endian, bytes).map_err(malformed)?;
    Ok(Inspection {
        machine,
        soname: soname(segments, endian, bytes)?,
        record: record(segments, endian, bytes)?,
    })
}

/// The machine that this host runs on, as [`inspect`] names machines.
pub fn host_machine() -> String {
    let elf = machine_name(2, if cfg!(target_endian = "little") { 1 } else { 2 }, HOST_MACHINE);
    match Platform::HOST {
        Platform::Elf => elf,
        Platform::MachO => elf.replacen("ELF", "Mach-O", 1),
    }
}

const HOST_MACHINE: u16 = if cfg!(target_arch = "x86_64") {
    elf::EM_X86_64.0
} else if cfg!(target_arch = "aarch64") {
    elf::EM_AARCH64.0
} else if cfg!(target_arch = "riscv64") {
    elf::EM_RISCV.0
} else {
    panic!("plugins are not supported on this architecture yet: add its ELF machine number here")
};

fn machine(bytes: &[u8]) -> Result<String, FileFault> {
    if bytes.is_empty() {
        return Err(FileFault::Empty);
    }
    if macho::is_macho(bytes) {
        return Ok(macho::machine(bytes));
    }
    if !bytes.starts_with(b"\x7fELF") {
        return Err(FileFault::Format(describe_start(bytes)));
    }
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

fn describe_start(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(16)];
    if start.starts_with(b"MZ") {
        "a PE file".to_owned()
    } else if std::str::from_utf8(start).is_ok_and(|text| !text.contains('\0')) {
        format!("a text file that starts with {:?}", String::from_utf8_lossy(start))
    } else {
        format!("a file that starts with {start:02x?}")
    }
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

type Segment = <Header as FileHeader>::ProgramHeader;

/// DT_SONAME: an offset (value) into the string table (DT_STRTAB, an address, and DT_STRSZ).
fn soname(segments: &[Segment], endian: Endianness, bytes: &[u8]) -> Result<Option<String>, FileFault> {
    let mut entries = None;
    for segment in segments {
        if let Some(dynamic) = segment.dynamic(endian, bytes).map_err(malformed)? {
            entries = Some(dynamic);
        }
    }
    let Some(entries) = entries else {
        return Err(FileFault::Malformed("no dynamic section".to_owned()));
    };
    let value = |tag: elf::DynamicTag| {
        let is_tag = |entry: &&_| Dyn::d_tag(*entry, endian) == tag;
        // DT_NULL ends the section (it may have spare room behind).
        let mut live = entries.iter().take_while(|entry| entry.d_tag(endian) != elf::DT_NULL);
        live.find(is_tag).map(|entry| entry.d_val(endian))
    };
    let Some(offset) = value(elf::DT_SONAME) else {
        return Ok(None);
    };
    let (Some(address), Some(size)) = (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) else {
        return Err(FileFault::Malformed("a DT_SONAME without a string table".to_owned()));
    };
    let strings = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_LOAD)
        .find_map(|segment| segment.data_range(endian, bytes, address, size).ok().flatten());
    let name = strings
        .and_then(|strings| strings.get(usize::try_from(offset).ok()?..))
        .and_then(|rest| {
            rest.iter()
                .take(MAX_SONAME + 1)
                .position(|byte| *byte == 0)
                .map(|end| &rest[..end])
        });
    match name.map(std::str::from_utf8) {
        Some(Ok("")) => Ok(None), // an empty name is none
        Some(Ok(name)) => Ok(Some(name.to_owned())),
        _ => Err(FileFault::Malformed("a DT_SONAME outside its string table".to_owned())),
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

/// The notes of a file that may hold its record.
#[derive(Default)]
struct Notes<'a> {
    /// Format and description of those of our owner.
    ours: Vec<(u32, &'a [u8])>,
    /// How many notes there were, of all owners.
    seen: usize,
}

impl<'a> Notes<'a> {
    fn collect(&mut self, endian: Endianness, mut notes: NoteIterator<'a, Header>) -> Result<(), FileFault> {
        while let Some(note) = notes.next().map_err(malformed)? {
            self.seen += 1;
            if self.seen > MAX_NOTES {
                return Err(FileFault::Malformed(format!("more than {MAX_NOTES} notes")));
            }
            // One note may lie in several segments.
            let known = |(_, description): &(u32, &[u8])| description.as_ptr() == note.desc().as_ptr();
            if note.name() == note::OWNER.as_bytes() && !self.ours.iter().any(known) {
                self.ours.push((note.n_type(endian).0, note.desc()));
            }
        }
        Ok(())
    }

    fn record(&self) -> Result<Record, RecordFault> {
        match self.ours.as_slice() {
            [] => Err(RecordFault::Missing),
            [(format, description)] => note::parse(*format, description).map_err(RecordFault::from),
            [..] => Err(RecordFault::Duplicate),
        }
    }
}

fn malformed(error: object::read::Error) -> FileFault {
    FileFault::Malformed(error.to_string())
}
