//! The host's log, and the events that go there.

#![allow(unsafe_code)] // the boundary; listed in ARCHITECTURE.md
#![allow(dead_code)] // getters that abi_stable's derive makes of private fields, for its own way to pass structs

use std::hash::{Hash, Hasher};

use super::lent::growing;
use super::{Lent, Many, Text};

growing! {
    /// The host's log, lent to a library for good.
    pub struct Log: LogRef, LogFirst {
        /// The host's own.
        state: *const (),
        /// The most verbose level that the host will write for this plugin when the library gets its log: 0 none, 1 error to 5
        /// trace. A host that changes its mind later says so by [`Module::level_changed`](super::Module::level_changed).
        pub max_level: usize,
        /// Writes one event.
        #[sabi(last_prefix_field)]
        log: unsafe extern "C" fn(state: *const (), event: Lent<'_, LogEvent<'_>>),
    }
}

// SAFETY: whoever makes one promises (see `Log::new`) that any thread may call it.
unsafe impl Send for Log {}
// SAFETY: as above.
unsafe impl Sync for Log {}

impl Log {
    /// `max_level`: see [`Log::max_level`].
    ///
    /// # Safety
    /// `log` may be called with `state` from any thread, as long as the process lasts.
    pub unsafe fn new(
        state: *const (),
        max_level: usize,
        log: unsafe extern "C" fn(*const (), Lent<'_, LogEvent<'_>>),
    ) -> Log {
        Log { state, max_level, log }
    }
}

impl Lent<'static, Log> {
    /// Writes one event to the host's log.
    pub fn log(self, event: &LogEvent<'_>) {
        let log = self.first();
        // SAFETY: `Log::new` was promised just this.
        unsafe { (log.log)(log.state, Lent::new(event)) }
    }
}

growing! {
    /// One event for the host's log.
    ///
    /// What more there is to say of an event is rather one more entry of `about`, under a name that older hosts pass over, than
    /// a field; another type of value is another kind of it (see [`Scalar`]).
    #[derive(Clone, Copy)]
    pub struct LogEvent<'a>: LogEventRef, LogEventFirst {
        /// 1 error, 2 warn, 3 info, 4 debug, 5 trace.
        pub level: usize,
        /// What happened, without the fields.
        pub message: Text<'a>,
        /// What the author's code says of it, under names of its own choice.
        pub fields: Many<'a, LogField<'a>>,
        /// What this crate says of it, under the names that are listed as `ABOUT_...`; each is there at most once.
        #[sabi(last_prefix_field)]
        pub about: Many<'a, LogField<'a>>,
    }
}

/// A text: the module that an event comes from, or what stands in its place (the target, in `tracing` and `log`).
pub const ABOUT_MODULE: &str = "module";

impl<'a> LogEvent<'a> {
    /// A message by itself.
    pub fn new(level: usize, message: &'a str) -> LogEvent<'a> {
        LogEvent {
            level,
            message: message.into(),
            fields: Many::new(&[]),
            about: Many::new(&[]),
        }
    }
}

growing! {
    /// One field of an event: its name, and its value as it crosses. See [`Scalar`], which it is made of and gives back.
    #[derive(Clone, Copy)]
    pub struct LogField<'a>: LogFieldRef, LogFieldFirst {
        name: Text<'a>,
        /// Which type the value is of. One that the reader does not know is read as [`Scalar::Shown`], so a newer one fills in
        /// `text` too.
        kind: usize,
        /// A number's bits, as wide as they are.
        bits: u64,
        #[sabi(last_prefix_field)]
        text: Text<'a>,
    }
}

/// What a field's value may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// A text.
    Text(&'a str),
    /// The text that a value of another type shows itself by.
    Shown(&'a str),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Signed(i64),
    /// A whole number from 0.
    Unsigned(u64),
    /// A number, or what is none: `NaN`, infinities.
    Float(f64),
}

const TEXT: usize = 0;
const SHOWN: usize = 1;
const BOOL: usize = 2;
const SIGNED: usize = 3;
const UNSIGNED: usize = 4;
const FLOAT: usize = 5;

impl<'a> LogField<'a> {
    /// A field of this name.
    pub fn new(name: &'a str, value: Scalar<'a>) -> LogField<'a> {
        let (kind, bits, text) = match value {
            Scalar::Text(text) => (TEXT, 0, text),
            Scalar::Shown(text) => (SHOWN, 0, text),
            Scalar::Bool(value) => (BOOL, value.into(), ""),
            Scalar::Signed(number) => (SIGNED, number.cast_unsigned(), ""),
            Scalar::Unsigned(number) => (UNSIGNED, number, ""),
            Scalar::Float(number) => (FLOAT, number.to_bits(), ""),
        };
        LogField {
            name: name.into(),
            kind,
            bits,
            text: text.into(),
        }
    }
}

impl<'a> Lent<'a, LogField<'a>> {
    /// The field's name.
    pub fn name(self) -> &'a str {
        self.first().name.as_str()
    }

    /// The field's value.
    pub fn value(self) -> Scalar<'a> {
        let field = self.first();
        match field.kind {
            TEXT => Scalar::Text(field.text.as_str()),
            BOOL => Scalar::Bool(field.bits != 0),
            SIGNED => Scalar::Signed(field.bits.cast_signed()),
            UNSIGNED => Scalar::Unsigned(field.bits),
            FLOAT => Scalar::Float(f64::from_bits(field.bits)),
            _ => Scalar::Shown(field.text.as_str()),
        }
    }
}

impl Hash for Lent<'_, LogField<'_>> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.name, self.kind, self.bits, self.text).hash(state);
    }
}

/// Of a list of fields, what they say: neither where they are nor how much room they take.
impl Hash for Many<'_, LogField<'_>> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        self.iter().for_each(|field| field.hash(state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cross_as_they_are_and_unknown_kinds_as_their_text() {
        for scalar in [
            Scalar::Text("text"),
            Scalar::Shown("Some(7)"),
            Scalar::Bool(true),
            Scalar::Bool(false),
            Scalar::Signed(i64::MIN),
            Scalar::Unsigned(u64::MAX),
            Scalar::Float(-0.5),
            Scalar::Float(f64::INFINITY),
        ] {
            let field = LogField::new("name", scalar);
            assert_eq!((Lent::new(&field).name(), Lent::new(&field).value()), ("name", scalar));
        }
        let newer = LogField {
            kind: 200,
            bits: 1,
            ..LogField::new("when", Scalar::Text("2026-01-01"))
        };
        assert_eq!(Lent::new(&newer).value(), Scalar::Shown("2026-01-01"));
    }
}
