//! The host inside the process that measures it: the real manager, plugins, server and connections, and a client that waits
//! for its acks. So what is counted in this process is what a packet costs, and next to nothing else: a clock ticks.
//!
//! It is what `host serve` makes of a configuration, but for what is not on a packet's way: no signals, no log, and no totals
//! every ten seconds. Timeouts and counters are on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use host::config::Config;
use host::dispatch::routes::Routes;
use host::manager::events::Events;
use host::manager::{self, Running};
use host::net::connection::Shared;
use host::net::{self, Server};
use host::process::async_runtime::AsyncRuntime;
use host::runtime::load_check::{LoadChecks, Output};
use host::status::publisher::Publisher;

use crate::cargo::host_binary;
use crate::client::{frame, read_ack};
use crate::host::{PATIENCE, Site};

/// To be written before a site's tables: nothing but packets, one event loop, and private copies in a folder of the site.
pub const CONFIGURATION: &str = "plugins.watch = false\nplugins.staging = \"run\"\nserver.threads = 1\n";

/// The plugins that a configuration asks for, loaded as the host loads them, and nothing that serves them.
pub struct Plugins {
    config: Config,
    runtime: AsyncRuntime,
    manager: Running,
}

impl Plugins {
    /// Loads what is in the plugin directory; plugins.toml must begin with [`CONFIGURATION`].
    #[track_caller]
    pub fn load(path: &Path) -> Plugins {
        let config = Config::read(path).unwrap();
        assert!(!config.plugins.watch, "the manager would look, and be measured too");
        let runtime = AsyncRuntime::start().unwrap();
        let children = LoadChecks::in_program(host_binary().to_owned(), Output::Null);
        let (events, status) = (Events::default(), Publisher::new(None));
        let manager = manager::start(path, config.clone(), events, children, &runtime, status).unwrap();
        Plugins {
            config,
            runtime,
            manager,
        }
    }

    /// Which of them answers a command.
    pub fn routes(&self) -> Arc<Routes> {
        self.manager.routes()
    }
}

/// A host with one connection to it.
pub struct Inside {
    stream: TcpStream,
    server: Server,
    plugins: Plugins,
}

impl Inside {
    /// Starts what is in the site's plugin directory; the site must begin with [`CONFIGURATION`].
    #[track_caller]
    pub fn start(site: &Site) -> Inside {
        let plugins = Plugins::load(&site.configuration());
        let config = &plugins.config;
        let listener = net::Bound::new(&config.server.listen).unwrap().listen().unwrap();
        let listen = listener.address();
        let address = listen.to_string();
        let shared = Shared::new(&config.server, config.protocol.ack, &listen, plugins.routes());
        let server = net::start(listener, &config.server, Arc::new(shared)).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Inside {
            stream,
            server,
            plugins,
        }
    }

    /// So many times, one after the other: sends the requests of each part in one write, and reads the acks for it, which
    /// must be the right ones. Allocates nothing, and costs one write, one read and one comparison for each part.
    #[track_caller]
    pub fn exchange(&mut self, parts: &mut [Exchange], rounds: usize) {
        let mut is_right = true;
        for _ in 0..rounds {
            for part in &mut *parts {
                self.stream.write_all(&part.requests).unwrap();
                self.stream.read_exact(&mut part.received).unwrap();
                is_right &= part.received == part.acks;
            }
        }
        assert!(
            is_right,
            "a wrong ack in {:?}",
            parts.iter().map(Exchange::shown).collect::<Vec<_>>()
        );
    }

    /// Sends one Submit, and gives the body of its ack.
    #[track_caller]
    pub fn ask(&mut self, command: u8) -> Vec<u8> {
        self.stream.write_all(&frame(command, b"question", b"")).unwrap();
        let ack = read_ack(&mut self.stream).unwrap();
        assert_eq!((ack.command, ack.id, ack.result), (command + 0x7F, *b"question", 0));
        ack.body
    }

    /// Ends as the host does: the connection first, then the plugins.
    #[track_caller]
    pub fn stop(self) {
        drop(self.stream);
        self.plugins.runtime.stop().cancel();
        self.server.stop();
        assert_eq!(self.server.drain(Instant::now() + PATIENCE, Vec::new), 0);
        self.plugins.manager.shutdown(Instant::now() + PATIENCE);
    }
}

/// Requests that are written at once, and the acks that are due when they have come.
pub struct Exchange {
    requests: Vec<u8>,
    acks: Vec<u8>,
    /// Room for as many bytes as there are in `acks`.
    received: Vec<u8>,
    /// The length of each ack.
    ack: usize,
}

impl Exchange {
    /// A Submit with this payload for each of the commands; each ack has this body.
    pub fn new(commands: impl IntoIterator<Item = u8>, payload: &[u8], body: &[u8]) -> Exchange {
        let (mut requests, mut acks) = (Vec::new(), Vec::new());
        for (number, command) in (0u64..).zip(commands) {
            let id = number.to_be_bytes();
            requests.extend(frame(command, &id, payload));
            // An ack is a frame too, with a result before the body.
            acks.extend(frame(command + 0x7F, &id, &[&[0], body].concat()));
        }
        Exchange::of(requests, acks, 14 + body.len())
    }

    /// The same in two parts, the first of which ends this many bytes before the end of the last frame. The acks that come
    /// in between show that the beginning of that frame was read by itself.
    pub fn cut(mut self, missing: usize) -> [Exchange; 2] {
        let requests = self.requests.split_off(self.requests.len() - missing);
        let acks = self.acks.split_off(self.acks.len() - self.ack);
        let ack = self.ack;
        [
            Exchange::of(self.requests, self.acks, ack),
            Exchange::of(requests, acks, ack),
        ]
    }

    /// How many acks come back.
    pub fn acks(&self) -> usize {
        self.acks.len() / self.ack
    }

    fn of(requests: Vec<u8>, acks: Vec<u8>, ack: usize) -> Exchange {
        let received = vec![0; acks.len()];
        Exchange {
            requests,
            acks,
            received,
            ack,
        }
    }

    /// The first ack that is not what it should be, if there is one: expected and found.
    fn shown(&self) -> Option<(String, String)> {
        let mut pairs = self.acks.chunks(self.ack).zip(self.received.chunks(self.ack));
        let (expected, found) = pairs.find(|(expected, found)| expected != found)?;
        Some((expected.escape_ascii().to_string(), found.escape_ascii().to_string()))
    }
}
