//! Decides how a fault of a file or a record is shown as a refusal: what was expected, and the cure. Pure.

use plugin_record::{Code, FORMAT, Refusal, note};

use super::inspect::{FileFault, RecordFault, host_machine};

/// A file that is no shared object for this machine.
pub(super) fn file_refusal(fault: &FileFault) -> Refusal {
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

/// A file without a record that can be read.
pub(super) fn record_refusal(fault: &RecordFault) -> Refusal {
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
