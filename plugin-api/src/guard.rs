//! Catches a panic before it reaches the boundary, where it would end the process, and says what and where it was.
//!
//! The guard must stand in the plugin: each library has its own copy of std, and a panic that crosses from one copy to
//! another aborts, also under the other's `catch_unwind`.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

thread_local! {
    /// Whether the host is calling on this thread: then the guard reports the panic, else nobody else would.
    static IN_CALL: Cell<bool> = const { Cell::new(false) };
    /// The newest panic of this thread, told by the hook, which alone knows its place.
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a call from the host; inside it, panics are reported by [`guard`].
pub(crate) fn in_call<T>(call: impl FnOnce() -> T) -> T {
    let before = IN_CALL.replace(true);
    let value = call();
    IN_CALL.set(before);
    value
}

/// Runs the author's code.
///
/// # Errors
/// The text of its panic, with file and line.
pub(crate) fn guard<T>(author: impl FnOnce() -> T) -> Result<T, String> {
    // The handler is shared and may be left half-changed by a panic, as behind any lock that got poisoned: that is the
    // author's to mind, and documented on Handler::handle.
    catch_unwind(AssertUnwindSafe(author)).map_err(describe)
}

#[cold]
fn describe(payload: Box<dyn Any + Send>) -> String {
    let message = message(payload.as_ref());
    // `resume_unwind` passes no hook: what was told is then another panic's, of a payload's Drop or one that the author
    // caught.
    let told = LAST_PANIC.take().filter(|told| told.ends_with(message));
    let text = told.unwrap_or_else(|| format!("panicked: {message}"));
    // A payload's own Drop may panic as well; what that leaves behind is not worth a second try.
    if let Err(second) = catch_unwind(AssertUnwindSafe(move || drop(payload))) {
        std::mem::forget(second);
    }
    text
}

/// Sees to it that panics of this library's threads are told to `report`, unless a guard does.
pub(crate) fn install_hook(report: impl Fn(&str) + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        let place = info
            .location()
            .map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        let text = format!("panicked{place}: {}", message(info.payload()));
        if IN_CALL.get() {
            LAST_PANIC.replace(Some(text));
        } else {
            report(&text);
        }
    }));
}

fn message(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "a value that is not text",
    }
}
