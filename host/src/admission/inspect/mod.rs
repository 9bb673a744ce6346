//! Reads a library's facts without running any of it: the machine that it is for, whether it is whole, its soname, what it
//! asks of the system, and its record. Its first bytes say whether it is ELF or Mach-O. Judges nothing.
//!
//! Trusts nothing: whatever the bytes, it neither panics nor loops nor allocates beyond a small multiple of the record's
//! limit.

mod dynamic;
mod elf;
mod macho;
mod needs;

use object::elf::FileHeader64;
use object::endian::Endianness;
use object::read::elf::NoteIterator;
use plugin_record::Record;
use plugin_record::note::{self, ParseError};

pub use self::needs::Needs;
use super::names::Platform;

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
    /// What it asks of the system. Not looked for in Mach-O.
    pub needs: Needs,
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
    machine(bytes)?;
    match macho::is_macho(bytes) {
        true => macho::read(bytes),
        false => elf::read(bytes),
    }
}

/// The machine that this host runs on, as [`Inspection::machine`] names machines.
pub fn host_machine() -> String {
    match Platform::HOST {
        Platform::Elf => elf::host_machine(),
        Platform::MachO => elf::host_machine().replacen("ELF", "Mach-O", 1),
    }
}

/// The machine that a file is for, whole or not.
fn machine(bytes: &[u8]) -> Result<String, FileFault> {
    if bytes.is_empty() {
        Err(FileFault::Empty)
    } else if macho::is_macho(bytes) {
        Ok(macho::machine(bytes))
    } else if elf::is_elf(bytes) {
        elf::machine(bytes)
    } else {
        Err(FileFault::Format(describe_start(bytes)))
    }
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

/// The notes of a file that may hold its record.
#[derive(Default)]
struct Notes<'a> {
    /// Format and description of those of our owner.
    ours: Vec<(u32, &'a [u8])>,
    /// How many notes there were, of all owners.
    seen: usize,
}

impl<'a> Notes<'a> {
    fn collect(
        &mut self,
        endian: Endianness,
        mut notes: NoteIterator<'a, FileHeader64<Endianness>>,
    ) -> Result<(), FileFault> {
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
