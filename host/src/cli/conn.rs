//! `--conn`: the Conn that a client command sends before its Submits.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Conn {
    /// Send a Conn (command 0x01) first, with this payload or none.
    #[arg(
        long = "conn",
        value_name = "TEXT",
        num_args = 0..=1,
        require_equals = true, // else it would take the word that comes next
        default_missing_value = ""
    )]
    payload: Option<OsString>,
}

impl Conn {
    /// The Conn's payload, if one is to be sent.
    pub(super) fn payload(&self) -> Option<&[u8]> {
        self.payload.as_deref().map(OsStrExt::as_bytes)
    }
}
