//! A handler instance: one init of a library with a configuration, called for batches of Submits from any thread.
//!
//! Each instance has one init, in `Handler::init`, one shutdown, in [`Handler::shutdown`], and is released when the last
//! reference to it goes: a call in flight holds one. Who holds instances, and for how long, is `plugin`'s and `instances`'.

#![allow(unsafe_code)] // the boundary; listed in ARCHITECTURE.md

use std::fmt::Display;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plugin_api::abi::{AckSink, Batch, Bytes, HandleBatch, InitArgs, Instance, Lent, RawConnection, RawSubmit, Text};
use plugin_record::Record;
use plugin_record::{Code, Refusal};
use wire::result::{FIRST_OF_HOST, HANDLER_FAILED};
use wire::{AckWriter, MIN_ACK};

use super::call_with_deadline::within;
use super::data_dir;
use super::instance_numbers;
use super::library::{Library, contain};
use crate::admission::admit::Admitted;
use crate::logging::{self, FieldValue, LEFT_OUT, RateLimit};
use crate::process::async_runtime::AsyncRuntime;
use crate::unavailable::LoadError;

const FAILED: &str = "handler failed";

/// Logs that a call into the plugin failed. A macro, for the message of an event must be known at compile time.
macro_rules! log_failure {
    ($handler:expr, $outcome:expr, $message:literal) => {
        if let Err(error) = $outcome.into_result() {
            tracing::error!(
                plugin = $handler.name(),
                version = %$handler.version(),
                reason = &*logging::cut(error.as_str()),
                $message
            );
        }
    };
}

/// A handler that is ready to answer.
pub struct Handler {
    library: Library,
    instance: Instance,
    number: u64,
    /// Kept beside the module: that is one step less on the way of each batch.
    handle_batch: HandleBatch,
    longest_ack: NonZero<usize>,
    submits: AtomicU64,
    /// Held while the plugin's `paused`, `resumed` or `shutdown` runs, so that none of them meets another; taken only on threads
    /// that are theirs, for which nobody waits without a deadline.
    knows_that_it_is_paused: Mutex<bool>,
    /// Whether it is to be paused.
    is_paused: AtomicBool,
    is_shut_down: AtomicBool,
    /// Of the lines about Submits that failed; a Submit costs its sender little.
    failures: RateLimit,
}

impl Handler {
    /// Runs the plugin's init, on a thread of its own so that one that never returns holds nobody up.
    ///
    /// # Errors
    /// When init fails, panics, or takes longer than `timeout`; what the machine lacks; and when it is time to stop. A
    /// handler that comes later is shut down at once.
    pub(super) fn init(
        library: Library,
        config: String,
        data_dir: &Path,
        timeout: Duration,
        runtime: &AsyncRuntime,
    ) -> Result<Handler, LoadError> {
        let data_dir = data_dir.to_owned();
        let init = move || Handler::init_here(library, &config, &data_dir);
        within(timeout, runtime, "init", init, |late| {
            if let Ok(late) = late {
                late.shutdown();
            }
        })
    }

    fn init_here(library: Library, config: &str, data_dir: &Path) -> Result<Handler, LoadError> {
        use std::os::unix::ffi::OsStrExt;
        let record = library.record();
        let version = record.version.to_string();
        data_dir::make(data_dir, &record.name, &version);
        let args = InitArgs {
            name: record.name.as_str().into(),
            version: version.as_str().into(),
            data_dir: data_dir.as_os_str().as_bytes().into(),
            config: config.into(),
            services: library.services(),
        };
        let outcome = (library.module().init)(Lent::new(&args)).into_result();
        let instance = outcome.map_err(|error| {
            Refusal::new(
                Code::LoadInit,
                "init",
                "a handler",
                error.as_str(),
                "# see the plugin's own documentation",
            )
        })?;
        let handle_batch = library.module().handle_batch;
        let (name, version) = (args.name.to_string(), version.clone());
        let failures = RateLimit::new(move |lines| {
            tracing::error!(plugin = name, version, lines, like = FAILED, "{LEFT_OUT}");
        });
        let longest_ack = library.module().largest_body.saturating_add(MIN_ACK);
        let longest_ack = NonZero::new(longest_ack).unwrap_or(NonZero::<usize>::MAX);
        let number = instance_numbers::give(&record.name, &record.version);
        Ok(Handler {
            library,
            instance,
            number,
            handle_batch,
            longest_ack,
            submits: AtomicU64::new(0),
            knows_that_it_is_paused: Mutex::new(false),
            is_paused: AtomicBool::new(false),
            is_shut_down: AtomicBool::new(false),
            failures,
        })
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        &self.record().name
    }

