//! Changes real plugin files into wrong ones: a record that says something else in an otherwise untouched library. And makes
//! files that are none.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use plugin_record::{Record, note};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::io::Errno;

use crate::cargo::succeed;
use crate::host::PATIENCE;

/// Writes a copy of a library whose record was changed. The new record must not be longer than the old one by more than
/// its description and its packages' features leave room for: those are dropped.
#[track_caller]
pub fn with_record(library: &Path, copy: &Path, change: impl FnOnce(&mut Record)) {
    with_note(library, copy, |note| {
        let mut record = note::decode(note).unwrap();
        record.description.clear();
        record.packages.iter_mut().for_each(|package| package.features.clear());
        change(&mut record);
        let mut json = serde_json::to_vec(&record).unwrap();
        let room = u32::from_le_bytes(note[4..8].try_into().unwrap()) as usize;
        assert!(
            json.len() <= room,
            "a record of {} bytes does not fit into {room}",
            json.len()
        );
        json.resize(room, b' '); // white space at the end of JSON means nothing
        let start = note.len() - room.next_multiple_of(4);
        note[start..start + room].copy_from_slice(&json);
    });
}

/// Writes a copy of a library whose note (ELF note header, owner, JSON) was changed in place.
#[track_caller]
pub fn with_note(library: &Path, copy: &Path, change: impl FnOnce(&mut [u8])) {
    let mut bytes = fs::read(library).unwrap();
    let owner = note::OWNER.as_bytes();
    // The owner's name stands 12 bytes into its note. It may stand elsewhere too, without a note around it.
    let at = (12..bytes.len() - owner.len())
        .find(|at| bytes[*at..].starts_with(owner) && bytes[at - 12..at - 8] == (owner.len() as u32 + 1).to_le_bytes())
        .expect("a note");
    let size = u32::from_le_bytes(bytes[at - 8..at - 4].try_into().unwrap()) as usize;
    let end = at + (owner.len() + 1).next_multiple_of(4) + size.next_multiple_of(4);
    change(&mut bytes[at - 12..end]);
    fs::write(copy, bytes).unwrap();
}

/// Writes a copy of a library that is another plugin or version: its record and its DT_SONAME say so. The new name and
/// the new compatibility line must be as long as the old ones.
#[track_caller]
pub fn with_identity(library: &Path, copy: &Path, name: &str, version: &str) {
    let soname = |record: &Record| format!("lib{}.so.{}\0", record.name.replace('-', "_"), record.line()).into_bytes();
    let (mut old, mut new) = (Vec::new(), Vec::new());
    with_record(library, copy, |record| {
        old = soname(record);
        record.name = name.to_owned();
        record.version = version.parse().unwrap();
        record.packages[0].name.clone_from(&record.name);
        record.packages[0].version.clone_from(&record.version);
        new = soname(record);
    });
    assert_eq!(old.len(), new.len(), "{name} {version} has a soname of another length");
    let mut bytes = fs::read(copy).unwrap();
    let at = bytes.windows(old.len()).position(|window| window == old);
    bytes[at.expect("a DT_SONAME")..][..new.len()].copy_from_slice(&new);
    fs::write(copy, bytes).unwrap();
}

/// Writes a copy of a library without symbols and debug information: a tenth of the size, for tests that need many.
#[track_caller]
pub fn stripped(library: &Path, copy: &Path) {
    succeed(Command::new("strip").arg("-s").arg(library).arg("-o").arg(copy));
}

/// Makes a named pipe: who reads it waits until somebody has written.
#[track_caller]
pub fn fifo(path: &Path) -> PathBuf {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path.to_owned()
}

/// The writing end of a pipe, once somebody reads it. Not for ever, as a plain opening would wait if the host were gone.
#[track_caller]
pub fn writer(pipe: &Path) -> File {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match open(pipe, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()) {
            Err(Errno::NXIO) if Instant::now() < deadline => std::thread::yield_now(),
            end => return File::from(end.unwrap()),
        }
    }
}
