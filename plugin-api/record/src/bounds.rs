//! What a record may have at most, beyond its bytes. A comparison takes time and room for each package, its name and who
//! needs it; without these bounds a record of one mebibyte could ask for gigabytes.

use crate::Record;

/// Several times the packages of the largest programs that are built today.
const MAX_PACKAGES: usize = 4096;
/// Package names are folder names, and the file systems allow no longer ones.
const MAX_NAME: usize = 255;
/// As many as a byte has values.
const MAX_COMMANDS: usize = 256;

/// A record that no build makes: too much of something.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// Of packages.
    #[error("{0} packages, the limit is {MAX_PACKAGES}")]
    Packages(usize),
    /// In a package's name.
    #[error("a package name of {0} bytes, the limit is {MAX_NAME}")]
    Name(usize),
    /// Of commands.
    #[error("{0} commands, the limit is {MAX_COMMANDS}")]
    Commands(usize),
}

pub(crate) fn check(record: &Record) -> Result<(), Excess> {
    if record.packages.len() > MAX_PACKAGES {
        return Err(Excess::Packages(record.packages.len()));
    }
    if record.commands.len() > MAX_COMMANDS {
        return Err(Excess::Commands(record.commands.len()));
    }
    let names = record.packages.iter().map(|package| &package.name);
    match names.chain([&record.name]).find(|name| name.len() > MAX_NAME) {
        Some(name) => Err(Excess::Name(name.len())),
        None => Ok(()),
    }
}
