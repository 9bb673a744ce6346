//! Does what each payload says; its configuration says what its init and its end do.

use plugin_api::{Ack, Context, Error, Handler, Submit, export_plugin};

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Config {
    #[serde(deserialize_with = "careless")]
    careless: bool,
    init: String,
    end: String,
}

fn careless<'de, D: serde::Deserializer<'de>>(_: D) -> Result<bool, D::Error> {
    panic!("at the configuration") // LINE careless
}

struct Plugin {
    end: String,
}

struct DropPanics;

impl Drop for DropPanics {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

fn go_wrong(how: &str) {
    match how {
        "text" => panic!("just text"), // LINE text
        "formatted" => panic!("{} of {}", 1, 2), // LINE formatted
        "value" => std::panic::panic_any(7), // LINE value
        "drop" => std::panic::panic_any(DropPanics), // LINE drop
        "index" => drop(vec![0][how.len()]), // LINE index
        "resumed" => std::panic::resume_unwind(Box::new("resumed text")),
        "nested" => {
            let _ = std::panic::catch_unwind(|| panic!("caught by the author"));
        }
        _ => {}
    }
}

impl Handler for Plugin {
    type Config = Config;

    fn init(config: Config, _: &Context) -> Result<Self, Error> {
        go_wrong(&config.init);
        Ok(Plugin { end: config.end })
    }

    fn handle<'a>(&'a self, submit: Submit<'a>) -> Ack<'a> {
        let payload = std::str::from_utf8(submit.payload).unwrap_or_default();
        go_wrong(payload);
        match payload {
            "thread" => {
                // Joined, so that nothing of it is left when the ack goes.
                let _ = std::thread::spawn(|| panic!("on my own thread")).join();
                Ack::ok()
            }
            "result ef" => Ack::result(0xEF),
            "result f0" => Ack::result(0xF0),
            "result ff" => Ack::result(0xFF),
            "body fits" => Ack::ok().body(vec![1; 65536 - 14]),
            "body is too long" => Ack::ok().body(vec![1; 65536 - 13]),
            "events" => {
                tracing::error!("at error");
                tracing::warn!(number = 7, text = "x", "at warn");
                tracing::info!("at info");
                tracing::debug!("at debug");
                tracing::trace!("at trace");
                Ack::ok()
            }
            _ => Ack::ok(),
        }
    }

    fn shutdown(&self) {
        go_wrong(self.end.strip_prefix("shutdown ").unwrap_or_default());
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        go_wrong(self.end.strip_prefix("drop ").unwrap_or_default());
    }
}

export_plugin!(Plugin);
