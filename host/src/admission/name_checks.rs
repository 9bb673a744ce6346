//! Decides whether a file's names agree: the file's own, its DT_SONAME, its record's, and those of links to it. Each pair
//! that disagrees is a refusal of its own. Pure.

use std::path::Path;

use plugin_record::{Code, Record, Refusal, is_package_name};

use super::names::{self, LibraryName, Platform};
use crate::shell::{quoted, rename};

/// What `mv -n` does not say.
const TAKEN: &str = "# where that name is taken, it has this version already: give this one a number of its own";

/// The cure of a record that plugin-build has not written as it is.
pub(super) const REBUILD: &str = "# rebuild the plugin with plugin-build";

/// Whether a name can stand for a record's file. `soname` is the file's DT_SONAME.
pub(super) fn check_name(file: &Path, name: &LibraryName, soname: Option<&str>, record: &Record) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    // A name that no package has could lead anywhere.
    let cure = match is_package_name(&record.name) {
        true => format!("{} {TAKEN}", rename(file, &names::real_name(record))),
        false => REBUILD.to_owned(),
    };
    let stem = names::stem(&record.name);
    if name.stem != stem {
        refusals.push(Refusal::new(
            Code::NameRecord,
            "file name against record",
            format!("{} for {}", Platform::HOST.file_name(&stem, None), record.name),
            name.to_string(),
            &cure,
        ));
    }
    if !name.is_versioned() {
        return refusals; // as cargo writes it: the version is for `install` to add
    }
    if !name.agrees_with(&record.version) {
        refusals.push(Refusal::new(
            Code::VersionRecord,
            "version in the file name against record",
            record.version.to_string(),
            name.version(),
            &cure,
        ));
    }
    // Where the soname is the one that is wrong, no name of the file mends it.
    let cure = check_soname(soname, record).map_or(cure, |wrong| wrong.cure);
    refusals.extend(soname.and_then(|soname| check_file_soname(name, soname, &cure)));
    refusals
}

/// Needs no record: a file without one may be named wrongly as well.
pub(super) fn check_file_soname(name: &LibraryName, soname: &str, cure: &str) -> Option<Refusal> {
    (name.is_versioned() && !belongs_to(name, soname)).then(|| {
        let longer = match LibraryName::parse(soname).filter(LibraryName::is_versioned) {
            Some(soname) => {
                let version = format!("{}.*", soname.version());
                soname.platform.file_name(&soname.stem, Some(&version))
            }
            None => format!("{soname}.*"),
        };
        Refusal::new(
            Code::SonameFile,
            "file name against DT_SONAME",
            format!("{soname} or {longer}"),
            name.to_string(),
            cure,
        )
    })
}

/// Whether a file of this name can have this soname: as far as both give a version, they give the same.
fn belongs_to(name: &LibraryName, soname: &str) -> bool {
    LibraryName::parse(soname).is_some_and(|soname| {
        let common = soname.parts.len().min(name.parts.len());
        soname.stem == name.stem && soname.parts[..common] == name.parts[..common]
    })
}

/// Judges the name of a link to a file with this record.
///
/// # Errors
/// When it is neither the file's soname nor one of its real names.
pub fn check_link(link: &Path, name: &LibraryName, record: &Record) -> Result<(), Refusal> {
    let soname = names::soname(record);
    if name.to_string() == soname || check_name(link, name, Some(&soname), record).is_empty() {
        return Ok(());
    }
    Err(Refusal::new(
        Code::LinkSoname,
        "link name against DT_SONAME",
        soname.clone(),
        name.to_string(),
        rename(link, &soname),
    ))
}

/// A library without a soname.
pub(super) fn soname_missing(expected: &str) -> Refusal {
    let cure = "# call `plugin_build::emit()` in build.rs: it sets the soname";
    Refusal::new(Code::SonameMissing, "DT_SONAME", expected, "none", cure)
}

/// Whether DT_SONAME is that of the record.
pub(super) fn check_soname(soname: Option<&str>, record: &Record) -> Option<Refusal> {
    let expected = names::soname(record);
    match soname {
        None => Some(soname_missing(&expected)),
        Some(soname) if soname != expected => {
            // Cargo passes a cdylib's link arguments on to what depends on it; an older plugin-build used such.
            let named = |package: &&plugin_record::Package| {
                let line = plugin_record::Line::of(&package.version).to_string();
                soname == Platform::HOST.file_name(&names::stem(&package.name), Some(&line))
            };
            let after = match record.packages.iter().skip(1).find(named) {
                Some(package) => format!(
                    "after moving the code that it needs of {0} into a crate of its own, or taking plugin-build from the \
                     sources of this host in both: {0} is a plugin itself, and its build.rs has named this library, too",
                    package.name
                ),
                None => "without other `-soname` link arguments: `plugin_build::emit()` sets the right one".to_owned(),
            };
            Some(Refusal::new(
                Code::SonameRecord,
                "DT_SONAME against record",
                format!("{expected} for {} {}", record.name, record.version),
                soname,
                match is_package_name(&record.name) {
                    true => format!("cargo build --release -p {} # {after}", quoted(&record.name)),
                    false => REBUILD.to_owned(),
                },
            ))
        }
        Some(_) => None,
    }
}
