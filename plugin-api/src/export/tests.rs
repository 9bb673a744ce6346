//! Calls an exported module as a host does: by the functions that `construct` gives, with acks through callbacks. That is all
//! there is of raw pointers in a plugin, so these tests are for Miri as well, which sees what a wrong one would do.

#![allow(unsafe_code)] // the host's side of the boundary; listed in ARCHITECTURE.md

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::abi::{
    AckSink, Bytes, Completions, Connections, Metrics, RawAddress, RawConnection, RawSubmit, Services, Text,
};
use crate::{Ack, Submit};

static DROPPED: AtomicU32 = AtomicU32::new(0);
static RESUMED: AtomicU32 = AtomicU32::new(0);

/// Answers each Submit as its payload says.
struct Single;

impl Handler for Single {
    type Config = ();

    fn init(_: (), context: &Context) -> Result<Self, Error> {
        match context.name() {
            "fails" => Err(Error::new("told to fail")),
            "panics" => panic!("told to panic"),
            _ => Ok(Single),
        }
    }

    fn handle<'a>(&'a self, submit: Submit<'a>) -> Ack<'a> {
        match submit.payload {
            b"panic" => panic!("in a Submit"),
            b"who" => Ack::ok().body(format!("{:?}", submit.connection()).into_bytes()),
            b"" => Ack::ok(),
            body => Ack::result(7).body(body),
        }
    }

    fn shutdown(&self) {
        panic!("in shutdown");
    }

    fn paused(&self) {
        panic!("in paused");
    }

    fn resumed(&self) {
        RESUMED.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// Answers in batches.
struct Batches;

impl Handler for Batches {
    type Config = ();
    const LARGEST_BODY: usize = 4;

    fn init(_: (), _: &Context) -> Result<Self, Error> {
        Ok(Batches)
    }

    fn handle<'a>(&'a self, _: Submit<'a>) -> Ack<'a> {
        Ack::ok()
    }

    fn handle_batch<'a>(&'a self, submits: Submits<'a>, acks: &mut Acks<'_>) {
        for submit in submits {
            match submit.payload {
                b"return" => return,
                b"twice" => acks.push(Ack::ok()),
                b"inner" => acks.answer(|| panic!("in one answer")),
                _ => {}
            }
            acks.push(Ack::ok().body(submit.payload));
        }
    }
}

/// Where the acks of a call go; an ack takes one of the room, whatever it is.
struct Received {
    room: usize,
    acks: Vec<Result<(u8, Vec<u8>), String>>,
}

impl Received {
    fn take(&mut self, ack: Result<(u8, Vec<u8>), String>) -> usize {
        self.acks.push(ack);
        self.room = self.room.saturating_sub(1);
        self.room
    }
}

/// # Safety
/// `state` is a `Received` that nothing else uses meanwhile, as for the two others.
unsafe extern "C" fn push_results(state: *mut (), results: Bytes<'_>) -> usize {
    // SAFETY: see above.
    let received = unsafe { &mut *state.cast::<Received>() };
    for result in results.iter() {
        received.take(Ok((*result, Vec::new())));
    }
    received.room
}

/// # Safety
/// See [`push_results`].
unsafe extern "C" fn push(state: *mut (), result: u8, body: Bytes<'_>) -> usize {
    // SAFETY: see above.
    let received = unsafe { &mut *state.cast::<Received>() };
    received.take(Ok((result, body.to_vec())))
}

/// # Safety
/// See [`push_results`].
unsafe extern "C" fn fail(state: *mut (), reason: Text<'_>) -> usize {
    // SAFETY: see above.
    let received = unsafe { &mut *state.cast::<Received>() };
    received.take(Err(reason.as_str().to_owned()))
}

/// # Safety
/// Nothing is asked of `state`.
unsafe extern "C" fn log(_: *const (), _: Lent<'_, LogEvent<'_>>) {}

fn services() -> Lent<'static, Services> {
    // SAFETY: `log` asks nothing of its arguments.
    static LOG: LazyLock<Log> = LazyLock::new(|| unsafe { Log::new(std::ptr::null(), 5, log) });
    static SERVICES: LazyLock<Services> = LazyLock::new(|| Services {
        log: Lent::new(&LOG),
        metrics: Lent::new(&Metrics {}),
        completions: Lent::new(&Completions {}),
        connections: Lent::new(&Connections {}),
    });
    Lent::new(&SERVICES)
}

fn make(module: &Module, name: &str) -> Outcome<Instance> {
    let args = InitArgs {
        name: name.into(),
        version: "1.0.0".into(),
        data_dir: b"/nowhere"[..].into(),
        config: "{}".into(),
        services: services(),
    };
    (module.init)(Lent::new(&args))
}