    /// The plugin's version.
    pub fn version(&self) -> &semver::Version {
        &self.record().version
    }

    /// The number of this instance, see [`instance_numbers`].
    #[inline]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The library that it is of.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// What was admitted.
    pub fn admitted(&self) -> &Arc<Admitted> {
        self.library.admitted()
    }

    /// How many Submits this instance has answered.
    pub fn submits(&self) -> u64 {
        self.submits.load(Ordering::Relaxed)
    }

    /// How many bytes an ack of its has at most where it can't stop when there is no more room.
    #[inline]
    pub fn longest_ack(&self) -> NonZero<usize> {
        self.longest_ack
    }

    /// See [`InFlight::answer`](super::plugin::InFlight::answer).
    pub(super) fn answer(
        &self,
        connection: Lent<'_, RawConnection<'_>>,
        submits: &[RawSubmit<'_>],
        acks: &mut AckWriter<'_>,
    ) -> usize {
        let room = acks.room();
        let mut owed = Owed {
            plugin: self,
            submits,
            acks,
        };
        let state: *mut Owed<'_, '_> = &mut owed;
        static SINK: AckSink = AckSink {
            push_results,
            push,
            fail,
        };
        // SAFETY: `state` points to `owed`, which outlives the call below and is touched by nothing else meanwhile.
        let batch = unsafe { Batch::new(submits, connection, &SINK, state.cast(), room) };
        // SAFETY: the instance came from this module's init and is released in `drop` alone.
        unsafe { (self.handle_batch)(self.instance, Lent::new(&batch)) };
        // plugin-api sees to it that nothing is left without need; an ack that is owed is given all the same.
        while !owed.submits.is_empty() && owed.acks.room() > 0 {
            owed.fail("the plugin returned without an ack for this Submit");
        }
        let answered = submits.len() - owed.submits.len();
        // Once for each batch, and each instance has its own.
        self.submits.fetch_add(answered as u64, Ordering::Relaxed);
        answered
    }

    /// Notes that the handler is to be paused, by [`Handler::pause`]; whether that is news. Only for when no call is in it any
    /// more.
    pub(super) fn begin_pause(&self) -> bool {
        !self.is_paused.swap(true, Ordering::AcqRel)
    }

    /// There is nothing to pause it with.
    pub(super) fn cancel_pause(&self) {
        self.is_paused.store(false, Ordering::Release);
    }

    /// Tells the handler that it gets no more Submits until [`Handler::resume`]. Does nothing where the handler knows already, was
    /// resumed or shut down meanwhile, or is not to be paused.
    pub(super) fn pause(&self) {
        let mut knows = self.lock();
        if *knows || !self.is_paused() || self.is_shut_down.load(Ordering::Acquire) {
            return;
        }
        *knows = true;
        // SAFETY: the instance came from this module's init and is released in `drop` alone.
        let outcome = unsafe { (self.library.module().paused)(self.instance) };
        log_failure!(self, outcome, "pause failed");
    }

    /// Whether it is paused, or is to be, and was not resumed since.
    pub fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Acquire)
    }

    /// Tells the handler that it may get Submits again: before it does, and once its `paused` has returned. Does nothing where the
    /// handler does not know that it is paused, or was shut down.
    ///
    /// # Errors
    /// When it panics: it is not what it was, and must not serve.
    pub(super) fn resume(&self) -> Result<(), Refusal> {
        let mut knows = self.lock();
        if *knows && !self.is_shut_down.load(Ordering::Acquire) {
            // SAFETY: as in `pause`.
            let outcome = unsafe { (self.library.module().resumed)(self.instance) };
            outcome.into_result().map_err(|error| not_resumed(error.as_str()))?;
            *knows = false;
        }
        // Only now: one whose `resumed` hangs or has panicked is paused still, whatever else asks for it.
        self.is_paused.store(false, Ordering::Release);
        Ok(())
    }

    /// Calls the handler's shutdown, the first time, once its `paused` or `resumed` has returned; later calls do nothing.
    pub fn shutdown(&self) {
        if self.is_shut_down.swap(true, Ordering::AcqRel) {
            return; // from here on nothing else begins, nor does what waits for the lock
        }
        let _one_at_a_time = self.lock();
        // SAFETY: as in `pause`.
        let outcome = unsafe { (self.library.module().shutdown)(self.instance) };
        log_failure!(self, outcome, "shutdown failed");
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.knows_that_it_is_paused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self) -> &Record {
        self.library.record()
    }
}

