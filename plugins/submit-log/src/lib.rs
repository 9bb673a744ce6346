//! Logs every Submit's ID and payload. The events reach the host's log under `plugin.submit-log`.
#![forbid(unsafe_code)]

use plugin_api::{Ack, Context, Error, Handler, Submit, export_plugin};

struct SubmitLog;

impl Handler for SubmitLog {
    type Config = ();

    fn init(_config: (), _context: &Context) -> Result<Self, Error> {
        Ok(SubmitLog)
    }

    fn handle<'a>(&'a self, submit: Submit<'a>) -> Ack<'a> {
        let id = String::from_utf8_lossy(&submit.id);
        let payload = String::from_utf8_lossy(submit.payload);
        tracing::info!("recv submit: id = {id}, payload={payload}");
        Ack::ok()
    }
}

export_plugin!(SubmitLog);
