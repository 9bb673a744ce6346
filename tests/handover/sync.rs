//! Loom's synchronisation in the form of std's. A wait with a time limit may come to its end at any time, which loom does not
//! model by itself: here it gives the lock away once, for whoever wants it, and its time is over.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
pub(super) use std::sync::PoisonError;

pub(super) struct Mutex<T>(loom::sync::Mutex<T>);

pub(super) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    guard: loom::sync::MutexGuard<'a, T>,
}

type Locked<T> = Result<T, PoisonError<T>>;

impl<T> Mutex<T> {
    pub(super) fn new(value: T) -> Mutex<T> {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub(super) fn lock(&self) -> Locked<MutexGuard<'_, T>> {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(MutexGuard { mutex: self, guard })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

pub(super) struct Condvar(loom::sync::Condvar);

pub(super) struct WaitTimeoutResult;

impl WaitTimeoutResult {
    pub(super) fn timed_out(&self) -> bool {
        true
    }
}

impl Condvar {
    pub(super) fn new() -> Condvar {
        Condvar(loom::sync::Condvar::new())
    }

    pub(super) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(super) fn wait<'a, T>(&self, locked: MutexGuard<'a, T>) -> Locked<MutexGuard<'a, T>> {
        let MutexGuard { mutex, guard } = locked;
        let guard = self.0.wait(guard).unwrap_or_else(PoisonError::into_inner);
        Ok(MutexGuard { mutex, guard })
    }

    pub(super) fn wait_timeout<'a, T>(
        &self,
        locked: MutexGuard<'a, T>,
        _: Duration,
    ) -> Locked<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let mutex = locked.mutex;
        drop(locked);
        loom::thread::yield_now();
        Ok((mutex.lock().unwrap_or_else(PoisonError::into_inner), WaitTimeoutResult))
    }
}