/// A handler that can't go on.
fn not_resumed(found: &str) -> Refusal {
    let cure = "# see the plugin's own documentation; another version, or its file brought again, serves in its place";
    Refusal::new(Code::LoadInit, "resumed", "a handler that goes on", found, cure)
}

impl Drop for Handler {
    fn drop(&mut self) {
        // SAFETY: dropping means that no reference is left, so nothing is inside the instance or will call it again.
        let outcome = unsafe { (self.library.module().release)(self.instance) };
        log_failure!(self, outcome, "dropping the handler failed");
    }
}

/// What the plugin's acks are matched with while it answers.
struct Owed<'a, 'w> {
    plugin: &'a Handler,
    /// Those without an ack yet.
    submits: &'a [RawSubmit<'a>],
    acks: &'a mut AckWriter<'w>,
}

impl Owed<'_, '_> {
    /// Acks the next Submits if there is nothing wrong with these results; whether it did.
    fn try_results(&mut self, results: &[u8]) -> bool {
        let Some((submits, rest)) = self.submits.split_at_checked(results.len()) else {
            return false;
        };
        if results.iter().any(|result| *result >= FIRST_OF_HOST) {
            return false;
        }
        let acks = submits.iter().zip(results);
        self.acks
            .acks(acks.map(|(submit, result)| (submit.command as u8, &submit.id, *result)));
        self.submits = rest;
        true
    }

    /// Acks the next Submit if there is nothing wrong with this ack; whether it did.
    #[inline(always)] // the callbacks are little else, and a call costs a third of it
    fn try_push(&mut self, result: u8, body: &[u8]) -> bool {
        let Some((submit, rest)) = self.submits.split_first() else {
            return false;
        };
        if result >= FIRST_OF_HOST || !self.acks.try_ack(submit.command as u8, &submit.id, result, body) {
            return false;
        }
        self.submits = rest;
        true
    }

    #[cold]
    fn push_wrong(&mut self, result: u8, body: &[u8]) {
        if result >= FIRST_OF_HOST {
            self.fail(format_args!(
                "result {result:#04x} is the host's, a handler may use 0x00 to 0xef"
            ));
        } else {
            let most = self.acks.max_body();
            self.fail(format_args!("an ack body of {} bytes, the most is {most}", body.len()));
        }
    }

    #[cold]
    fn fail(&mut self, reason: impl Display) {
        let Some((submit, rest)) = self.submits.split_first() else {
            return;
        };
        self.submits = rest;
        let command = submit.command as u8;
        self.acks.ack(command, &submit.id, HANDLER_FAILED, &[]);
        if self.plugin.failures.admits() {
            tracing::error!(
                plugin = self.plugin.name(),
                version = %self.plugin.version(),
                command = FieldValue::Command(command).field(),
                id = %submit.id.escape_ascii(),
                reason = &*logging::cut(&reason.to_string()),
                "{FAILED}"
            );
        }
    }
}

/// # Safety
/// `state` is the `Owed` of the call that is running, and nothing else uses it meanwhile.
unsafe extern "C" fn push_results(state: *mut (), results: Bytes<'_>) -> usize {
    // SAFETY: see above; the plugin's `Sink` takes `&mut self`, so calls don't overlap.
    let owed = unsafe { &mut *state.cast::<Owed<'_, '_>>() };
    let results = results.as_slice();
    // One by itself is not worth a loop's preparations.
    let is_done = match results {
        [result] => owed.try_push(*result, &[]),
        results => owed.try_results(results),
    };
    if is_done {
        return owed.acks.room();
    }
    for result in results {
        if !owed.try_push(*result, &[]) {
            contain(|| owed.push_wrong(*result, &[]));
        }
    }
    owed.acks.room()
}

/// # Safety
/// As for [`push_results`].
unsafe extern "C" fn push(state: *mut (), result: u8, body: Bytes<'_>) -> usize {
    // SAFETY: see above.
    let owed = unsafe { &mut *state.cast::<Owed<'_, '_>>() };
    if !owed.try_push(result, body.as_slice()) {
        contain(|| owed.push_wrong(result, body.as_slice()));
    }
    owed.acks.room()
}

/// # Safety
/// As for [`push_results`].
unsafe extern "C" fn fail(state: *mut (), reason: Text<'_>) -> usize {
    // SAFETY: see above.
    let owed = unsafe { &mut *state.cast::<Owed<'_, '_>>() };
    contain(|| owed.fail(reason.as_str()));
    owed.acks.room()
}
