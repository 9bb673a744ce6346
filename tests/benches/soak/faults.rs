//! What went wrong: every panic, on whichever thread, in the order of time. So any check of the soak or of the tests' own
//! helpers that fails makes it fail, and the first reason is the one that is printed first.

use std::panic::PanicHookInfo;
use std::sync::{Mutex, PoisonError};

static FAULTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The most of one that is shown: some of the helpers tell the whole log.
const SHOWN: usize = 2000;

/// From now on panics are noted, and not written anywhere else.
pub(crate) fn collect() {
    std::panic::set_hook(Box::new(|info| note(&text(info))));
}

/// Notes a fault that is no panic.
pub(crate) fn note(fault: &str) {
    let cut: String = fault.chars().take(SHOWN).collect();
    FAULTS.lock().unwrap_or_else(PoisonError::into_inner).push(cut);
}

/// Notes a fault unless something holds.
pub(crate) fn unless(holds: bool, fault: impl FnOnce() -> String) {
    if !holds {
        note(&fault());
    }
}

/// Whether there is any.
pub(crate) fn any() -> bool {
    !FAULTS.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
}

/// All of them.
pub(crate) fn all() -> Vec<String> {
    FAULTS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn text(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let message = payload.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| payload.downcast_ref::<&str>().copied());
    let thread = std::thread::current();
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    format!(
        "{} ({place}): {}",
        thread.name().unwrap_or("a connection"),
        message.unwrap_or("a panic")
    )
}
