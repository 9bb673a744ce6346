//! Which of the package's features are on, in the spelling that cargo takes on its command line.
//!
//! `CARGO_CFG_FEATURE` has them as they are (cargo 1.85 and later). The older `CARGO_FEATURE_A_B` is
//! not asked: it can't tell `a-b` from `a_b`, and one that the caller's environment happens to have
//! reaches a build script too, since cargo sets such a variable only where the feature is on.

use crate::Error;

/// The active features, in cargo's order.
///
/// # Errors
/// When this is not a build.rs that cargo runs.
pub(crate) fn active() -> Result<Vec<String>, Error> {
    Ok(list(&crate::env::text("CARGO_CFG_FEATURE")?))
}

/// A feature's name has no comma (the Cargo book, "Features").
fn list(text: &str) -> Vec<String> {
    text.split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_they_stand() {
        assert_eq!(list(""), Vec::<String>::new());
        assert_eq!(list("Up,a-b,a_b,c.d+e"), ["Up", "a-b", "a_b", "c.d+e"]);
    }
}
