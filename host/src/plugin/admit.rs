//! May this file be opened? Compares its inspection with the host's record, its names and the policy. Pure: it opens
//! nothing and runs nothing. All reasons are collected, none hides another.
//!
//! Only [`admit`] makes an [`Admitted`], and only an [`Admitted`] can be loaded.

use std::path::Path;
use std::sync::Arc;

use plugin_record::{FORMAT, Policy, Record, compare, is_package_name, note};

use super::glibc::Glibc;
use super::inspect::{FileFault, Inspection, RecordFault, host_machine};
use super::name::{self, LibraryName, Platform};
use super::stage::{Digest, Staged, Staging};
use super::static_tls::StaticTls;
use super::{Code, Refusal, system};
use crate::shell::quoted;

/// Proves that a file's private copy passed every check that can be made without running it: it is a whole shared object
/// for this machine, its names agree with its record, it asks for nothing that this system does not give, and compiler,
/// ABI and dependencies match or were let through by the policy.
///
/// It does not prove that the library opens, that its types are laid out as ours, or that its code is well meant.
#[derive(Debug)]
pub struct Admitted {
    staged: Staged,
    record: Arc<Record>,
    differences: Vec<Refusal>,
    static_tls: Option<StaticTls>,
}

impl Admitted {
    /// The copy that was judged.
    pub fn staged(&self) -> &Staged {
        &self.staged
    }

    /// Gives the copy the name that it is loaded under: plugin, version and digest. Only now, for the names of an
    /// unjudged record could lead anywhere.
    ///
    /// # Errors
    /// When it can't be renamed.
    pub fn name_copy(&mut self, staging: &Staging) -> std::io::Result<()> {
        let name = format!("{}-{}", self.record.name, self.record.version);
        staging.rename(&mut self.staged, &name)
    }

    /// What the plugin says of itself.
    pub fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// The content's digest.
    pub fn digest(&self) -> Digest {
        self.staged.digest
    }

    /// What would have been refused under a stricter policy. See also [`plugin_record::notes`].
    pub fn differences(&self) -> &[Refusal] {
        &self.differences
    }

    /// The static TLS that it takes once it is open.
    pub fn static_tls(&self) -> Option<StaticTls> {
        self.static_tls
    }
}

/// What was found about a file that is refused.
#[derive(Debug)]
pub struct Refused {
    /// Its record, as far as there is one.
    pub record: Option<Arc<Record>>,
    /// The content's digest, once there was a copy.
    pub digest: Option<Digest>,
    /// Why; at least one.
    pub refusals: Vec<Refusal>,
    /// What the policy lets through all the same.
    pub differences: Vec<Refusal>,
}

/// The host's side of every comparison.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    /// What it was built of.
    pub record: &'a Record,
    /// The C library that it runs on, if that is known.
    pub glibc: Option<Glibc>,
    /// What its operator lets through.
    pub policy: &'a Policy,
}

/// What `mv -n` does not say.
pub(super) const TAKEN: &str =
    "# where that name is taken, it has this version already: give this one a number of its own";

/// The cure of a record that plugin-build has not written as it is.
const REBUILD: &str = "# rebuild the plugin with plugin-build";

/// Judges a private copy of a file; its name, taken apart, is `name`. `found` is what is wrong already with the way to
/// that file: its owner and mode, and those of its directory.
///
/// # Errors
/// All reasons against it.
pub fn admit(
    file: &Path,
    name: &LibraryName,
    found: Vec<Refusal>,
    staged: Staged,
    inspection: Result<Inspection, FileFault>,
    host: Host<'_>,
) -> Result<Admitted, Refused> {
    let mut refusals = found;
    let mut accepted = Vec::new();
    let mut known = None;
    let mut static_tls = None;
    match inspection {
        Err(fault) => refusals.push(file_refusal(&fault)),
        Ok(Inspection {
            soname,
            needs,
            record: Err(fault),
            ..
        }) => {
            match soname {
                None => refusals.push(soname_missing(&Platform::HOST.file_name("<name>", Some("<line>")))),
                Some(soname) => refusals.extend(check_file_soname(name, &soname, &rename(file, &soname))),
            }
            refusals.push(record_refusal(&fault));
            refusals.extend(system::check(&needs, host.glibc, None));
        }
        Ok(Inspection {
            soname,
            needs,
            record: Ok(record),
            ..
        }) => {
            refusals.extend(check_name(file, name, soname.as_deref(), &record));
            refusals.extend(check_soname(soname.as_deref(), &record));
            refusals.extend(check_record(&record));
            let comparison = compare(host.record, &record, host.policy);
            refusals.extend(comparison.refusals);
            accepted.extend(comparison.accepted);
            refusals.extend(system::check(&needs, host.glibc, Some(&record.name)));
            static_tls = needs.static_tls;
            known = Some(Arc::new(record));
        }
    }
    match known {
        Some(record) if refusals.is_empty() => Ok(Admitted {
            staged,
            record,
            differences: accepted,
            static_tls,
        }),
        record => Err(Refused {
            record,
            digest: Some(staged.digest),
            refusals,
            differences: accepted,
        }),
    }
}

