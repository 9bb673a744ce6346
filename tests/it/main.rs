//! All tests from outside, in one binary. Each module is one promise of the README.
#![allow(clippy::unwrap_used, missing_docs)]

mod smoke;
