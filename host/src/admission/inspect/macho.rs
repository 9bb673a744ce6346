//! Reads the facts of a Mach-O dynamic library, as [`super::read`] does of an ELF file and under the same promise.
//! Source of the rules: `<mach-o/loader.h>`. A universal file (several libraries in one) is not looked into: cargo
//! writes one library for one machine.

use object::endian::Endianness;
use object::macho::{self, MachHeader64};
use object::read::elf::NoteIterator;
use object::read::macho::{LoadCommandVariant, MachHeader, Section, Segment};
use plugin_record::note;

use super::{FileFault, Inspection, MAX_SONAME, Needs, Notes, malformed};

type Header = MachHeader64<Endianness>;

/// More load commands than any linker writes; the work below is bounded by it.
const MAX_LOAD_COMMANDS: u32 = 4096;

/// Whether a file is Mach-O, for one machine or for several.
pub(super) fn is_macho(bytes: &[u8]) -> bool {
    let starts = |magic: u32| bytes.starts_with(&magic.to_be_bytes()) || bytes.starts_with(&magic.to_le_bytes());
    // As they stand in the file, whatever its byte order. Java's classes begin as universal files do, and have a
    // version where those have a small number of machines.
    starts(macho::MH_MAGIC_64)
        || starts(macho::MH_MAGIC)
        || (bytes.starts_with(&macho::FAT_MAGIC.to_be_bytes()) && bytes.get(4..7) == Some(&[0, 0, 0]))
}

/// What kind of Mach-O a file is, in the words of [`super::host_machine`].
pub(super) fn machine(bytes: &[u8]) -> String {
    let bits = match bytes {
        [0xCF, 0xFA, 0xED, 0xFE, ..] => "64-bit little-endian",
        [0xFE, 0xED, 0xFA, 0xCF, ..] => "64-bit big-endian",
        [0xCE, 0xFA, 0xED, 0xFE, ..] => "32-bit little-endian",
        [0xFE, 0xED, 0xFA, 0xCE, ..] => "32-bit big-endian",
        _ => return "Mach-O universal file".to_owned(),
    };
    let Some(&[a, b, c, d]) = bytes.get(4..8) else {
        return format!("Mach-O {bits}");
    };
    let cpu = match bytes[0] {
        0xFE => u32::from_be_bytes([a, b, c, d]),
        _ => u32::from_le_bytes([a, b, c, d]),
    };
    let cpu = match macho::CpuType(cpu) {
        macho::CPU_TYPE_X86 => "x86".to_owned(),
        macho::CPU_TYPE_X86_64 => "x86_64".to_owned(),
        macho::CPU_TYPE_ARM => "arm".to_owned(),
        macho::CPU_TYPE_ARM64 => "aarch64".to_owned(),
        macho::CPU_TYPE_POWERPC64 => "powerpc64".to_owned(),
        other => format!("machine {}", other.0),
    };
    format!("Mach-O {bits} {cpu}")
}

/// # Errors
/// When it is no complete 64-bit dynamic library.
pub(super) fn read(bytes: &[u8]) -> Result<Inspection, FileFault> {
    let machine = machine(bytes);
    if !machine.contains("64-bit") {
        return Err(FileFault::Machine(machine));
    }
    let found = bytes.len() as u64;
    let size = size_of::<Header>() as u64;
    if found < size {
        return Err(FileFault::Truncated { expected: size, found });
    }
    let header = Header::parse(bytes, 0).map_err(malformed)?;
    let endian = header.endian().map_err(malformed)?;
    check_type(header.filetype(endian))?;
    if header.ncmds(endian) > MAX_LOAD_COMMANDS {
        return Err(FileFault::Malformed(format!("{} load commands", header.ncmds(endian))));
    }
    let expected = size + u64::from(header.sizeofcmds(endian));
    if expected > found {
        return Err(FileFault::Truncated { expected, found });
    }
    let mut name = None;
    let mut notes = Notes::default();
    let mut commands = header.load_commands(endian, bytes, 0).map_err(malformed)?;
    while let Some(command) = commands.next().map_err(malformed)? {
        match command.variant().map_err(malformed)? {
            LoadCommandVariant::Segment64(segment, sections) => {
                // What linkers write last lies in a segment too, __LINKEDIT: they tell whether the end is there.
                let (offset, size) = segment.file_range(endian);
                let expected = offset.saturating_add(size);
                if expected > found {
                    return Err(FileFault::Truncated { expected, found });
                }
                for section in segment.sections(endian, sections).map_err(malformed)? {
                    let (segment_name, section_name) = note::MACHO_SECTION;
                    if section.segment_name() != segment_name.as_bytes() || section.name() != section_name.as_bytes() {
                        continue;
                    }
                    let data = section.data(endian, bytes, section.offset(endian).into());
                    let data = data.map_err(malformed)?;
                    // The section holds the same bytes as the ELF note.
                    let iterator = NoteIterator::<object::elf::FileHeader64<Endianness>>::new(endian, 4, data);
                    notes.collect(endian, iterator.map_err(malformed)?)?;
                }
            }
            LoadCommandVariant::IdDylib(id) => {
                name = Some(command.string(endian, id.dylib.name).map_err(malformed)?);
            }
            _ => {}
        }
    }
    Ok(Inspection {
        machine,
        soname: name.map(file_name).transpose()?.flatten(),
        needs: Needs::default(),
        record: notes.record(),
    })
}

fn check_type(filetype: macho::FileType) -> Result<(), FileFault> {
    match filetype {
        macho::MH_DYLIB => Ok(()),
        macho::MH_OBJECT => Err(FileFault::Type("a relocatable object")),
        macho::MH_EXECUTE => Err(FileFault::Type("an executable")),
        macho::MH_CORE => Err(FileFault::Type("a core dump")),
        _ => Err(FileFault::Type("an object of unknown type")),
    }
}

/// The last part of an install name (`@rpath/libx.1.dylib`), which takes DT_SONAME's place: before it stands where the
/// library would be looked for by those that link it.
fn file_name(install_name: &[u8]) -> Result<Option<String>, FileFault> {
    let name = install_name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    match std::str::from_utf8(name) {
        Ok("") => Ok(None),
        Ok(name) if name.len() <= MAX_SONAME => Ok(Some(name.to_owned())),
        _ => Err(FileFault::Malformed("an install name that is no file's".to_owned())),
    }
}
