//! Why a handler could not be made. Only text crosses the boundary, so an error is its text.

use std::fmt;

/// Why [`Handler::init`](crate::Handler::init) failed. `?` turns any `std::error::Error` into one.
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
impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Error {
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
