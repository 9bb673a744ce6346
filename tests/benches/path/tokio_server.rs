//! The other way to serve plugins: on tokio, a current-thread runtime for each processor and a task for each connection. The
//! host's own manager loads the plugins, their route table is looked up as in the host, and a call has as many Submits. No limits,
//! no timeouts, no counters, no log; and nobody takes over from a handler that blocks.
//!
//! Readiness is polled with the thread's buffers at hand, so that a connection owns none, and tokio learns from a read that fills
//! no buffer that there is no more: a second read for that would double the cost of an ack.
//!
//! `PATH_BENCH --tokio THREADS PLUGINS_TOML` serves; the first line it prints is its address.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use host::dispatch::routes::Reader;
use host::dispatch::target::Target;
use plugin_api::abi::{Bytes, Lent, RawAddress, RawConnection, RawSubmit};
use tests::inside::Plugins;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use wire::result::{NO_PLUGIN, SUCCESS};
use wire::{AckNumbering, AckWriter, Decoded};

/// As much as the host reads at once.
const READ: usize = 64 * 1024;
const MAX_FRAME: usize = 64 * 1024;
/// As many Submits as the host passes at once.
const LARGEST_CALL: usize = 1024;

/// Serves until it is killed.
pub(crate) fn serve(threads: usize, configuration: &Path) {
    let plugins = Plugins::load(configuration);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let runtimes: Vec<_> = (0..threads)
        .map(|_| start(plugins.routes().reader(), address))
        .collect();
    println!("{address}");
    for (number, stream) in listener.incoming().enumerate() {
        runtimes[number % threads].send(stream.unwrap()).unwrap();
    }
}

/// Starts a runtime on a thread of its own; it serves the connections that are sent to it.
fn start(routes: Arc<Reader>, listener: SocketAddr) -> UnboundedSender<std::net::TcpStream> {
    let (sender, mut accepted) = unbounded_channel::<std::net::TcpStream>();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async move {
            for id in 1.. {
                let Some(stream) = accepted.recv().await else {
                    return;
                };
                tokio::spawn(Connection::new(id, stream, listener, Arc::clone(&routes)).serve());
            }
        });
    });
    sender
}

/// What a thread lends to whichever connection has something to read.
struct Scratch {
    input: Box<[u8]>,
    output: Vec<u8>,
    /// Empty between calls.
    submits: Vec<RawSubmit<'static>>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        input: vec![0; READ].into_boxed_slice(),
        output: Vec::new(),
        submits: Vec::new(),
    });
}

struct Connection {
    stream: TcpStream,
    id: u64,
    peer: RawAddress<'static>,
    listener: RawAddress<'static>,
    routes: Arc<Reader>,
    /// The beginning of a frame.
    input: Vec<u8>,
    /// What the socket did not take.
    unsent: Vec<u8>,
}

impl Connection {
    fn new(id: u64, stream: std::net::TcpStream, listener: SocketAddr, routes: Arc<Reader>) -> Connection {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection {
            peer: stream.peer_addr().unwrap_or(listener).into(),
            stream: TcpStream::from_std(stream).unwrap(),
            id,
            listener: listener.into(),
            routes,
            input: Vec::new(),
            unsent: Vec::new(),
        }
    }

    /// Until the peer ends, breaks the protocol, or is lost.
    async fn serve(mut self) {
        while let Ok(true) = poll_fn(|context| self.poll_turn(context)).await {
            if !self.unsent.is_empty() {
                let unsent = std::mem::take(&mut self.unsent);
                if self.stream.write_all(&unsent).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Once there is something to read: one read, an answer to every whole frame, one write. Whether the connection goes on.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let kept = self.input.len();
            let mut read = ReadBuf::new(&mut scratch.input[kept..]);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
            let end = kept + read.filled().len();
            if end == kept {
                return Poll::Ready(Ok(false));
            }
            scratch.input[..kept].copy_from_slice(&self.input);
            let bytes = &scratch.input[..end];
            let mut acks = AckWriter::new(&mut scratch.output, AckNumbering::Go, MAX_FRAME, usize::MAX / 2);
            let mut submits = std::mem::take(&mut scratch.submits);
            let consumed = self.answer(bytes, &mut submits, &mut acks);
            submits.clear();
            // The same room for another lifetime: collected in its place.
            scratch.submits = submits.into_iter().map_while(|_| None).collect();
            let Some(consumed) = consumed else {
                return Poll::Ready(Ok(false));
            };
            self.input.clear();
            self.input.extend_from_slice(&bytes[consumed..]);
            let acks = acks.finish();
            if !acks.is_empty() {
                let taken = match Pin::new(&mut self.stream).poll_write(context, acks) {
                    Poll::Ready(taken) => taken?,
                    Poll::Pending => 0,
                };
                self.unsent.extend_from_slice(&acks[taken..]);
            }
            Poll::Ready(Ok(true))
        })
    }

    /// Acks every whole frame, with a call for neighbours that have the same target; gives how many bytes these had, none if
    /// something can't be a frame.
    fn answer<'b>(&self, bytes: &'b [u8], submits: &mut Vec<RawSubmit<'b>>, acks: &mut AckWriter<'_>) -> Option<usize> {
        let connection = RawConnection {
            id: self.id,
            started: 0,
            peer: Lent::new(&self.peer),
            listener: Lent::new(&self.listener),
            identity: "".into(),
        };
        let mut consumed = 0;
        while consumed < bytes.len() {
            let table = self.routes.lock();
            let mut target: Option<&Target> = None;
            while submits.len() < LARGEST_CALL {
                let (packet, length) = match wire::decode(&bytes[consumed..], MAX_FRAME) {
                    Decoded::Frame { packet, length } => (packet, length),
                    Decoded::Incomplete { .. } => break,
                    Decoded::Malformed(_) => return None,
                };
                match (target, table.get(packet.command)) {
                    (None, None) => {
                        let is_submit = wire::is_submit(packet.command);
                        let result = if is_submit { NO_PLUGIN } else { SUCCESS };
                        acks.ack(packet.command, packet.id, result, &[]);
                    }
                    (None, found) => target = found,
                    (Some(target), Some(found)) if target.is_same(found) => {}
                    _ => break,
                }
                if target.is_some() {
                    submits.push(RawSubmit {
                        payload: Bytes::from_slice(packet.payload),
                        id: *packet.id,
                        command: packet.command.into(),
                    });
                }
                consumed += length;
            }
            let call = target.map(Target::begin_call);
            drop(table); // a call may take long, and who replaces the table waits for the lock
            let Some(call) = call else {
                break; // the beginning of a frame, at most
            };
            let answered = call.answer(Lent::new(&connection), submits, acks);
            assert_eq!(answered, submits.len(), "there is always room for acks");
            submits.clear();
        }
        Some(consumed)
    }
}
