//! Nothing is opened in a host that was not opened elsewhere first: start-up code that crashes or hangs and a file that is
//! damaged inside are refusals, of a running host and of one that starts, and nobody else notices.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use object::read::elf::{ElfFile64, ProgramHeader};
use rustix::process::Signal;
use tests::cargo::sample;
use tests::client::Client;
use tests::crates::{PluginCrate, source};
use tests::host::{Host, Site, show};

/// A constructor that does what the variable NEWCOMER says; `once` lets the first process that opens it go on.
const CONSTRUCTOR: &str = r#"
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static CONSTRUCTOR: extern "C" fn() = construct;

extern "C" fn construct() {
    let mood = std::env::var("NEWCOMER").unwrap_or_default();
    let is_first = || std::fs::File::create_new(std::env::var_os("NEWCOMER_FIRST").unwrap()).is_ok();
    match mood.as_str() {
        "crash" => unsafe { std::ptr::null_mut::<u8>().write_volatile(1) },
        "hang" => loop { std::thread::park() },
        "exit" => std::process::exit(0),
        "abort once" if !is_first() => std::process::abort(),
        _ => {}
    }
}
"#;

const FILE: &str = "libnewcomer.so.1.0.0";

fn newcomer() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut plugin = PluginCrate::new("newcomer");
        plugin.source = source(CONSTRUCTOR, "Ack::ok()");
        plugin.library()
    })
}

fn spawn(site: &Site, mood: &str) -> Host {
    let first = site.path().join("first");
    site.spawn(&[("NEWCOMER", mood), ("NEWCOMER_FIRST", first.to_str().unwrap())])
}

fn serves(client: &mut Client) -> bool {
    client.submit(0x02, b"").result == 0
}

#[test]
fn start_up_code_that_crashes_exits_or_hangs_is_a_refusal() {
    for (mood, code) in [
        ("crash", "load-crash"),
        ("exit", "load-crash"),
        ("hang", "load-timeout"),
    ] {
        let site = Site::with("plugins.init_timeout = \"2s\"\n", &[&sample("submit-echo")]);
        let host = spawn(&site, mood);
        host.wait_for("listening");
        let mut client = host.connect();
        site.copy(newcomer(), FILE);
        let refused = host.wait_for_change("refused");
        assert_eq!(refused["code"], code, "{mood}: {refused:#}");
        assert!(serves(&mut client), "{mood}");
        // Nothing is held up by it: another one comes in.
        site.copy(&sample("submit-log"), "libsubmit_log.so.1.0.0");
        host.wait_for_change("added");
        assert_eq!(client.submit(0x03, b"").result, 0, "{mood}");
        drop(client);
        host.stop();

        // Nor is a start, which tries all in one process, and this one apart.
        let host = spawn(&site, mood);
        let mut client = host.connect();
        assert!(serves(&mut client) && client.submit(0x03, b"").result == 0, "{mood}");
        assert_eq!(host.wait_for_change("refused")["code"], code, "{mood}");
        drop(client);
        host.stop();
    }
}

#[test]
fn a_hole_of_zeros_in_its_code_harms_nobody() {
    let site = Site::with("plugins.init_timeout = \"5s\"\n", &[&sample("submit-echo")]);
    let host = site.start();
    let mut client = host.connect();
    let whole = fs::read(sample("submit-log")).unwrap();
    let (start, length) = code_of(&whole);
    // The beginning of a page, as a transfer leaves it that reserved the space first.
    let pages: Vec<usize> = (start.next_multiple_of(4096)..start + length).step_by(4096).collect();
    for part in 0..6 {
        let mut bytes = whole.clone();
        let from = pages[pages.len() * part / 6];
        let to = (from + (length / 6).max(4096)).min(start + length);
        bytes[from..to].fill(0);
        let new = site.path().join("new");
        fs::write(&new, bytes).unwrap();
        let name = format!("libsubmit_log.so.1.0.{part}");
        // One after another under one name: whatever was there before was another content.
        fs::rename(new, site.plugins().join(&name)).unwrap();
    }
    tests::follow::quiet(&host, 0);
    assert!(serves(&mut client), "{}", show(&host.log()));
    drop(client);
    // It is said once why it does not serve.
    assert_eq!(host.changes("not-served"), Vec::<serde_json::Value>::new());
    host.stop();
}

#[test]
fn a_library_that_ends_the_host_was_named_before() {
    let site = Site::default();
    site.copy(newcomer(), FILE);
    let (status, log) = spawn(&site, "abort once").wait();
    assert!(!status.success());
    let last = log.iter().rev().find(|line| line["message"] == "opening");
    assert_eq!(
        last.map(|line| (&line["plugin"], &line["version"])),
        Some((&"newcomer".into(), &"1.0.0".into())),
        "{}",
        show(&log)
    );
}

#[test]
fn a_stop_does_not_wait_for_start_up_code() {
    let site = Site::new("plugins.init_timeout = \"1h\"\nserver.drain_timeout = \"30s\"\n");
    site.copy(newcomer(), FILE);
    let host = spawn(&site, "hang");
    let children = format!("/proc/{0}/task/{0}/children", host.pid());
    while fs::read_to_string(&children).unwrap().trim().is_empty() {
        std::thread::yield_now(); // the trial has not begun
    }
    host.signal(Signal::TERM);
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{}", show(&log));
}

/// Where the code of a library lies in its file: offset and length in bytes.
fn code_of(bytes: &[u8]) -> (usize, usize) {
    let file = ElfFile64::<object::Endianness>::parse(bytes).unwrap();
    let endian = file.endian();
    let headers = file.elf_program_headers().iter();
    let mut code = headers.filter(|header| {
        header.p_type(endian) == object::elf::PT_LOAD && header.p_flags(endian).contains(object::elf::PF_X)
    });
    let header = code.next().unwrap();
    let number = |value: u64| usize::try_from(value).unwrap();
    (number(header.p_offset(endian)), number(header.p_filesz(endian)))
}
