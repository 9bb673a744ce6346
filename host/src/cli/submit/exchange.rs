//! Makes one request and reads one ack, with a peer that may be anything: no length is trusted, and every wait has an end.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use socket2::{Domain, SockAddr, Socket, Type};
use wire::client::{self, Decoded, MAX_ACK, MAX_PAYLOAD};
use wire::{MIN_ACK, MIN_FRAME};

use crate::config::{Server, unix_path};

/// How much is read at once. What an ack says of its length takes no memory; what has come does.
const PART: usize = 64 * 1024;

/// A connection to a host.
pub(super) struct Exchange {
    socket: Socket,
    timeout: Duration,
}

/// An ack, and the command that it is for.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) request: u8,
    pub(super) command: u8,
    pub(super) id: [u8; 8],
    pub(super) result: u8,
    pub(super) body: Vec<u8>,
}

/// Why there is no ack; `came` is how many bytes of it there are.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("it took too long, {came} bytes of it came")]
    Late { came: usize },
    #[error("the host closed the connection after {came} bytes of it{reset}")]
    Closed { came: usize, reset: &'static str },
    #[error("its length would be {length} bytes, expected {MIN_ACK} to {MAX_ACK}: is this a host?")]
    NoAck { length: i32 },
    #[error(transparent)]
    Failed(io::Error),
}

impl Exchange {
    /// Connects to the Unix socket at `unix:PATH`, or to the first address of this name that answers. All of them together may take
    /// as long as `timeout`, and so may each exchange. How long the system takes to find a name's addresses is its own affair:
    /// that is not bounded here.
    pub(super) fn connect(address: &str, timeout: Duration) -> anyhow::Result<Exchange> {
        let unreachable = || format!("can't reach a host at {address}; does it run?");
        let socket = match unix_path(address) {
            Some(path) => unix(path, timeout).with_context(unreachable)?,
            None => {
                let addresses = match address.to_socket_addrs() {
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => bail!(
                        "{address:?} is no address: expected one with a port, such as 127.0.0.1:8888 or localhost:8888, or a \
                         Unix socket, such as unix:/run/host/host.sock"
                    ),
                    addresses => addresses.with_context(unreachable)?,
                };
                let stream = first_that_answers(&addresses.collect::<Vec<_>>(), timeout).with_context(unreachable)?;
                stream.set_nodelay(true)?;
                stream.into()
            }
        };
        Ok(Exchange { socket, timeout })
    }

    /// Sends a request and waits for its ack.
    pub(super) fn ask(&mut self, command: u8, id: [u8; 8], payload: &[u8]) -> anyhow::Result<Answer> {
        let name = format!("{} {}", name(command), id.escape_ascii());
        ensure!(
            payload.len() <= MAX_PAYLOAD,
            "the payload of {name} is too long for a frame: expected at most {MAX_PAYLOAD} bytes, found {}",
            payload.len()
        );
        let deadline = Instant::now() + self.timeout;
        let mut request = Vec::with_capacity(MIN_FRAME + payload.len());
        client::request(&mut request, command, id, payload);
        let outcome = self
            .send(&request, deadline)
            .and_then(|()| self.receive(command, deadline));
        let answer = outcome.with_context(|| match advice(&request) {
            Some(advice) => format!("no ack for {name} ({advice})"),
            None => format!("no ack for {name}"),
        })?;
        ensure!(
            answer.id == id,
            "expected the ack of {name}, found one of {}: is this a host?",
            answer.id.escape_ascii()
        );
        // Both of protocol.ack.
        let good = [command + 0x7f, command + 0x80];
        ensure!(
            good.contains(&answer.command),
            "expected ack {:#04x} or {:#04x} for {name}, found {:#04x}: is this a host?",
            good[0],
            good[1],
            answer.command
        );
        Ok(answer)
    }

    fn send(&mut self, mut request: &[u8], deadline: Instant) -> Result<(), Broken> {
        while !request.is_empty() {
            self.socket
                .set_write_timeout(Some(left(deadline, 0)?))
                .map_err(Broken::Failed)?;
            match self.socket.write(request) {
                Ok(taken) => request = &request[taken..],
                Err(error) => again(error, 0)?,
            }
        }
        Ok(())
    }

    fn receive(&mut self, request: u8, deadline: Instant) -> Result<Answer, Broken> {
        let mut bytes = Vec::new();
        let mut part = vec![0; PART];
        loop {
            let missing = match client::decode(&bytes) {
                Decoded::Ack { ack, .. } => {
                    return Ok(Answer {
                        request,
                        command: ack.command,
                        id: ack.id,
                        result: ack.result,
                        body: ack.body.to_vec(),
                    });
                }
                Decoded::Malformed { length } => return Err(Broken::NoAck { length }),
                Decoded::Incomplete { missing } => missing.min(PART),
            };
            let came = bytes.len();
            self.socket
                .set_read_timeout(Some(left(deadline, came)?))
                .map_err(Broken::Failed)?;
            match self.socket.read(&mut part[..missing]) {
                Ok(0) => return Err(Broken::Closed { came, reset: "" }),
                Ok(read) => bytes.extend_from_slice(&part[..read]),
                Err(error) => again(error, came)?,
            }
        }
    }
}

