//! Who needs a package: the shortest way to it through the record's dependency graph.

use std::collections::VecDeque;

use crate::Record;

/// The shortest chain of packages from the record's own package (first) to the package at `index` (last).
///
/// Empty when nothing leads there or the index is out of range. Indices that lead nowhere are passed over: the graph
/// comes from a file that is not trusted yet.
pub fn path_to(record: &Record, index: usize) -> Vec<usize> {
    let count = record.packages.len();
    if index >= count {
        return Vec::new();
    }
    let mut reached_from: Vec<Option<usize>> = vec![None; count];
    let mut waiting = VecDeque::from([0]);
    while let Some(at) = waiting.pop_front() {
        if at == index {
            let mut path = vec![at];
            let mut current = at;
            while let Some(parent) = reached_from[current].filter(|_| current != 0) {
                path.push(parent);
                current = parent;
            }
            path.reverse();
            return path;
        }
        for &next in record.packages[at].dependencies.iter().filter(|next| **next < count) {
            if next != 0 && reached_from[next].is_none() {
                reached_from[next] = Some(at);
                waiting.push_back(next);
            }
        }
    }
    Vec::new()
}
