//! Connections that say nothing: how many fit, and what they cost.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use rustix::net::{AddressFamily, SocketType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::client::{frame, read_ack};

use crate::report::Report;
use crate::rounds::Settings;
use crate::servers::Server;

/// What a process needs open besides, and a host reserves.
const OTHERS: u64 = 500;
/// How many connections one process holds: one address has as many ports as the system hands out, usually 28,000.
const SHARE: usize = 15_000;

/// Connections that are held by processes of their own; dropped, they close.
pub(crate) struct Idle {
    holders: Vec<Child>,
}

impl Idle {
    /// How many connections a server may have here.
    pub(crate) fn most() -> usize {
        let most = getrlimit(Resource::Nofile).maximum.unwrap_or(1 << 20);
        usize::try_from(most.saturating_sub(OTHERS)).unwrap()
    }

    /// Opens them and waits until they stand.
    pub(crate) fn open(server: &Server, count: usize) -> Idle {
        let mut holders = Vec::new();
        let mut left = count;
        while left > 0 {
            let share = left.min(SHARE);
            let source = Ipv4Addr::new(127, 0, 1, u8::try_from(holders.len() + 1).unwrap());
            let mut holder = Command::new(std::env::current_exe().unwrap())
                .args(["--idle", &share.to_string(), server.address(), &source.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            // It says a byte when all of its connections were served once.
            let mut ready = [0];
            holder.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
            holders.push(holder);
            left -= share;
        }
        Idle { holders }
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        for holder in &mut self.holders {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

/// Holds connections until the standard input ends.
pub(crate) fn hold(count: usize, address: SocketAddr, source: Ipv4Addr) {
    let streams = connect(count, address, source);
    std::io::stdout().write_all(b".").unwrap();
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read(&mut [0]);
    drop(streams);
}

/// Connections from that address, each of which had one Conn acked.
fn connect(count: usize, address: SocketAddr, source: Ipv4Addr) -> Vec<TcpStream> {
    let limit = getrlimit(Resource::Nofile).maximum;
    let both = Rlimit {
        current: limit,
        maximum: limit,
    };
    setrlimit(Resource::Nofile, both).unwrap();
    let connect = |_| {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &SocketAddr::new(IpAddr::V4(source), 0)).unwrap();
        rustix::net::connect(&socket, &address).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.write_all(&frame(0x01, b"idle-one", b"")).unwrap();
        assert!(read_ack(&mut stream).is_some(), "a connection was not served");
        stream
    };
    (0..count).map(connect).collect()
}

/// What an idle connection costs of memory, fresh and after a burst of 16 Submits of 1 KiB each.
pub(crate) fn memory(_settings: &Settings, report: &mut Report) {
    const COUNT: usize = 10_000;
    let count = COUNT.min(Idle::most());
    let servers = [
        ("host", Server::host(1)),
        ("floor", Server::floor()),
        ("tokio", Server::tokio()),
    ];
    let rows = servers.map(|(name, server)| {
        // The buffers that a thread has, and not a connection.
        let address: SocketAddr = server.address().parse().unwrap();
        let mut first = connect(100, address, Ipv4Addr::LOCALHOST);
        burst(&mut first);
        let before = server.resident();
        let mut streams = connect(count, address, Ipv4Addr::LOCALHOST);
        let grown = || server.resident().saturating_sub(before) as f64 / count as f64;
        let fresh = grown();
        burst(&mut streams);
        let after = grown();
        let aim = match (name, fresh.max(after) <= 1536.0) {
            ("host", true) => "at most 1536: met",
            ("host", false) => "at most 1536: MISSED",
            _ => "",
        };
        [
            name.to_owned(),
            format!("{fresh:.0}"),
            format!("{after:.0}"),
            aim.to_owned(),
        ]
        .to_vec()
    });
    let header = ["", "fresh, bytes", "after a burst, bytes", "aim"];
    report.table(
        &format!("Resident memory for each of {count} idle connections"),
        &header,
        &rows,
    );
}

/// The last frame comes in two pieces: a connection keeps the first until the second is there.
fn burst(streams: &mut [TcpStream]) {
    let submits = frame(0x02, b"00000001", &[7; 1024]).repeat(16);
    let (most, rest) = submits.split_at(submits.len() - 100);
    for stream in streams {
        stream.write_all(most).unwrap();
        (0..15).for_each(|_| drop(read_ack(stream).unwrap()));
        stream.write_all(rest).unwrap();
        assert!(read_ack(stream).is_some());
    }
}
