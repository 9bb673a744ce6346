//! The author's side: one trait, what it is given and what it answers. Plain Rust; nothing here crosses the boundary.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::{Acks, Context, Error, Submits};

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
    /// host's patience may still be running.
    ///
    /// A version that another one of its compatibility line took over from is not shut down at once: it waits in standby, in
    /// case the operator rolls back, for as long as its file is there (unless `plugins.standby = "shutdown"`). Nothing is
    /// called then, and it is not told: threads, timers and connections that it has opened go on, beside those of its
    /// successor. One that a version of another line took over from (2.0.0 after 1.x, by `version = "2"`) is shut down.
    fn shutdown(&self) {}
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Submit<'a> {
    /// The request's command, 0x02 to 0x7F.
    pub command: u8,
    /// The client's ID for it: opaque bytes, echoed in the ack.
    pub id: [u8; 8],
    /// The rest of the packet; may be empty.
    pub payload: &'a [u8],
}

/// The answer to one Submit: a result and, if given, a body.
#[derive(Clone, Debug)]
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
}
