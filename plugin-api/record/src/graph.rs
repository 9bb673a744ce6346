//! Who needs a package: the shortest way to it through the record's dependency graph.

use std::collections::VecDeque;

use crate::Record;

/// The shortest chain of packages from the record's own package (first) to the package at `index` (last).
///
/// Empty when nothing leads there or the index is out of range. Indices that lead nowhere are passed over: the graph
/// comes from a file that is not trusted yet.
pub fn path_to(record: &Record, index: usize) -> Vec<usize> {
    Paths::of(record).to(index)
}

/// The shortest ways to all packages of a record, found in one walk: a file that is not trusted may have thousands of
/// packages, and a walk for each of them would take the square of that.
pub(crate) struct Paths {
    /// By which package a package is reached first; the first package by itself.
    reached_from: Vec<Option<usize>>,
}

impl Paths {
    pub(crate) fn of(record: &Record) -> Paths {
        let count = record.packages.len();
        let mut reached_from = vec![None; count];
        let mut waiting = VecDeque::new();
        if count > 0 {
            reached_from[0] = Some(0);
            waiting.push_back(0);
        }
        while let Some(at) = waiting.pop_front() {
            for &next in record.packages[at].dependencies.iter().filter(|next| **next < count) {
                if reached_from[next].is_none() {
                    reached_from[next] = Some(at);
                    waiting.push_back(next);
                }
            }
        }
        Paths { reached_from }
    }

    /// See [`path_to`].
    pub(crate) fn to(&self, index: usize) -> Vec<usize> {
        let Some(&Some(mut parent)) = self.reached_from.get(index) else {
            return Vec::new();
        };
        let mut path = vec![index];
        // Every way back ends: it goes to a package that was reached earlier.
        while path.last() != Some(&0) {
            path.push(parent);
            parent = self.reached_from[parent].unwrap_or(0);
        }
        path.reverse();
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Build, Compiler, Identity, Package};

    #[test]
    fn the_shortest_way_is_found_whatever_the_indices() {
        let paths = |graph: &[&[usize]]| -> Vec<Vec<usize>> {
            let record = record(graph);
            (0..=graph.len()).map(|index| path_to(&record, index)).collect()
        };
        let empty: Vec<Vec<usize>> = vec![vec![]];
        assert_eq!(paths(&[]), empty);
        assert_eq!(
            paths(&[&[0, 9, usize::MAX, 2, 1], &[3, 1], &[0, 3], &[2, 0, 3], &[4]]),
            [vec![0], vec![0, 1], vec![0, 2], vec![0, 2, 3], vec![], vec![]],
        );
    }

    fn record(graph: &[&[usize]]) -> Record {
        let version: semver::Version = "1.0.0".parse().expect("a version");
        let package = |dependencies: &&[usize]| Package {
            name: String::new(),
            version: version.clone(),
            identity: Identity::Registry { checksum: None },
            features: Vec::new(),
            native: None,
            dependencies: dependencies.to_vec(),
        };
        Record {
            name: String::new(),
            version: version.clone(),
            description: String::new(),
            commands: Vec::new(),
            compiler: Compiler {
                release: String::new(),
                commit: None,
                channel: String::new(),
                version_line: String::new(),
            },
            target: String::new(),
            pointer_width: 64,
            panic: String::new(),
            packages: graph.iter().map(package).collect(),
            build: Build::default(),
        }
    }
}
