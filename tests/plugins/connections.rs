//! Says whose a Submit is, and how often it was paused and resumed.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::SystemTime;

use plugin_api::{Ack, Acks, Connection, Context, Error, Handler, Submit, Submits, export_plugin};

#[derive(Default)]
struct Plugin {
    paused: AtomicU8,
    resumed: AtomicU8,
}

impl Plugin {
    fn ack(&self, command: u8, connection: Connection<'_>) -> Ack<'static> {
        if command == 0x12 {
            let counts = [&self.paused, &self.resumed].map(|count| count.load(Ordering::Relaxed));
            return Ack::ok().body(counts.to_vec());
        }
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
        Ok(Plugin::default())
    }

    fn handle<'a>(&'a self, submit: Submit<'a>) -> Ack<'a> {
        self.ack(submit.command, submit.connection())
    }

    fn handle_batch<'a>(&'a self, submits: Submits<'a>, acks: &mut Acks<'_>) {
        let connection = submits.connection();
        for submit in submits {
            match submit.command {
                0x11 => acks.push(self.ack(submit.command, connection)),
                _ => acks.push(self.handle(submit)),
            }
        }
    }

    fn paused(&self) {
        let count = self.paused.fetch_add(1, Ordering::Relaxed);
        assert_ne!(count, 1, "told to panic");
    }

    fn resumed(&self) {
        let count = self.resumed.fetch_add(1, Ordering::Relaxed);
        assert_ne!(count, 2, "told to panic");
    }
}

export_plugin!(Plugin);
