//! Answers in batches, each wrong in the way that its Submits say.

use plugin_api::{Ack, Acks, Context, Error, Handler, Submit, Submits, export_plugin};

struct Plugin;

impl Handler for Plugin {
    type Config = ();

    fn init(_: (), _: &Context) -> Result<Self, Error> {
        Ok(Plugin)
    }

    fn handle<'a>(&'a self, _: Submit<'a>) -> Ack<'a> {
        Ack::ok()
    }

    fn handle_batch<'a>(&'a self, submits: Submits<'a>, acks: &mut Acks<'_>) {
        for submit in submits {
            match submit.payload {
                b"panic" => panic!("in the middle of a batch"),
                b"return" => return,
                b"twice" => acks.push(Ack::ok()),
                b"inner" => acks.answer(|| panic!("in one answer")),
                b"f5" => acks.push(Ack::result(0xF5)),
                _ => {}
            }
            if submit.payload != b"inner" && submit.payload != b"f5" {
                acks.push(Ack::ok());
            }
        }
    }
}

export_plugin!(Plugin);
