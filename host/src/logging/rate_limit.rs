//! How often the log says the same: what a peer or a plugin can cause as often as it likes is logged a few times in each
//! window of time, and the rest is counted. The count is told when the window is over, by the thread that writes the log,
//! and when the log is flushed: lines and counts add up to what happened.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most lines of a kind in a window.
const MOST: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

/// The message of the line that tells a count. Its field `lines` is how many, `like` the message of those left out.
pub const LEFT_OUT: &str = "lines like this were left out";

/// Limits one kind of line.
///
/// ```ignore
/// static LIMIT: LazyLock<RateLimit> = LazyLock::new(|| RateLimit::new(|lines| warn!(lines, like = "no good", "{LEFT_OUT}")));
/// if LIMIT.admits() {
///     warn!(%peer, "no good");
/// }
/// ```
pub struct RateLimit {
    shared: Arc<Shared>,
}

struct Shared {
    window: Mutex<Window>,
    tell: Box<dyn Fn(u64) + Send + Sync>,
}

impl RateLimit {
    /// `tell` logs how many lines were left out, and what they were like. What is left to tell when the limit is dropped is
    /// told later.
    pub fn new(tell: impl Fn(u64) + Send + Sync + 'static) -> RateLimit {
        let shared = Arc::new(Shared {
            window: Mutex::default(),
            tell: Box::new(tell),
        });
        register(Arc::clone(&shared) as Arc<dyn Counted>);
        RateLimit { shared }
    }

    /// Whether to log the line; if not, it is counted. To be asked before anything of the line is made.
    pub fn admits(&self) -> bool {
        lock(&self.shared.window).admits(Instant::now())
    }
}

impl Counted for Shared {
    fn report(&self, now: Instant, at_once: bool) {
        let lines = lock(&self.window).owed(now, at_once);
        if lines > 0 {
            (self.tell)(lines);
        }
    }
}

/// Counts the lines of one kind.
#[derive(Debug, Default)]
pub(crate) struct Window {
    began: Option<Instant>,
    admitted: u32,
    left_out: u64,
    /// Left out in windows that are over, and not told yet.
    owed: u64,
}

impl Window {
    /// One more line; whether to log it.
    pub(crate) fn admits(&mut self, now: Instant) -> bool {
        if self.is_over(now) {
            self.owed += std::mem::take(&mut self.left_out);
            self.admitted = 0;
            self.began = Some(now);
        }
        if self.admitted < MOST {
            self.admitted += 1;
            return true;
        }
        self.left_out += 1;
        false
    }

    /// How many lines are to be told of: those of windows that are over, or all so far.
    pub(crate) fn owed(&mut self, now: Instant, at_once: bool) -> u64 {
        if at_once || self.is_over(now) {
            self.owed += std::mem::take(&mut self.left_out);
        }
        std::mem::take(&mut self.owed)
    }

    /// Whether lines were left out and not yet reported.
    pub(crate) fn owes(&self) -> bool {
        self.owed + self.left_out > 0
    }

    fn is_over(&self, now: Instant) -> bool {
        self.began
            .is_none_or(|began| now.saturating_duration_since(began) >= WINDOW)
    }
}

/// What has counts to tell.
pub(crate) trait Counted: Send + Sync {
    /// Logs the counts of windows that are over, or all of them.
    fn report(&self, now: Instant, at_once: bool);
}

static ALL: Mutex<Vec<Arc<dyn Counted>>> = Mutex::new(Vec::new());

/// Has its counts told, as long as it is held by somebody else, and a last time when it no longer is.
pub(crate) fn register(counts: Arc<dyn Counted>) {
    lock(&ALL).push(counts);
}

/// Tells all counts that are due.
pub(super) fn report_all(now: Instant, at_once: bool) {
    let mut all = lock(&ALL);
    let told = all.clone();
    all.retain(|counts| Arc::strong_count(counts) > 2); // held here, and by the copy
    drop(all); // what tells may register
    for counts in told {
        let is_last = Arc::strong_count(&counts) == 1;
        counts.report(now, at_once || is_last);
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_window_admits_ten_and_counts_the_rest() {
        let start = Instant::now();
        let mut window = Window::default();
        let admitted = |window: &mut Window, at: u64, lines: usize| {
            let now = start + Duration::from_secs(at);
            (0..lines).filter(|_| window.admits(now)).count()
        };
        assert_eq!(admitted(&mut window, 0, 7), 7);
        assert_eq!(admitted(&mut window, 9, 100), 3);
        assert_eq!(window.owed(start + Duration::from_secs(9), false), 0);
        assert_eq!(window.owed(start + Duration::from_secs(10), false), 97);
        assert_eq!(admitted(&mut window, 10, 15), 10);
        // The next window begins before the last one's count was told.
        assert_eq!(admitted(&mut window, 21, 12), 10);
        assert_eq!(window.owed(start + Duration::from_secs(22), false), 5);
        assert_eq!(window.owed(start + Duration::from_secs(22), true), 2);
        assert_eq!(window.owed(start + Duration::from_secs(40), true), 0);
    }

    #[test]
    fn what_a_dropped_limit_owes_is_told_and_told_once() {
        let told = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&told);
        let limit = RateLimit::new(move |lines| {
            count.fetch_add(lines, Ordering::Relaxed);
        });
        let admitted = (0..30).filter(|_| limit.admits()).count();
        assert_eq!(admitted, 10);
        report_all(Instant::now(), false);
        assert_eq!(told.load(Ordering::Relaxed), 0, "before the window is over");
        drop(limit);
        report_all(Instant::now(), false);
        report_all(Instant::now(), true);
        assert_eq!(told.load(Ordering::Relaxed), 20);
    }
}
