//! The buffers that a thread lends to whichever connection has its turn, so that an idle connection owns none.

use std::sync::Arc;

use plugin_api::abi::RawSubmit;

use super::current_call::CurrentCall;
use super::shared::Shared;
use crate::dispatch::routes::Reader;

/// How much one read takes at most, in bytes.
const INPUT: usize = 64 * 1024;
/// How much room for acks a thread keeps, in bytes; longer bodies than usual may need more for a while.
pub(super) const KEPT_OUTPUT: usize = 1024 * 1024;

/// One thread's buffers.
pub struct Scratch {
    pub(super) input: Box<[u8]>,
    /// Room for acks; its content means nothing between turns.
    pub(super) output: Vec<u8>,
    pub(super) run: Run,
    pub(super) current_call: Arc<CurrentCall>,
    pub(super) routes: Arc<Reader>,
}

impl Scratch {
    /// Buffers for one thread.
    pub fn new(shared: &Shared) -> Scratch {
        Scratch {
            input: vec![0; INPUT].into_boxed_slice(),
            output: Vec::new(),
            run: Run::default(),
            current_call: Arc::default(),
            routes: shared.routes.reader(),
        }
    }

    /// What the thread calls.
    pub fn current_call(&self) -> &Arc<CurrentCall> {
        &self.current_call
    }

    /// After each turn: gives back what an unusual one needed.
    pub(super) fn trim(&mut self) {
        if self.output.len() > KEPT_OUTPUT {
            self.output = Vec::new();
        }
    }
}

/// Room for the Submits of one call.
#[derive(Default)]
pub(super) struct Run {
    submits: Vec<RawSubmit<'static>>,
}

impl Run {
    /// An empty list, in the room that is here, for Submits that are borrowed from anything.
    pub(super) fn take<'b>(&mut self) -> Vec<RawSubmit<'b>> {
        std::mem::take(&mut self.submits)
    }

    /// Takes the room back.
    pub(super) fn put_back(&mut self, mut submits: Vec<RawSubmit<'_>>) {
        submits.clear();
        // The same list for another lifetime. Collecting what a list of the same layout gave up happens in its place (the
        // test below watches that it stays so), and there is nothing in it to move.
        self.submits = submits.into_iter().map_while(|_| None).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::abi::Bytes;

    #[test]
    fn the_room_for_submits_is_recycled() {
        let payload = b"gone before the next run".to_vec();
        let mut run = Run::default();
        let mut submits = run.take();
        for _ in 0..100 {
            submits.push(RawSubmit {
                payload: Bytes::from_slice(&payload),
                id: *b"00000001",
                command: 2,
            });
        }
        let (room, place) = (submits.capacity(), submits.as_ptr().addr());
        run.put_back(submits);
        drop(payload);
        let submits = run.take();
        assert!(submits.is_empty());
        assert_eq!((submits.capacity(), submits.as_ptr().addr()), (room, place));
    }
}
