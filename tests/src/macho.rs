//! Writes Mach-O dynamic libraries, with no code in them: what is read of them is their headers, install name and record.
//! Source of the layout: `<mach-o/loader.h>`.

pub const X86_64: u32 = 0x0100_0007;
pub const AARCH64: u32 = 0x0100_000C;
/// The type of a dynamic library.
pub const DYLIB: u32 = 6;

/// A 64-bit little-endian file of this type with one segment, whose sections are these: segment, name and content each.
pub fn file(cpu: u32, filetype: u32, install_name: Option<&str>, sections: &[(&str, &str, &[u8])]) -> Vec<u8> {
    const HEADER: usize = 32;
    let segment_size = 72 + 80 * sections.len();
    let id = install_name.map(id_dylib).unwrap_or_default();
    let commands = segment_size + id.len();
    let mut content_at = HEADER + commands;
    let content: usize = sections.iter().map(|(.., bytes)| bytes.len()).sum();

    let mut file = Vec::new();
    let count = 1 + u32::from(install_name.is_some());
    // mach_header_64: magic, cputype, cpusubtype, filetype, ncmds, sizeofcmds, flags, reserved
    words(&mut file, &[0xFEED_FACF, cpu, 0, filetype, count, size(commands), 0, 0]);
    // segment_command_64: LC_SEGMENT_64, cmdsize, segname, vmaddr, vmsize, fileoff, filesize, protections, nsects, flags
    words(&mut file, &[0x19, size(segment_size)]);
    name(&mut file, "__DATA");
    let end = (content_at + content) as u64;
    file.extend([0, end, 0, end].iter().flat_map(|word: &u64| word.to_le_bytes()));
    words(&mut file, &[3, 3, size(sections.len()), 0]);
    for (segment, section, bytes) in sections {
        // section_64: sectname, segname, addr, size, offset, align, reloff, nreloc, flags, reserved1 to reserved3
        name(&mut file, section);
        name(&mut file, segment);
        let place = [content_at as u64, bytes.len() as u64];
        file.extend(place.iter().flat_map(|word| word.to_le_bytes()));
        words(&mut file, &[size(content_at), 2, 0, 0, 0, 0, 0, 0]);
        content_at += bytes.len();
    }
    file.extend(id);
    sections.iter().for_each(|(.., bytes)| file.extend_from_slice(bytes));
    file
}

/// The dynamic library that a plugin with this record is on macOS.
pub fn plugin(cpu: u32, install_name: &str, note: &[u8]) -> Vec<u8> {
    let (segment, section) = plugin_record::note::MACHO_SECTION;
    file(cpu, DYLIB, Some(install_name), &[(segment, section, note)])
}

/// dylib_command: LC_ID_DYLIB, cmdsize, where the name starts, timestamp, versions
fn id_dylib(name: &str) -> Vec<u8> {
    let length = (24 + name.len() + 1).next_multiple_of(8);
    let mut command = Vec::new();
    words(&mut command, &[0xD, size(length), 24, 0, 0x1_0000, 0x1_0000]);
    command.extend_from_slice(name.as_bytes());
    command.resize(length, 0);
    command
}

fn words(file: &mut Vec<u8>, words: &[u32]) {
    file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}

fn name(file: &mut Vec<u8>, name: &str) {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    file.extend(bytes);
}

fn size(size: usize) -> u32 {
    u32::try_from(size).unwrap()
}
