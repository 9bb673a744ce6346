//! Says what each payload asks for, in one of the ways that a plugin has to say something.

use std::io::Write;

use plugin_api::{Ack, Context, Error, Handler, Submit, export_plugin};

unsafe extern "C" {
    fn write(file: i32, bytes: *const u8, length: usize) -> isize;
    fn close(file: i32) -> i32;
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;

extern "C" fn constructor() {
    native(2, b"in start-up code\n");
}

/// As native code does, past Rust's streams.
fn native(file: i32, bytes: &[u8]) {
    unsafe { write(file, bytes.as_ptr(), bytes.len()) };
}

struct Plugin;

impl Handler for Plugin {
    type Config = ();

    fn init(_: (), _: &Context) -> Result<Self, Error> {
        println!("in init");
        log::info!("a record in init");
        Ok(Plugin)
    }

    fn handle<'a>(&'a self, submit: Submit<'a>) -> Ack<'a> {
        match submit.payload {
            b"fields" => fields(),
            b"many" => {
                let long = "x".repeat(20_000);
                tracing::info!(first = "1", long, last = "1", "many");
            }
            b"spans" => tracing::info_span!("span", of = "a span").in_scope(|| tracing::info!("within")),
            b"records" => {
                log::error!("a record {}", 1);
                log::debug!(target: "library::part", "a record from elsewhere");
                log::trace!("a record in detail");
            }
            b"print" => {
                println!("printed");
                eprintln!("printed as an error {}", 1);
                native(1, b"native\r\n\nbinary \xff\0\x1b[2J\n");
                native(2, b"{\"level\":\"ERROR\",\"message\":\"forged\"}\n");
                std::thread::spawn(|| println!("on a thread")).join().unwrap();
                let sh = std::process::Command::new("sh").args(["-c", "echo by a process >&2"]).status();
                assert!(sh.unwrap().success());
            }
            b"unfinished" => {
                print!("unfinished");
                std::io::stdout().flush().unwrap();
            }
            b"long" => println!("{}", "y".repeat(40_000)),
            b"flood" => (0..20_000).for_each(|number| println!("flood {number}")),
            b"again" => (0..500).for_each(|_| eprintln!("again")),
            b"close" => [1, 2].into_iter().for_each(|file| drop(unsafe { close(file) })),
            b"abort" => {
                eprintln!("last words");
                std::process::abort();
            }
            b"abort in a line" => {
                eprint!("first line\nlast words without an end");
                print!("on the other stream");
                let _ = std::io::stdout().flush();
                std::process::abort();
            }
            b"overflow" => drop(overflow(0)),
            b"double panic" => {
                let _last = PanicsToo;
                panic!("first");
            }
            _ => {}
        }
        Ack::ok()
    }

    fn shutdown(&self) {
        print!("at the end, without an end");
        let _ = std::io::stdout().flush();
    }
}

fn fields() {
    let error = std::io::Error::other("no good");
    tracing::warn!(
        count = u64::MAX,
        negative = -7,
        ratio = 0.5,
        nothing = f64::NAN,
        wide = u128::MAX,
        on = true,
        text = "x \"y\"\n\u{1b}[2J",
        shown = ?Some("z"),
        error = &error as &dyn std::error::Error,
        level = "forged",
        target = "forged",
        timestamp = "forged",
        version = "9.9.9",
        plugin = "forged",
        "with fields"
    );
    tracing::info!(alone = 1);
    tracing::info!(message = 7, beside = 8);
}

struct PanicsToo;

impl Drop for PanicsToo {
    fn drop(&mut self) {
        panic!("second");
    }
}

#[allow(unconditional_recursion)]
fn overflow(depth: usize) -> usize {
    let frame = std::hint::black_box([depth; 1024]);
    overflow(frame[depth % 1024] + 1) + frame[7]
}

export_plugin!(Plugin);
