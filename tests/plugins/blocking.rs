//! Reads the file that the payload names, and acks with its content: a pipe keeps the handler waiting until somebody writes. Acks
//! at once when the payload names none.

use plugin_api::{Ack, Context, Error, Handler, Submit, export_plugin};

struct Plugin;

impl Handler for Plugin {
    type Config = ();

    fn init(_: (), _: &Context) -> Result<Self, Error> {
        Ok(Plugin)
    }

    fn handle<'a>(&'a self, submit: Submit<'a>) -> Ack<'a> {
        let path = String::from_utf8_lossy(submit.payload).into_owned();
        if path.trim_matches('/').is_empty() {
            return Ack::ok();
        }
        tracing::info!("reading");
        Ack::ok().body(std::fs::read(path).unwrap_or_default())
    }
}

export_plugin!(Plugin);
