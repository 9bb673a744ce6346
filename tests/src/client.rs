//! A client that speaks bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::host::PATIENCE;

/// One connection to a host.
pub struct Client<S = TcpStream> {
    pub stream: S,
}

/// An ack as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    pub command: u8,
    pub id: [u8; 8],
    pub result: u8,
    pub body: Vec<u8>,
}

/// A request frame.
pub fn frame(command: u8, id: &[u8; 8], payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(13 + payload.len()).unwrap().to_be_bytes().to_vec();
    frame.push(command);
    frame.extend_from_slice(id);
    frame.extend_from_slice(payload);
    frame
}

/// An ID that is this number, in decimal digits.
pub fn id(number: usize) -> [u8; 8] {
    format!("{number:08}").into_bytes().try_into().unwrap()
}

/// Bytes from hexadecimal digits; spaces are for the reader.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

/// Reads one ack; `None` at the end of the stream.
#[track_caller]
pub fn read_ack(stream: &mut impl Read) -> Option<Ack> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return None,
        Err(error) => panic!("no ack: {error}"),
    }
    let length = u32::from_be_bytes(length) as usize;
    assert!((14..=1 << 20).contains(&length), "an ack of {length} bytes");
    let mut packet = vec![0; length - 4];
    stream.read_exact(&mut packet).unwrap();
    let id = packet[1..9].try_into().unwrap();
    Some(Ack {
        command: packet[0],
        id,
        result: packet[9],
        body: packet[10..].to_vec(),
    })
}

impl Client {
    #[track_caller]
    pub fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream }
    }
}

impl Client<UnixStream> {
    /// To a Unix socket.
    #[track_caller]
    pub fn connect_unix(path: &Path) -> Client<UnixStream> {
        let stream = UnixStream::connect(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { stream }
    }
}

impl<S: Read + Write> Client<S> {
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Reads one ack.
    #[track_caller]
    pub fn ack(&mut self) -> Ack {
        self.try_ack().expect("an ack, found the end of the stream")
    }

    /// Reads one ack; `None` at the end of the stream.
    #[track_caller]
    pub fn try_ack(&mut self) -> Option<Ack> {
        read_ack(&mut self.stream)
    }

    /// Sends one Submit and reads its ack.
    #[track_caller]
    pub fn submit(&mut self, command: u8, payload: &[u8]) -> Ack {
        let id = *b"00000001";
        self.send(&frame(command, &id, payload));
        let ack = self.ack();
        assert_eq!((ack.command, ack.id), (command + 0x7F, id));
        ack
    }

    /// Reads to the end of the stream; `Err` when the connection was reset.
    pub fn rest(&mut self) -> std::io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).map(|_| rest)
    }
}
