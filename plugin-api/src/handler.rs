//! The author's side: one trait, what it is given and what it answers. Plain Rust; nothing here crosses the boundary.

use std::borrow::Cow;
use std::fmt;

use serde::de::DeserializeOwned;

use crate::{Acks, Connection, Context, Error, Submits};

/// Answers Submits. One value serves all connections at once.
pub trait Handler: Sized + Send + Sync + 'static {
    /// The plugin's own configuration: its `[plugin.NAME.config]` table. `()` takes none.
    ///
    /// With `#[serde(deny_unknown_fields)]` a mistyped key is an error that names it.
    type Config: DeserializeOwned;

    /// The largest body, in bytes, that an override of [`Handler::handle_batch`] gives. The default one needs none: it stops
    /// where a connection has no room for further acks, which an override can't. So the host calls an override with no more
    /// Submits than there is room for acks with bodies of this size, or with one; a larger body fails its Submit (result 0xF1).
    const LARGEST_BODY: usize = 0;

    /// Makes the handler. Called once for each configuration, before any Submit.
    ///
    /// # Errors
    /// An error keeps the plugin out of service; its text reaches the operator.
    fn init(config: Self::Config, context: &Context) -> Result<Self, Error>;

    /// Answers one Submit. Called from several threads at once; it should not block: that costs the host a thread.
    ///
    /// # Panics
    /// A panic fails this Submit (result 0xF1) and is logged with its message and place.
    fn handle<'a>(&'a self, submit: Submit<'a>) -> Ack<'a>;

    /// Answers all Submits that arrived together, one ack each, in their order.
    ///
    /// Override it where a batch is cheaper than its parts (one database round trip, say), and say with
    /// [`Handler::LARGEST_BODY`] what bodies it gives, if any. A panic in an override fails all Submits of the batch that have
    /// no ack yet. The default stops when a connection has no room for further acks; the rest comes in another batch.
    fn handle_batch<'a>(&'a self, submits: Submits<'a>, acks: &mut Acks<'_>) {
        acks.answer_all(submits, |submit| self.handle(submit));
    }

    /// The host is done with this handler; called once: when the plugin is taken away (no link, disabled), when the content
    /// under its file's name was replaced, or its configuration changed, and when the host ends. Calls that outlived the
    /// host gives them may still be running.
    ///
    /// A version that another one of its compatibility line took over from is not shut down at once: it waits in standby, in
    /// case the operator rolls back, for as long as its file is there (unless `plugins.standby = "shutdown"`). [`Handler::paused`]
    /// tells it so, and [`Handler::resumed`] before it serves again; threads, timers and connections that it does not stop by
    /// itself go on meanwhile, beside those of its successor. One that a version of another line took over from (2.0.0 after 1.x,
    /// by `version = "2"`) is shut down.
    fn shutdown(&self) {}

    /// This handler gets no more Submits until [`Handler::resumed`]: calls that it was in have returned. It may let go of what it
    /// needs for Submits alone, and stop what it does by itself. It may be shut down without being resumed. A panic, or a call that
    /// does not return within `plugins.init_timeout`, is logged; neither `resumed` nor `shutdown` is called before it returns.
    fn paused(&self) {}

    /// This handler, which was paused, is about to get Submits again. After a panic, or when it does not return within
    /// `plugins.init_timeout`, it is shut down, and what served goes on.
    fn resumed(&self) {}
}

/// One request.
#[derive(Clone, Copy)]
pub struct Submit<'a> {
    /// The request's command, 0x02 to 0x7F.
    pub command: u8,
    /// The client's ID for it: opaque bytes, echoed in the ack.
    pub id: [u8; 8],
    /// The rest of the packet; may be empty.
    pub payload: &'a [u8],
    pub(crate) connection: Connection<'a>,
}

impl<'a> Submit<'a> {
    /// A request for the author's own tests, on a connection that is made up: its number is 0, its peer 0.0.0.0:0.
    pub fn new(command: u8, id: [u8; 8], payload: &'a [u8]) -> Submit<'a> {
        Submit {
            command,
            id,
            payload,
            connection: Connection::made_up(),
        }
    }

    /// The same request on another connection, see [`Connection::for_test`].
    #[inline]
    pub fn on(self, connection: Connection<'a>) -> Submit<'a> {
        Submit { connection, ..self }
    }

    /// The connection that it came by.
    #[inline]
    pub fn connection(&self) -> Connection<'a> {
        self.connection
    }
}

impl fmt::Debug for Submit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submit")
            .field("command", &format_args!("{:#04x}", self.command))
            .field("id", &Shown(&self.id))
            .field("payload", &Shown(self.payload))
            .field("connection", &self.connection.id())
            .finish()
    }
}

/// Bytes as text, which most are, with escapes for the others.
struct Shown<'a>(&'a [u8]);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// The answer to one Submit: a result and, if given, a body.
#[derive(Clone, PartialEq, Eq)]
pub struct Ack<'a> {
    pub(crate) result: u8,
    pub(crate) body: Cow<'a, [u8]>,
}

impl<'a> Ack<'a> {
    /// Success: result 0.
    pub fn ok() -> Ack<'a> {
        Ack::result(0)
    }

    /// Any result: 0 is success, 1 to 0xEF are the plugin's own.
    ///
    /// 0xF0 and above belong to the host; one of those reaches the client as 0xF1 (handler failed).
    pub fn result(result: u8) -> Ack<'a> {
        Ack {
            result,
            body: Cow::Borrowed(&[]),
        }
    }

    /// With a body: at most the host's `max_frame` less 14 bytes, else the client gets 0xF1. A borrowed body (the
    /// payload, the handler's own state) goes straight into the connection's output.
    pub fn body(self, body: impl Into<Cow<'a, [u8]>>) -> Ack<'a> {
        Ack {
            body: body.into(),
            ..self
        }
    }

    /// The result that was given.
    pub fn result_code(&self) -> u8 {
        self.result
    }

    /// The body that was given; empty for none.
    pub fn body_bytes(&self) -> &[u8] {
        &self.body
    }
}

impl fmt::Debug for Ack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack")
            .field("result", &format_args!("{:#04x}", self.result))
            .field("body", &Shown(&self.body))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_are_compared_by_what_a_client_gets() {
        let borrowed = Ack::result(7).body(&b"body\0"[..]);
        assert_eq!(borrowed, Ack::result(7).body(b"body\0".to_vec()));
        assert_eq!((borrowed.result_code(), borrowed.body_bytes()), (7, &b"body\0"[..]));
        assert_eq!(Ack::ok(), Ack::result(0).body(Vec::new()));
        assert_ne!(Ack::ok(), Ack::result(1));
        assert_ne!(Ack::ok(), Ack::ok().body(&b"0"[..]));
        assert_eq!(format!("{borrowed:?}"), r#"Ack { result: 0x07, body: "body\x00" }"#);
    }

    #[test]
    fn a_test_may_make_a_submit() {
        let submit = Submit::new(0x02, *b"00000001", b"hello");
        assert_eq!(
            (submit.command, submit.id, submit.payload),
            (0x02, *b"00000001", &b"hello"[..])
        );
        let shown = r#"Submit { command: 0x02, id: "00000001", payload: "hello", connection: 0 }"#;
        assert_eq!(format!("{submit:?}"), shown);
        let connection = Connection::for_test(7, ([192, 0, 2, 1], 4711).into(), None);
        assert_eq!(submit.on(connection).connection().id(), 7);
    }
}
