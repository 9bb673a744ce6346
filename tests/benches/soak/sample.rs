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
}

impl Sample {
    pub(crate) fn take(name: &'static str, scene: &Scene) -> Sample {
        let process = format!("/proc/{}", scene.host.pid());
        let staging = scene.staging();
        let copies = staging.iter().map(|directory| files(directory, ".so"));
        Sample {
            name,
            resident: scene.host.memory("VmRSS"),
            threads: files(&Path::new(&process).join("task"), ""),
            descriptors: files(&Path::new(&process).join("fd"), ""),
            staged: copies.sum(),
            libraries: mapped(&fs::read_to_string(format!("{process}/maps")).unwrap()),
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

/// The private copies among the mappings, whether their files are still there or not.
fn mapped(maps: &str) -> usize {
    let paths = maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..]));
    let copies = paths.filter(|path| path.contains("/host-staging-"));
    copies
        .map(|path| path.trim_end_matches(" (deleted)"))
        .collect::<BTreeSet<_>>()
        .len()
}
