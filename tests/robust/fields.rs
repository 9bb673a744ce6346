//! Where the fields of a file lie: those of every header that a reader looks at.

/// A place in a file, and the width of the number there.
pub(crate) type Field = (usize, usize);

/// The ELF header, all program headers, all dynamic entries, all needed versions, and the headers of all notes.
pub(crate) fn elf(bytes: &[u8]) -> Vec<Field> {
    let header = [
        (0, 4),
        (4, 1),
        (5, 1),
        (6, 1),
        (7, 1),
        (8, 1),
        (16, 2),
        (18, 2),
        (20, 4),
        (24, 8),
        (32, 8),
        (40, 8),
        (48, 4),
        (52, 2),
        (54, 2),
        (56, 2),
        (58, 2),
        (60, 2),
        (62, 2),
    ];
    let mut fields: Vec<Field> = header.to_vec();
    let count = number(bytes, (56, 2));
    for segment in (0..count).map(|index| number(bytes, (32, 8)) + 56 * index) {
        let places = [(0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 8), (48, 8)];
        fields.extend(places.map(|(at, width)| (segment + at, width)));
        let (kind, start, size) = (
            number(bytes, (segment, 4)),
            number(bytes, (segment + 8, 8)),
            number(bytes, (segment + 32, 8)),
        );
        match kind {
            2 => {
                // PT_DYNAMIC
                fields.extend((start..start + size).step_by(8).map(|at| (at, 8)));
                fields.extend(versions(bytes, (start..start + size).step_by(16)));
            }
            4 => fields.extend(notes(bytes, start, start + size)), // PT_NOTE
            _ => {}
        }
    }
    fields.sort_unstable();
    fields.dedup();
    fields
}

/// Every word of the header and the load commands, and the headers of all notes.
pub(crate) fn macho(bytes: &[u8]) -> Vec<Field> {
    let commands_end = 32 + number(bytes, (20, 4));
    let mut fields: Vec<Field> = (0..commands_end).step_by(4).map(|at| (at, 4)).collect();
    fields.extend((32..commands_end).step_by(8).map(|at| (at, 8)));
    fields.extend(notes(bytes, commands_end, bytes.len()));
    fields
}

/// Every field of the needed versions. Their address is their place: they lie in the first loaded segment.
fn versions(bytes: &[u8], mut entries: impl Iterator<Item = usize>) -> Vec<Field> {
    let entry = entries.find(|at| number(bytes, (*at, 8)) == 0x6FFF_FFFE); // DT_VERNEED
    let mut library = number(bytes, (entry.expect("needed versions") + 8, 8));
    let mut fields = Vec::new();
    loop {
        let mut version = library + number(bytes, (library + 8, 4));
        fields.extend([(0, 2), (2, 2), (4, 4), (8, 4), (12, 4)].map(|(at, width)| (library + at, width)));
        loop {
            fields.extend([(0, 4), (4, 2), (6, 2), (8, 4), (12, 4)].map(|(at, width)| (version + at, width)));
            match number(bytes, (version + 12, 4)) {
                0 => break,
                next => version += next,
            }
        }
        match number(bytes, (library + 12, 4)) {
            0 => return fields,
            next => library += next,
        }
    }
}

/// The three words of each note, and its name.
fn notes(bytes: &[u8], mut at: usize, end: usize) -> Vec<Field> {
    let mut fields = Vec::new();
    while at + 12 <= end {
        fields.extend([(at, 4), (at + 4, 4), (at + 8, 4), (at + 12, 4)]);
        let sizes = [number(bytes, (at, 4)), number(bytes, (at + 4, 4))];
        at += 12 + sizes.iter().map(|size| size.next_multiple_of(4)).sum::<usize>();
    }
    fields
}

fn number(bytes: &[u8], (at, width): Field) -> usize {
    let mut word = [0; 8];
    word[..width].copy_from_slice(&bytes[at..at + width]);
    usize::try_from(u64::from_le_bytes(word)).unwrap()
}

/// What a number is set to: the ends of its range, the signs' turn, and what lies about the file's end.
pub(crate) fn extremes(length: usize) -> [u64; 20] {
    let length = length as u64;
    [
        0,
        1,
        2,
        3,
        4,
        7,
        8,
        255,
        256,
        0x7FFF,
        0xFFFF,
        0x7FFF_FFFF,
        0x8000_0000,
        0xFFFF_FFFF,
        1 << 63,
        u64::MAX - 7,
        u64::MAX,
        length - 1,
        length,
        length + 1,
    ]
}
