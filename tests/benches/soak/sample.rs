//! What the host has of the machine at one moment.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::scene::Scene;

pub(crate) struct Sample {
    pub(crate) name: &'static str,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
    pub(crate) threads: usize,
    pub(crate) descriptors: usize,
    /// Private copies.
    pub(crate) staged: usize,
    /// Plugin libraries that are mapped, all of which stay.
    pub(crate) libraries: usize,
    /// What of the resident memory is theirs, in bytes; the rest is the allocator's, for the most part.
    pub(crate) of_libraries: u64,
}

impl Sample {
    pub(crate) fn take(name: &'static str, scene: &Scene) -> Sample {
        let process = format!("/proc/{}", scene.host.pid());
        let staging = scene.staging();
        let copies = staging.iter().map(|directory| files(directory, ".so"));
        let (libraries, of_libraries) = mapped(&fs::read_to_string(format!("{process}/smaps")).unwrap());
        Sample {
            name,
            resident: scene.host.memory("VmRSS"),
            threads: files(&Path::new(&process).join("task"), ""),
            descriptors: files(&Path::new(&process).join("fd"), ""),
            staged: copies.sum(),
            libraries,
            of_libraries,
        }
    }

    /// Whether nothing has come or gone.
    pub(crate) fn is_like(&self, other: &Sample) -> bool {
        let all = |sample: &Sample| (sample.threads, sample.descriptors, sample.staged, sample.libraries);
        all(self) == all(other)
    }
}

/// How many entries of a folder end in this way.
fn files(folder: &Path, end: &str) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(end))
        .count()
}

/// The private copies among the mappings, whether their files are still there or not: how many, and what they have in
/// memory.
fn mapped(smaps: &str) -> (usize, u64) {
    let mut copies = BTreeSet::new();
    let mut bytes = 0;
    let mut is_copy = false;
    for line in smaps.lines() {
        let (first, rest) = line.split_once(' ').unwrap_or_default();
        if !first.ends_with(':') {
            let path = line.find('/').map(|at| line[at..].trim_end_matches(" (deleted)"));
            let copy = path.filter(|path| path.contains("/host-staging-"));
            is_copy = copy.is_some();
            copies.extend(copy);
        } else if is_copy && first == "Rss:" {
            let kilobytes = rest.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
            bytes += kilobytes * 1024;
        }
    }
    (copies.len(), bytes)
}