/// One call, with so much room.
fn call(module: &Module, instance: Instance, payloads: &[&[u8]], room: usize) -> Vec<Result<(u8, Vec<u8>), String>> {
    let submits: Vec<RawSubmit<'_>> = payloads
        .iter()
        .map(|payload| RawSubmit {
            payload: Bytes::from_slice(payload),
            id: *b"00000001",
            command: 0x10,
        })
        .collect();
    let mut received = Received { room, acks: Vec::new() };
    let state: *mut Received = &mut received;
    let (peer, listener) = (RawAddress::unix(b"/peer"), RawAddress::unix(b"/listener"));
    let connection = RawConnection {
        id: 77,
        started: 5_000_000_000,
        peer: Lent::new(&peer),
        listener: Lent::new(&listener),
        identity: "alice".into(),
    };
    let connection = Lent::new(&connection);
    static SINK: AckSink = AckSink {
        push_results,
        push,
        fail,
    };
    // SAFETY: `state` outlives the call, and only these functions use it meanwhile.
    let batch = unsafe { Batch::new(&submits, connection, &SINK, state.cast(), room) };
    // SAFETY: each test passes an instance that this module made and that it has not released.
    unsafe { (module.handle_batch)(instance, Lent::new(&batch)) };
    received.acks
}

fn ok(result: u8, body: &[u8]) -> Result<(u8, Vec<u8>), String> {
    Ok((result, body.to_vec()))
}

#[test]
fn a_handler_lives_from_init_to_release() {
    let module = &module::<Single>();
    assert_eq!(module.largest_body, 0);
    for (name, error) in [("fails", "told to fail"), ("panics", "told to panic")] {
        let outcome = make(module, name).into_result();
        assert!(outcome.is_err_and(|text| text.as_str().contains(error)), "{name}");
    }
    let instance = make(module, "single").into_result().expect("a handler");
    let mut many: Vec<&[u8]> = vec![b""; 150];
    many.splice(70..71, [&b"body"[..], b"panic"]);
    let acks = call(module, instance, &many, 1000);
    assert_eq!(acks.len(), many.len());
    for (number, ack) in acks.into_iter().enumerate() {
        match number {
            70 => assert_eq!(ack, ok(7, b"body")),
            71 => assert!(ack.is_err_and(|reason| reason.contains("in a Submit"))),
            _ => assert_eq!(ack, ok(0, b"")),
        }
    }

    // With the ack that takes the last of the room it stops, wherever that is.
    for room in 1..many.len() {
        let first = call(module, instance, &many, room);
        assert_eq!(first.len(), room);
    }
    let payloads: [&[u8]; 3] = [b"body", b"panic", b""];
    assert_eq!(call(module, instance, &payloads, 1), [ok(7, b"body")]);
    assert_eq!(call(module, instance, &payloads[1..], 1).len(), 1);

    // SAFETY: the instance is this module's.
    let outcome = unsafe { (module.paused)(instance) };
    assert!(
        outcome
            .into_result()
            .is_err_and(|text| text.as_str().contains("in paused"))
    );
    let before = RESUMED.load(Ordering::Relaxed);
    // SAFETY: as before.
    let outcome = unsafe { (module.resumed)(instance) };
    assert!(outcome.is_ok());
    assert_eq!(RESUMED.load(Ordering::Relaxed), before + 1);

    // SAFETY: as before.
    let outcome = unsafe { (module.shutdown)(instance) };
    assert!(
        outcome
            .into_result()
            .is_err_and(|text| text.as_str().contains("in shutdown"))
    );
    let before = DROPPED.load(Ordering::Relaxed);
    // SAFETY: as before, and it is the last call.
    let outcome = unsafe { (module.release)(instance) };
    assert!(outcome.is_ok());
    assert_eq!(DROPPED.load(Ordering::Relaxed), before + 1);
}

#[test]
fn an_override_answers_for_all_of_its_batch() {
    let module = &module::<Batches>();
    assert_eq!(module.largest_body, 4);
    let instance = make(module, "batches").into_result().expect("a handler");
    let results = |payloads: &[&[u8]], room| {
        let acks = call(module, instance, payloads, room);
        acks.iter().map(Result::is_ok).collect::<Vec<_>>()
    };
    assert_eq!(results(&[b"", b"1234", b"12345", b""], 9), [true, true, false, true]);
    assert_eq!(results(&[b"", b"return", b""], 9), [true, false, false]);
    assert_eq!(results(&[b"", b"twice"], 9), [true, true]);
    assert_eq!(results(&[b"inner", b""], 9), [false, false]);
    // It can't stop, and nothing is lost when there are more acks than room.
    assert_eq!(results(&[b"", b"", b"1", b""], 1), [true; 4]);
    assert_eq!(results(&[&b""[..]; 200], 1), [true; 200]);
    // SAFETY: the instance is this module's, and it is the last call.
    let outcome = unsafe { (module.release)(instance) };
    assert!(outcome.is_ok());
}

#[test]
fn a_handler_sees_whose_a_submit_is() {
    let module = &module::<Single>();
    let instance = make(module, "single").into_result().expect("a handler");
    let acks = call(module, instance, &[b"who", b"", b"who"], 9);
    let [Ok((0, first)), _, Ok((0, last))] = &acks[..] else {
        panic!("{acks:?}");
    };
    assert_eq!(first, last);
    let said = String::from_utf8_lossy(first);
    for part in [
        "id: 77,",
        "peer: Unix(\"/peer\")",
        "listener: Unix(\"/listener\")",
        "started: SystemTime { tv_sec: 5, tv_nsec: 0 }",
        "identity: Some(\"alice\")",
    ] {
        assert!(said.contains(part), "{said}");
    }
    // SAFETY: the instance is this module's, and it is the last call.
    let outcome = unsafe { (module.release)(instance) };
    assert!(outcome.is_ok());
}
