//! Holds the host's own record: the other side of every comparison.

use std::sync::OnceLock;

use plugin_record::{Record, note};

const NOTE: &[u8] = include_bytes!(env!("PLUGIN_RECORD"));

// For audit tools, as every plugin has it.
plugin_api::embed_dependencies!();

/// The record of this build of the host.
pub fn host_record() -> &'static Record {
    static RECORD: OnceLock<Record> = OnceLock::new();
    RECORD.get_or_init(|| match note::decode(NOTE) {
        Ok(record) => record,
        // Our own build script wrote it and our own tests read it.
        Err(error) => unreachable!("the host's own record: {error}"),
    })
}
