//! What there is to compare with: a server that does what every server of this protocol has to do, and nothing else. An
//! epoll loop on each processor, one read of all that is there, every frame acked with result 0, one write. No plugin, no
//! runtime, no limits, no timeouts, no counters, no log.
//!
//! `PATH_BENCH --floor THREADS` serves; the first line it prints is its address.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

/// As much as the host reads at once.
const READ: usize = 64 * 1024;
/// The shortest frame: length, command, ID.
const MIN_FRAME: usize = 13;
const MAX_FRAME: usize = 64 * 1024;
const ACK: usize = 14;

/// Serves until it is killed.
pub(crate) fn serve(threads: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let loops: Vec<Arc<Loop>> = (0..threads).map(|_| Arc::new(Loop::new())).collect();
    for each in &loops {
        let own = Arc::clone(each);
        std::thread::spawn(move || own.run());
    }
    for (number, stream) in listener.incoming().enumerate() {
        loops[number % threads].adopt(stream.unwrap());
    }
}

struct Loop {
    epoll: OwnedFd,
    /// Accepted, and not known to the loop yet.
    new: Mutex<Vec<TcpStream>>,
}

struct Connection {
    stream: TcpStream,
    /// The beginning of a frame.
    input: Vec<u8>,
    /// What the socket did not take.
    unsent: Vec<u8>,
}

impl Loop {
    fn new() -> Loop {
        Loop {
            epoll: epoll::create(CreateFlags::CLOEXEC).unwrap(),
            new: Mutex::default(),
        }
    }

    fn adopt(&self, stream: TcpStream) {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut new = self.new.lock().unwrap();
        let key = stream.as_raw_fd() as u64;
        epoll::add(&self.epoll, &stream, EventData::new_u64(key), EventFlags::IN).unwrap();
        new.push(stream);
    }

    fn run(&self) {
        let mut connections: Vec<Option<Connection>> = Vec::new(); // by descriptor
        let mut events = Vec::with_capacity(1024);
        let mut scratch = vec![0; READ];
        let mut acks = Vec::with_capacity(READ);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Err(rustix::io::Errno::INTR) => continue,
                outcome => drop(outcome.unwrap()),
            }
            for event in &events {
                let key = event.data.u64() as usize;
                if connections.get(key).is_none_or(Option::is_none) {
                    self.take_new(&mut connections);
                }
                let connection = connections[key].as_mut().unwrap();
                let is_open = connection.attend(&self.epoll, &mut scratch, &mut acks);
                if !is_open {
                    connections[key] = None; // closing it takes it out of the epoll
                }
            }
        }
    }

    fn take_new(&self, connections: &mut Vec<Option<Connection>>) {
        for stream in self.new.lock().unwrap().drain(..) {
            let key = stream.as_raw_fd() as usize;
            if connections.len() <= key {
                connections.resize_with(key + 1, || None);
            }
            connections[key] = Some(Connection {
                stream,
                input: Vec::new(),
                unsent: Vec::new(),
            });
        }
    }
}

impl Connection {
    /// Does what the socket allows; whether the connection goes on.
    fn attend(&mut self, epoll: &OwnedFd, scratch: &mut [u8], acks: &mut Vec<u8>) -> bool {
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            if !self.send(&unsent) {
                return false;
            }
            if !self.unsent.is_empty() {
                return true;
            }
            self.wait_for(epoll, EventFlags::IN);
        }
        let kept = self.input.len();
        scratch[..kept].copy_from_slice(&self.input);
        let read = match self.stream.read(&mut scratch[kept..]) {
            Ok(0) => return false,
            Ok(read) => read,
            Err(error) => return matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        };
        let bytes = &scratch[..kept + read];
        acks.clear();
        let Some(consumed) = answer(bytes, acks) else {
            return false;
        };
        self.input.clear();
        self.input.extend_from_slice(&bytes[consumed..]);
        if !self.send(acks) {
            return false;
        }
        if !self.unsent.is_empty() {
            self.wait_for(epoll, EventFlags::OUT);
        }
        true
    }

    /// Writes, and keeps what is not taken; whether the connection goes on.
    fn send(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(taken) => bytes = &bytes[taken..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.unsent = bytes.to_vec();
                    return true;
                }
                Err(_) => return false,
            }
        }
        true
    }

    fn wait_for(&self, epoll: &OwnedFd, what: EventFlags) {
        let key = self.stream.as_raw_fd() as u64;
        epoll::modify(epoll, &self.stream, EventData::new_u64(key), what).unwrap();
    }
}

/// Acks every whole frame; gives how many bytes these had, none if something can't be a frame.
fn answer(bytes: &[u8], acks: &mut Vec<u8>) -> Option<usize> {
    let mut consumed = 0;
    while let Some(head) = bytes[consumed..].first_chunk::<MIN_FRAME>() {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if !(MIN_FRAME..=MAX_FRAME).contains(&length) || !(0x01..0x80).contains(&head[4]) {
            return None;
        }
        if bytes.len() - consumed < length {
            break;
        }
        let mut ack = [0; ACK];
        ack[3] = ACK as u8;
        ack[4] = head[4] + 0x7F;
        ack[5..13].copy_from_slice(&head[5..13]);
        acks.extend_from_slice(&ack);
        consumed += length;
    }
    Some(consumed)
}
