//! Says whose a Submit is.

use std::time::SystemTime;

use plugin_api::{Ack, Acks, Connection, Context, Error, Handler, Submit, Submits, export_plugin};

struct Plugin;

impl Plugin {
    fn ack(&self, connection: Connection<'_>) -> Ack<'static> {
        let started = connection.started().duration_since(SystemTime::UNIX_EPOCH);
        let said = format!(
            "{} {} {} {} {:?}",
            connection.id(),
            connection.peer(),
            connection.listener(),
            started.unwrap().as_nanos(),
            connection.identity()
        );
        Ack::ok().body(said.into_bytes())
    }
}

impl Handler for Plugin {
    type Config = ();
    const LARGEST_BODY: usize = 1000;

    fn init(_: (), _: &Context) -> Result<Self, Error> {
        Ok(Plugin)
    }

    fn handle<'a>(&'a self, submit: Submit<'a>) -> Ack<'a> {
        self.ack(submit.connection())
    }

    fn handle_batch<'a>(&'a self, submits: Submits<'a>, acks: &mut Acks<'_>) {
        let connection = submits.connection();
        for submit in submits {
            match submit.command {
                0x11 => acks.push(self.ack(connection)),
                _ => acks.push(self.handle(submit)),
            }
        }
    }
}

export_plugin!(Plugin);
