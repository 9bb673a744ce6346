//! Reads a library's dynamic section as the dynamic linker does: through the program headers, and of several entries with one
//! tag the last. elf(5), section "Dynamic tags (Dyn)". Judges nothing.

use object::elf::{self, FileHeader64};
use object::endian::Endianness;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

use super::{FileFault, malformed};

/// A 64-bit file header.
pub(super) type Header = FileHeader64<Endianness>;
/// A program header.
pub(super) type Segment = <Header as FileHeader>::ProgramHeader;
type Entry = <Header as FileHeader>::Dyn;

/// The dynamic section and what its addresses lead to.
pub(super) struct Dynamic<'a> {
    entries: &'a [Entry],
    segments: &'a [Segment],
    endian: Endianness,
    file: &'a [u8],
}

impl<'a> Dynamic<'a> {
    /// The dynamic section of a file with these program headers.
    pub(super) fn find(segments: &'a [Segment], endian: Endianness, bytes: &'a [u8]) -> Result<Dynamic<'a>, FileFault> {
        let mut entries = None;
        for segment in segments {
            if let Some(dynamic) = segment.dynamic(endian, bytes).map_err(malformed)? {
                entries = Some(dynamic);
            }
        }
        let entries = entries.ok_or_else(|| FileFault::Malformed("no dynamic section".to_owned()))?;
        Ok(Dynamic {
            entries,
            segments,
            endian,
            file: bytes,
        })
    }

    /// The value of a tag, if the section has it.
    pub(super) fn value(&self, tag: elf::DynamicTag) -> Option<u64> {
        // DT_NULL ends the section (it may have spare room behind).
        let live = self
            .entries
            .iter()
            .take_while(|entry| entry.d_tag(self.endian) != elf::DT_NULL);
        let of_tag = live.filter(|entry| entry.d_tag(self.endian) == tag);
        of_tag.last().map(|entry| entry.d_val(self.endian))
    }

    /// What the file places at an address, up to the end of the segment there.
    pub(super) fn at(&self, address: u64) -> Option<&'a [u8]> {
        let mut loaded = self.segments.iter();
        loaded.find_map(|segment| {
            if segment.p_type(self.endian) != elf::PT_LOAD {
                return None;
            }
            let offset = address.checked_sub(segment.p_vaddr(self.endian))?;
            let data = segment.data(self.endian, self.file).ok()?;
            data.get(usize::try_from(offset).ok()?..)
                .filter(|rest| !rest.is_empty())
        })
    }

    /// A text of the string table (DT_STRTAB, an address, and DT_STRSZ), of at most `longest` bytes; `what` names whose.
    pub(super) fn string(&self, offset: u64, longest: usize, what: &str) -> Result<&'a str, FileFault> {
        let bytes = self.bytes(offset, longest, what)?;
        std::str::from_utf8(bytes).map_err(|_| FileFault::Malformed(format!("a {what} that is no text")))
    }

    /// The same for what need not be UTF-8.
    pub(super) fn bytes(&self, offset: u64, longest: usize, what: &str) -> Result<&'a [u8], FileFault> {
        let (Some(address), Some(size)) = (self.value(elf::DT_STRTAB), self.value(elf::DT_STRSZ)) else {
            return Err(FileFault::Malformed(format!("a {what} without a string table")));
        };
        let text = || {
            let strings = self.at(address)?.get(..usize::try_from(size).ok()?)?;
            strings.get(usize::try_from(offset).ok()?..)
        };
        let rest = text().ok_or_else(|| FileFault::Malformed(format!("a {what} outside its string table")))?;
        match rest.iter().take(longest + 1).position(|byte| *byte == 0) {
            Some(end) => Ok(&rest[..end]),
            None if rest.len() > longest => Err(FileFault::Malformed(format!("a {what} of more than {longest} bytes"))),
            None => Err(FileFault::Malformed(format!("a {what} without an end"))),
        }
    }
}
