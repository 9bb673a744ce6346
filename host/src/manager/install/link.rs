//! Leads a soname's link to an installed file, and back to where it led before. Does not decide when.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{InstallError, Installation, write_error};
use crate::directory::links::{point, target};

/// What stands at the soname.
#[derive(Debug, PartialEq, Eq)]
pub enum AtSoname {
    /// Nothing.
    Nothing,
    /// A link that leads to the installed file.
    Own,
    /// A link that leads elsewhere.
    Elsewhere,
    /// Something that is no link, and is never replaced by one.
    NoLink,
}

/// A link that was moved.
#[derive(Debug)]
pub struct Moved {
    /// Where it led; nothing where there was none.
    before: Option<PathBuf>,
}

/// What stands at the soname now.
pub fn at_soname(installation: &Installation) -> AtSoname {
    let link = installation.link();
    match fs::symlink_metadata(&link) {
        Err(_) => AtSoname::Nothing,
        Ok(metadata) if !metadata.is_symlink() => AtSoname::NoLink,
        Ok(_) => match fs::canonicalize(&link).is_ok_and(|target| target == installation.file()) {
            true => AtSoname::Own,
            false => AtSoname::Elsewhere,
        },
    }
}

/// What the link says, as surveys have it; nothing where there is none.
pub fn says(installation: &Installation) -> Option<PathBuf> {
    target(&installation.link())
}

/// Leads the link to the installed file. It must be a link, or nothing.
///
/// # Errors
/// When the directory can't be written.
pub fn lead(installation: &Installation) -> Result<Moved, InstallError> {
    let link = installation.link();
    let before = fs::read_link(&link).ok();
    point(&link, &installation.real_name).map_err(write_error(&link))?;
    Ok(Moved { before })
}

/// Leads it back to where it led before, or removes it where there was none; unless somebody has moved it since. Tells whether
/// it did.
///
/// # Errors
/// When the directory can't be written.
pub fn lead_back(installation: &Installation, moved: &Moved) -> Result<bool, InstallError> {
    let link = installation.link();
    if fs::read_link(&link).ok().as_deref() != Some(Path::new(&installation.real_name)) {
        return Ok(false);
    }
    let done = match &moved.before {
        Some(before) => point(&link, before),
        None => fs::remove_file(&link).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        }),
    };
    done.map_err(write_error(&link))?;
    Ok(true)
}
