//! Numbers for plugin instances, so that a thread can say in one word whom it calls. They are given once and mean the same as
//! long as the process lasts: a call may outlive all else that knows of its plugin.

use std::sync::{Mutex, MutexGuard, PoisonError};

use semver::Version;

static NAMES: Mutex<Vec<(String, Version)>> = Mutex::new(Vec::new());

/// A number for a new instance, from 1.
pub(super) fn give(name: &str, version: &Version) -> u64 {
    let mut names = names();
    names.push((name.to_owned(), version.clone()));
    names.len() as u64
}

/// The name and version of the plugin that has this number.
pub fn name(number: u64) -> Option<(String, Version)> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    names().get(index).cloned()
}

fn names() -> MutexGuard<'static, Vec<(String, Version)>> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_name() {
        let version = Version::new(1, 2, 3);
        let numbers = ["one", "two", "one"].map(|name| give(name, &version));
        assert_eq!(
            numbers.map(|number| name(number).map(|(name, _)| name)),
            ["one", "two", "one"].map(|name| Some(name.to_owned()))
        );
        assert_eq!(name(0), None);
    }
}
