//! The ELF note that carries a record: owner, type and description as the ELF specification lays them out ("Note
//! Section": three 32-bit words, then name and description, each padded to four bytes). On Mach-O the same bytes lie in
//! a section of their own.

use crate::{Excess, FORMAT, Record, bounds};

/// The owner of the note; the note's type is the record's format.
pub const OWNER: &str = "host-plugin";
/// The section on ELF. Linkers turn any `.note*` section into a PT_NOTE segment, which survives `strip`.
pub const ELF_SECTION: &str = ".note.plugin";
/// The section on Mach-O, segment and name; names there have at most 16 characters.
pub const MACHO_SECTION: (&str, &str) = ("__DATA", "__plugin_mf");
/// No record is larger than this many bytes; a file that claims more is not read.
pub const MAX_RECORD: usize = 1 << 20;

/// Why a note's description is not a record.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Written by another generation of plugin-build.
    #[error("record format {found}, this reader knows format {FORMAT}")]
    Format {
        /// The format that the note names.
        found: u32,
    },
    /// Larger than any record may be.
    #[error("record of {found} bytes, the limit is {MAX_RECORD}")]
    TooLarge {
        /// The size in bytes.
        found: usize,
    },
    /// With more of something than any build has.
    #[error(transparent)]
    Excess(#[from] Excess),
    /// Not what plugin-build writes.
    #[error("not readable as a record: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// The whole note, ready to be placed in its section. Its length is a multiple of four.
///
/// # Errors
/// When the record is larger than [`MAX_RECORD`], or has more of something than [`parse`] takes.
pub fn encode(record: &Record) -> Result<Vec<u8>, ParseError> {
    bounds::check(record)?;
    let json = serde_json::to_vec(record)?;
    if json.len() > MAX_RECORD {
        return Err(ParseError::TooLarge { found: json.len() });
    }
    let owner_size = OWNER.len() + 1; // with its NUL, as the specification counts it
    let mut note = Vec::with_capacity(12 + owner_size.next_multiple_of(4) + json.len().next_multiple_of(4));
    // Every target that we build for is little-endian; the reader takes the byte order from the ELF header.
    for word in [owner_size as u32, json.len() as u32, FORMAT] {
        note.extend_from_slice(&word.to_le_bytes());
    }
    note.extend_from_slice(OWNER.as_bytes());
    note.resize(12 + owner_size.next_multiple_of(4), 0);
    note.extend_from_slice(&json);
    note.resize(note.len().next_multiple_of(4), 0);
    Ok(note)
}

/// The record in a note's description.
///
/// # Errors
/// See [`ParseError`]; never panics, and allocates no more than a small multiple of the description's length.
pub fn parse(format: u32, description: &[u8]) -> Result<Record, ParseError> {
    if format != FORMAT {
        return Err(ParseError::Format { found: format });
    }
    if description.len() > MAX_RECORD {
        return Err(ParseError::TooLarge {
            found: description.len(),
        });
    }
    let record = serde_json::from_slice(description)?;
    bounds::check(&record)?;
    Ok(record)
}

/// The record in a whole note as [`encode`] writes it; for the host, which holds its own.
///
/// # Errors
/// As [`parse`]; [`ParseError::Malformed`] also where the bytes are no such note.
pub fn decode(note: &[u8]) -> Result<Record, ParseError> {
    let word = |at: usize| {
        note.get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_le_bytes)
    };
    let description = match (word(0), word(4), word(8)) {
        (Some(owner), Some(size), Some(format)) => {
            let start = (owner as usize)
                .checked_next_multiple_of(4)
                .and_then(|owner| owner.checked_add(12));
            let bytes = start.and_then(|start| note.get(start..start.checked_add(size as usize)?));
            bytes.map(|bytes| (format, bytes))
        }
        _ => None,
    };
    match description {
        Some((format, bytes)) => parse(format, bytes),
        None => parse(FORMAT, &[]),
    }
}
