//! A handler sees whose a Submit is.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use tests::client::{Client, frame};
use tests::crates::PluginCrate;
use tests::host::Site;

/// Answers each Submit by itself, and in batches.
const ONE_BY_ONE: u8 = 0x10;
const IN_BATCHES: u8 = 0x11;

#[test]
fn a_handler_sees_whose_a_submit_is() {
    let site = Site::default();
    site.install(library());
    let before = SystemTime::now();
    let host = site.start();
    let mut clients: Vec<Client> = (0..3).map(|_| host.connect()).collect();
    let mut seen = Vec::new();
    for client in &mut clients {
        client.send(
            &[ONE_BY_ONE, ONE_BY_ONE, IN_BATCHES]
                .map(|command| frame(command, b"00000001", b""))
                .concat(),
        );
        let said = [client.ack(), client.ack(), client.ack()].map(|ack| String::from_utf8(ack.body).unwrap());
        assert!(said.iter().all(|one| *one == said[0]), "one connection: {said:?}");
        let [id, peer, listener, started, identity] = said[0].split(' ').collect::<Vec<_>>()[..] else {
            panic!("{said:?}");
        };
        assert_eq!(peer, client.stream.local_addr().unwrap().to_string());
        assert_eq!(listener, host.address());
        let started = SystemTime::UNIX_EPOCH + Duration::from_nanos(started.parse().unwrap());
        assert!(before <= started && started <= SystemTime::now());
        assert_eq!(identity, "None");
        seen.push((id.parse::<u64>().unwrap(), said[0].clone()));
    }
    let ids: BTreeSet<u64> = seen.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), 3, "{seen:?}");
    // The same for as long as it lasts, whoever else came meanwhile.
    for (client, (_, said)) in clients.iter_mut().zip(&seen) {
        assert_eq!(client.submit(IN_BATCHES, b"").body, said.as_bytes());
    }
    host.stop();
}

fn library() -> &'static PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut plugin = PluginCrate::new("connections");
        plugin.commands = Some("[0x10, 0x11]".to_owned());
        plugin.source = include_str!("../plugins/connections.rs").to_owned();
        plugin.library()
    })
}