fn unix(path: &str, timeout: Duration) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.connect_timeout(&SockAddr::unix(path)?, timeout)?;
    Ok(socket)
}

/// Tries one address after another until one deadline for all. Each has its share of what is left, so that one which says
/// nothing does not keep the next from being tried.
fn first_that_answers(addresses: &[SocketAddr], timeout: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + timeout;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (address, untried) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
        let share = deadline.saturating_duration_since(Instant::now()) / untried;
        if share.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(address, share) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn name(command: u8) -> &'static str {
    match command {
        wire::CONN => "Conn",
        _ => "Submit",
    }
}

/// The time that is left; a timeout of 0 would be none.
fn left(deadline: Instant, came: usize) -> Result<Duration, Broken> {
    let left = deadline.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(Broken::Late { came }),
        false => Ok(left),
    }
}

/// Nothing for what is to be tried again.
fn again(error: io::Error, came: usize) -> Result<(), Broken> {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, Interrupted, TimedOut, WouldBlock};
    match error.kind() {
        Interrupted => Ok(()),
        WouldBlock | TimedOut => Err(Broken::Late { came }),
        BrokenPipe | ConnectionReset | ConnectionAborted => Err(Broken::Closed {
            came,
            reset: " (by a reset)",
        }),
        _ => Err(Broken::Failed(error)),
    }
}

/// What an end without an ack may come from: no host says how large its frames may be.
fn advice(request: &[u8]) -> Option<String> {
    let usual = Server::default().max_frame;
    (request.len() > usual).then(|| {
        format!(
            "the frame has {} bytes, and this host may take fewer: by default server.max_frame is {usual}",
            request.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// An address that does not answer: its listener accepts no connection, and its queue is full.
    #[cfg(target_os = "linux")]
    fn silent() -> (socket2::Socket, Vec<TcpStream>, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).expect("a port");
        socket.listen(0).expect("a listener");
        let address = socket.local_addr().ok().and_then(|address| address.as_socket());
        let address = address.expect("an address");
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(50)).ok();
        let waiting = std::iter::from_fn(connect).take(100).collect();
        (socket, waiting, address)
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn all_addresses_share_the_time() {
        let (_listener, _waiting, silent) = silent();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let good = listener.local_addr().expect("an address");
        let timeout = Duration::from_millis(400);
        let stream = first_that_answers(&[silent, good], timeout).expect("a connection");
        assert_eq!(stream.peer_addr().ok(), Some(good));
        let error = first_that_answers(&[silent; 3], Duration::from_millis(60)).expect_err("nobody");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = first_that_answers(&[good], Duration::ZERO).expect_err("no time");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = first_that_answers(&[], timeout).expect_err("no address");
        assert_eq!(error.to_string(), "the name has no address");
    }

    /// A peer may say nothing, or a byte now and then; or read nothing.
    #[test]
    fn every_wait_has_an_end() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let said = |serve: fn(TcpStream, Receiver<()>), payload: &[u8]| {
            let (until, end) = channel();
            let mut exchange = Exchange::connect(&address, Duration::from_millis(100)).expect("a connection");
            let peer = listener.accept().expect("a connection").0;
            let peer = std::thread::spawn(move || serve(peer, end));
            let error = exchange.ask(0x02, *b"00000001", payload).expect_err("no ack comes");
            drop((exchange, until));
            peer.join().expect("a peer that ends with the connection");
            format!("{error:#}")
        };
        let silent = said(|mut peer, _| drop(peer.read_to_end(&mut Vec::new())), b"x");
        assert_eq!(
            silent,
            "no ack for Submit 00000001: it took too long, 0 bytes of it came"
        );
        let slow = |mut peer: TcpStream, _| {
            let mut bytes = 0x0400_0000_u32.to_be_bytes().into_iter().chain(std::iter::repeat(0));
            while let Some(byte) = bytes.next()
                && peer.write_all(&[byte]).is_ok()
            {
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        assert!(said(slow, b"x").contains("it took too long"));
        // It reads nothing, and is not told of the end: that comes behind what it has not read.
        let deaf = said(|_peer, end| assert!(end.recv().is_err()), &vec![0; MAX_PAYLOAD]);
        assert!(deaf.contains("it took too long, 0 bytes of it came"), "{deaf}");
    }
}
