//! A plugin that closes what is not its own ends the host: at once, and with a word.

use tests::client::frame;
use tests::crates::{PluginCrate, source};
use tests::host::{Site, show};

#[test]
fn a_host_whose_descriptors_are_gone_ends() {
    let mut plugin = PluginCrate::new("closing");
    let close = "for descriptor in 3..1000 { unsafe { close(descriptor) }; }
        Ack::ok()";
    plugin.source = source("unsafe extern \"C\" { fn close(descriptor: i32) -> i32; }", close);
    let site = Site::with("plugins.watch = false", &[&plugin.library()]);
    let host = site.start();
    host.connect().send(&frame(0x10, b"00000001", b""));
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(70), "{}", show(&log));
    let said = "the host's own descriptors are gone: closed by foreign code";
    assert!(log.iter().any(|line| line["message"] == said), "{}", show(&log));
}
