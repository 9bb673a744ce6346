//! Why a handler could not be made. Only text crosses the boundary, so an error is its text.

use std::error::Error as StdError;
use std::fmt;

/// Why [`Handler::init`](crate::Handler::init) failed. `?` turns any `std::error::Error` into one, and what can be made one:
/// `anyhow::Error` and the like, a text. Its causes become part of the text.
pub struct Error {
    text: String,
}

impl Error {
    /// An error with this text.
    pub fn new(text: impl Into<String>) -> Error {
        Error { text: text.into() }
    }
}

// `Error` is no `std::error::Error` itself: the blanket conversion below could not exist beside it.
impl<'a, E: Into<Box<dyn StdError + 'a>>> From<E> for Error {
    fn from(error: E) -> Error {
        let error = error.into();
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Error { text }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use anyhow::Context;

    use super::*;

    fn text(outcome: Result<(), Error>) -> String {
        outcome.map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn any_error_can_be_passed_on_with_all_its_causes() {
        fn of_anyhow() -> anyhow::Result<()> {
            let number = "x".parse::<u32>().context("reading the number");
            number.context("opening the device").map(drop)
        }
        let in_full = format!("{:#}", of_anyhow().expect_err("an error"));
        assert_eq!(
            in_full,
            "opening the device: reading the number: invalid digit found in string"
        );
        assert_eq!(text((|| Ok(of_anyhow()?))()), in_full);
        assert_eq!(
            text((|| Ok("x".parse::<u32>().map(drop)?))()),
            "invalid digit found in string"
        );
        assert_eq!(text((|| Err("a text")?)()), "a text");
        assert_eq!(text((|| Err(Error::new("our own"))?)()), "our own");

        // One that borrows, and is of this thread alone.
        let mutex = Mutex::new(0);
        let _ = std::panic::catch_unwind(|| {
            let _guard = mutex.lock();
            panic!("to poison it");
        });
        let borrows = || -> Result<(), Error> {
            *mutex.lock()? += 1;
            Ok(())
        };
        assert!(text(borrows()).starts_with("poisoned lock"));
    }
}
