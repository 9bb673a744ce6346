//! A handler that blocks holds one thread, and nobody else, as long as another thread is there.

use std::fs;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tests::client::frame;
use tests::crates::{PluginCrate, source};
use tests::host::Site;

/// How many others are to notice nothing. Without the host's handoff each of them is stuck behind the blocked handler
/// with a probability that lies near one half.
const OTHERS: usize = 20;

#[test]
fn others_are_served_while_a_handler_blocks() {
    let mut plugin = PluginCrate::new("blocking");
    // Reads the file that the payload names: a pipe keeps it waiting until we write.
    let read = "let path = String::from_utf8_lossy(submit.payload).into_owned();
        if path.is_empty() { return Ack::ok() }
        tracing::info!(\"reading\");
        Ack::ok().body(std::fs::read(path).unwrap_or_default())";
    plugin.source = source("", read);
    plugin.dependencies = "tracing = \"0.1\"".to_owned();
    let site = Site::default();
    site.install(&plugin.library());
    let pipe = site.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let host = site.spawn(&[("TOKIO_WORKER_THREADS", "2")]);
    let address = host.address();
    let mut others: Vec<_> = (0..OTHERS).map(|_| tests::client::Client::connect(&address)).collect();
    for other in &mut others {
        assert_eq!(other.submit(0x10, b"").result, 0);
    }
    let mut blocked = host.connect();
    blocked.send(&frame(0x10, b"00000001", pipe.to_str().unwrap().as_bytes()));
    host.wait_for("reading");
    for other in &mut others {
        assert_eq!(other.submit(0x10, b"").result, 0);
    }
    fs::write(&pipe, "done").unwrap();
    assert_eq!(blocked.ack().body, b"done");
    host.stop();
}