/// Whether a name can stand for a record's file. `soname` is the file's DT_SONAME.
fn check_name(file: &Path, name: &LibraryName, soname: Option<&str>, record: &Record) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    // A name that no package has could lead anywhere.
    let cure = match is_package_name(&record.name) {
        true => format!("{} {TAKEN}", rename(file, &name::real_name(record))),
        false => REBUILD.to_owned(),
    };
    let stem = name::stem(&record.name);
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

/// The command that gives a file another name in its folder.
pub(super) fn rename(file: &Path, name: &str) -> String {
    format!("mv -n {} {}", quoted(file), quoted(file.with_file_name(name)))
}

/// Needs no record: a file without one may be named wrongly as well.
fn check_file_soname(name: &LibraryName, soname: &str, cure: &str) -> Option<Refusal> {
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
    let soname = name::soname(record);
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

fn file_refusal(fault: &FileFault) -> Refusal {
    let rebuild = "# rebuild it, or copy it again";
    let (code, field, host, cure) = match fault {
        FileFault::Empty => (Code::FileEmpty, "file", "a shared object".to_owned(), rebuild),
        FileFault::Format(_) => (
            Code::FileFormat,
            "file format",
            host_machine(),
            "# put the library here that `cargo build --release` makes in the plugin's folder",
        ),
        FileFault::Machine(_) => (
            Code::FileMachine,
            "machine",
            host_machine(),
            "cargo build --release --target TRIPLE # in the plugin's folder",
        ),
        FileFault::Type(_) => (
            Code::FileType,
            "file type",
            "a shared object".to_owned(),
            "# add `crate-type = [\"cdylib\"]` under [lib] in the plugin's Cargo.toml and rebuild",
        ),
        FileFault::Truncated { expected, .. } => (
            Code::FileTruncated,
            "file size",
            format!("at least {expected} bytes"),
            "# copy the file again, whole",
        ),
        FileFault::Malformed(_) => (
            Code::FileMalformed,
            "file headers",
            "consistent headers".to_owned(),
            rebuild,
        ),
    };
    let host_target = || super::host_record::host_record().target.clone();
    let cure = cure.replace("TRIPLE", &host_target());
    Refusal::new(code, field, host, fault.to_string(), cure)
}

fn record_refusal(fault: &RecordFault) -> Refusal {
    let (code, host, cure) = match fault {
        RecordFault::Missing => (
            Code::RecordMissing,
            format!("one note of {:?}", note::OWNER),
            "# add `fn main() { plugin_build::emit() }` as build.rs and `export_plugin!` to the crate's root",
        ),
        RecordFault::Duplicate => (
            Code::RecordDuplicate,
            "one record".to_owned(),
            "# call `export_plugin!` once, and link no second plugin",
        ),
        RecordFault::Unreadable(note::ParseError::Format { .. }) => (
            Code::RecordFormat,
            format!("format {FORMAT}"),
            "# build the plugin with the plugin-api and plugin-build of this host's version",
        ),
        RecordFault::Unreadable(_) => (
            Code::RecordMalformed,
            "a record as plugin-build writes it".to_owned(),
            "# rebuild the plugin",
        ),
    };
    Refusal::new(code, "record", host, fault.to_string(), cure)
}

fn soname_missing(expected: &str) -> Refusal {
    let cure = "# call `plugin_build::emit()` in build.rs: it sets the soname";
    Refusal::new(Code::SonameMissing, "DT_SONAME", expected, "none", cure)
}

fn check_soname(soname: Option<&str>, record: &Record) -> Option<Refusal> {
    let expected = name::soname(record);
    match soname {
        None => Some(soname_missing(&expected)),
        Some(soname) if soname != expected => {
            // Cargo passes a cdylib's link arguments on to what depends on it; an older plugin-build used such.
            let named = |package: &&plugin_record::Package| {
                let line = plugin_record::Line::of(&package.version).to_string();
                soname == Platform::HOST.file_name(&name::stem(&package.name), Some(&line))
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

fn check_record(record: &Record) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if !is_package_name(&record.name) {
        refusals.push(Refusal::new(
            Code::RecordName,
            "name",
            "letters, digits, - and _",
            format!("{:?}", record.name),
            REBUILD,
        ));
    }
    let mut seen = Vec::new();
    let valid = record.commands.iter().all(|command| {
        let fresh = !seen.contains(command);
        seen.push(*command);
        fresh && crate::wire::is_submit(*command)
    });
    if !valid || record.commands.is_empty() {
        refusals.push(Refusal::new(
            Code::RecordCommands,
            "commands",
            "at least one of 0x02 to 0x7f, each once",
            super::report::Commands(&record.commands).to_string(),
            "# mend `commands` under [package.metadata.plugin] in the plugin's Cargo.toml and rebuild",
        ));
    }
    refusals
}
