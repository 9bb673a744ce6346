//! Accepts every Submit and echoes its payload when asked to.
#![forbid(unsafe_code)]

use plugin_api::{Ack, Context, Error, Handler, Submit, export_plugin};

#[derive(serde::Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Config {
    reply: bool,
}

struct SubmitEcho {
    reply: bool,
}

impl Handler for SubmitEcho {
    type Config = Config;

    fn init(config: Config, _context: &Context) -> Result<Self, Error> {
        Ok(SubmitEcho { reply: config.reply })
    }

    fn handle<'a>(&'a self, submit: Submit<'a>) -> Ack<'a> {
        if self.reply {
            Ack::ok().body(submit.payload)
        } else {
            Ack::ok()
        }
    }
}

export_plugin!(SubmitEcho);
