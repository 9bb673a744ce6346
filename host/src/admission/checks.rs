//! Checks everything about a file that needs only what was read of it. All reasons are collected, and none hides another.
//! Pure.

use std::path::Path;
use std::sync::Arc;

use plugin_record::{Code, Policy, Record, Refusal, compare, is_package_name};

use super::glibc::Glibc;
use super::inspect::{FileFault, Inspection};
use super::name_checks::{REBUILD, check_file_soname, check_name, check_soname, soname_missing};
use super::names::{LibraryName, Platform};
use super::refusal_text::{file_refusal, record_refusal};
use super::static_tls::StaticTls;
use super::system;
use crate::logging::FieldValue;
use crate::shell::rename;

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

/// What was found about a file.
#[derive(Debug, Default)]
pub struct Checked {
    /// Its record, as far as there is one.
    pub record: Option<Arc<Record>>,
    /// Why it is not admitted, if it is not.
    pub refusals: Vec<Refusal>,
    /// What would have been refused under a stricter policy.
    pub accepted: Vec<Refusal>,
    /// The static TLS that it takes once it is open.
    pub static_tls: Option<StaticTls>,
}

/// Checks what was read of a file at `file`, whose name, taken apart, is `name`.
pub fn check(file: &Path, name: &LibraryName, inspection: Result<Inspection, FileFault>, host: Host<'_>) -> Checked {
    let mut checked = Checked::default();
    let refusals = &mut checked.refusals;
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
            checked.accepted = comparison.accepted;
            refusals.extend(system::check(&needs, host.glibc, Some(&record.name)));
            checked.static_tls = needs.static_tls;
            checked.record = Some(Arc::new(record));
        }
    }
    checked
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
        fresh && wire::is_submit(*command)
    });
    if !valid || record.commands.is_empty() {
        refusals.push(Refusal::new(
            Code::RecordCommands,
            "commands",
            "at least one of 0x02 to 0x7f, each once",
            FieldValue::commands(&record.commands).to_string(),
            "# mend `commands` under [package.metadata.plugin] in the plugin's Cargo.toml and rebuild",
        ));
    }
    refusals
}

#[cfg(test)]
mod tests {
    use plugin_record::CompilerPolicy;
    use semver::Version;

    use super::*;
    use crate::admission::host_record::host_record;
    use crate::admission::inspect::{Needs, RecordFault};

    const FILE: &str = "libsubmit_probe.so.1.2.3";
    const SONAME: &str = "libsubmit_probe.so.1";

    /// A plugin that was built beside this host.
    fn record() -> Record {
        let mut record = host_record().clone();
        record.name = "submit-probe".to_owned();
        record.version = Version::new(1, 2, 3);
        record.commands = vec![0x02, 0x30];
        record
    }

    fn inspection(record: Record) -> Inspection {
        Inspection {
            machine: "any".to_owned(),
            soname: Some(SONAME.to_owned()),
            needs: Needs::default(),
            record: Ok(record),
        }
    }

    fn codes_under(file: &str, inspection: Inspection, policy: &Policy, glibc: Option<Glibc>) -> Vec<Code> {
        let name = LibraryName::parse(file).expect("a library's name");
        let host = Host {
            record: host_record(),
            glibc,
            policy,
        };
        let checked = check(Path::new(file), &name, Ok(inspection), host);
        checked.refusals.iter().map(|refusal| refusal.code).collect()
    }

    fn codes(file: &str, inspection: Inspection) -> Vec<Code> {
        codes_under(file, inspection, &Policy::default(), None)
    }

    #[test]
    fn what_fits_has_no_refusal_under_each_name_it_may_have() {
        for file in [
            "libsubmit_probe.so.1.2.3",
            "libsubmit_probe.so.1.2",
            SONAME,
            "libsubmit_probe.so",
        ] {
            assert_eq!(codes(file, inspection(record())), [], "{file}");
        }
    }

    #[test]
    fn each_pair_of_names_that_disagrees_is_a_refusal() {
        for (file, expected) in [
            ("libsubmit_probe.so.1.2.4", &[Code::VersionRecord][..]),
            ("libsubmit_probe.so.2.2.3", &[Code::VersionRecord, Code::SonameFile]),
            ("libsubmit_other.so.1.2.3", &[Code::NameRecord, Code::SonameFile]),
        ] {
            assert_eq!(codes(file, inspection(record())), expected, "{file}");
        }
        let with = |soname: Option<&str>| Inspection {
            soname: soname.map(str::to_owned),
            ..inspection(record())
        };
        assert_eq!(codes(FILE, with(None)), [Code::SonameMissing]);
        let other = with(Some("libsubmit_probe.so.2"));
        assert_eq!(codes(FILE, other), [Code::SonameFile, Code::SonameRecord]);
    }

    #[test]
    fn commands_are_submits_each_once_and_some() {
        for commands in [vec![], vec![0x01], vec![0x02, 0x02], vec![0x80]] {
            let record = Record {
                commands: commands.clone(),
                ..record()
            };
            assert_eq!(codes(FILE, inspection(record)), [Code::RecordCommands], "{commands:?}");
        }
    }

    #[test]
    fn no_reason_hides_another() {
        let mut record = record();
        record.commands.clear();
        record.compiler.version_line = "rustc 1.2.3".to_owned();
        record.compiler.release = "1.2.3".to_owned();
        let inspection = Inspection {
            soname: None,
            needs: Needs {
                glibc: Glibc::parse("99.1"),
                executable_stack: Some("PT_GNU_STACK"),
                ..Needs::default()
            },
            ..inspection(record)
        };
        let expected = [
            Code::VersionRecord,
            Code::SonameMissing,
            Code::RecordCommands,
            Code::Compiler,
            Code::SystemGlibc,
            Code::SystemExecstack,
        ];
        let found = codes_under(
            "libsubmit_probe.so.1.9",
            inspection,
            &Policy::default(),
            Glibc::parse("2.36"),
        );
        for code in expected {
            assert!(found.contains(&code), "{code:?} in {found:?}");
        }
    }

    #[test]
    fn a_file_without_a_record_is_judged_by_all_else() {
        let inspection = Inspection {
            soname: None,
            record: Err(RecordFault::Missing),
            ..inspection(record())
        };
        assert_eq!(codes(FILE, inspection), [Code::SonameMissing, Code::RecordMissing]);
    }

    #[test]
    fn what_a_policy_lets_through_is_kept_as_a_difference() {
        let mut record = record();
        record.compiler.commit = Some("0000000".to_owned());
        let policy = Policy {
            compiler: CompilerPolicy::Any,
            ..Policy::default()
        };
        let name = LibraryName::parse(FILE).expect("a library's name");
        let host = Host {
            record: host_record(),
            glibc: None,
            policy: &policy,
        };
        let checked = check(Path::new(FILE), &name, Ok(inspection(record)), host);
        assert!(checked.refusals.is_empty(), "{:?}", checked.refusals);
        assert_eq!(checked.accepted.len(), 1, "{:?}", checked.accepted);
    }
}
