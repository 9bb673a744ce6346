//! A library whose start-up code never returns holds the dynamic linker for good: a host that starts says so and ends, one
//! that runs goes on serving.

use std::path::PathBuf;

use tests::cargo::sample;
use tests::crates::{PluginCrate, source};
use tests::host::{Host, Site, happened};

const CONSTRUCTOR: &str = r#"
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static CONSTRUCTOR: extern "C" fn() = construct;

extern "C" fn construct() {
    loop {
        std::thread::park();
    }
}
"#;

fn stuck() -> PathBuf {
    let mut plugin = PluginCrate::new("stuck-constructor");
    plugin.source = source(CONSTRUCTOR, "Ack::ok()");
    plugin.library()
}

fn site() -> Site {
    let site = Site::new("plugins.init_timeout = \"2s\"\nserver.drain_timeout = \"5s\"\n");
    site.install(&sample("submit-echo"));
    site
}

#[test]
fn a_host_that_starts_says_so_and_ends() {
    let site = site();
    site.copy(&stuck(), "libstuck_constructor.so.1.0.0");
    let (code, _, stderr) = site.with_configuration(&["serve"]);
    assert_eq!(code, 78, "{stderr}");
    assert!(
        stderr.contains("the start-up code of stuck-constructor did not return"),
        "{stderr}"
    );
    assert!(stderr.contains("host check --load"), "{stderr}");
}

#[test]
fn a_host_that_runs_goes_on_serving_and_ends_in_order() {
    let site = site();
    let host = site.start();
    let mut client = host.connect();
    assert_eq!(client.submit(0x02, b"").result, 0);
    site.copy(&stuck(), "libstuck_constructor.so.1.0.0");
    refused(&host, "load-timeout");
    assert_eq!(client.submit(0x02, b"").result, 0);
    assert_eq!(host.connect().submit(0x02, b"").result, 0, "a new connection, too");
    // Threads that have logged nothing yet can log now.
    for number in 0..4 {
        let mut bad = host.connect();
        bad.send(&[0; 4]);
        assert_eq!(bad.rest().unwrap(), b"", "{number}");
        host.wait_until("its line", |log| {
            (happened(log, "malformed frame, closing") > number).then_some(())
        });
    }
    host.wait_for("nothing more can be loaded and no change is followed until the host is restarted");
    assert_eq!(client.submit(0x02, b"").result, 0);
    drop(client);
    host.stop();
}

fn refused(host: &Host, code: &str) {
    host.wait_until(code, |log| log.iter().find(|line| line["code"] == code).cloned());
}
