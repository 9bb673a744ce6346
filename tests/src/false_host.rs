//! Hosts that are none: they answer as a test says, so that what a client finds wrong can be shown to be found.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::client::frame;

/// One request that a false host was sent.
#[derive(Clone)]
pub struct Request {
    pub command: u8,
    pub id: [u8; 8],
    pub payload: Vec<u8>,
}

/// The acks that echo them. (A request and an ack differ in the result alone, which is like one more byte of payload.)
pub fn acks(requests: &[Request]) -> Vec<u8> {
    let ack = |request: &Request| {
        frame(
            request.command + 0x7F,
            &request.id,
            &[&[0], &request.payload[..]].concat(),
        )
    };
    requests.iter().flat_map(ack).collect()
}

/// A listener that does this with one connection; its address.
pub fn listen(serve: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || serve(listener.accept().unwrap().0));
    address
}

/// A false host for one connection: acks its Conn, and has Submits that came together answered by this.
pub fn serve(mut answer: impl FnMut(&[Request], &mut TcpStream) -> std::io::Result<()> + Send + 'static) -> String {
    listen(move |mut stream| {
        stream.set_nodelay(true).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let conn = read_request(&mut reader).unwrap();
        assert_eq!(conn.command, 0x01);
        stream.write_all(&acks(&[conn])).unwrap();
        while let Some(first) = read_request(&mut reader) {
            let mut together = vec![first];
            while is_whole(reader.buffer()) {
                together.extend(read_request(&mut reader));
            }
            if answer(&together, &mut stream).is_err() {
                return;
            }
        }
    })
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut length = [0; 4];
    reader.read_exact(&mut length).ok()?;
    let mut packet = vec![0; u32::from_be_bytes(length) as usize - 4];
    reader.read_exact(&mut packet).ok()?;
    Some(Request {
        command: packet[0],
        id: packet[1..9].try_into().unwrap(),
        payload: packet[9..].to_vec(),
    })
}

fn is_whole(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk().map(|length| u32::from_be_bytes(*length));
    length.is_some_and(|length| bytes.len() >= length as usize)
}
