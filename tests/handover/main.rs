//! The hand-over of a loop from thread to thread, in every order of events that there can be: the host's own source
//! (`loop_handover.rs`), over a model of what it synchronises with, which loom runs through. The orders are those of a few threads
//! and a few turns; a fault in a protocol that has one shows in those.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code)] // the models need less than the host
#[path = "../../host/src/net/loop_handover.rs"]
mod handover;
mod sync;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use handover::{Relay, ThreadLimits, Turns, Was};

/// How many turns the loop of a model has to give.
const TURNS: usize = 2;

/// What stands for an event loop: its connection has one turn after another.
struct Loop {
    turns: Turns,
    /// What only the loop's driver may touch. Loom watches that no two do, and that each sees what the one before has done.
    state: UnsafeCell<()>,
    given: AtomicUsize,
    /// How often the connection came back, from a driver or from a thread that was held.
    kept: AtomicUsize,
    posted: AtomicUsize,
}

type Loops = Relay<Arc<Loop>, ()>;

impl Loop {
    fn new() -> Arc<Loop> {
        Arc::new(Loop {
            turns: Turns::new(),
            state: UnsafeCell::new(()),
            given: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            posted: AtomicUsize::new(0),
        })
    }

    /// As `EventLoop::drive`: true when somebody else has the loop.
    fn drive(own: &Arc<Loop>, loops: &Loops, hands_over: bool) -> bool {
        while own.state.with_mut(|_| own.given.load(Ordering::Relaxed)) < TURNS {
            own.given.fetch_add(1, Ordering::Relaxed);
            let turn = own.turns.begin();
            if hands_over {
                loops.relieve(Arc::clone(own), &own.turns, turn, None);
            }
            if !own.turns.end(turn) {
                own.posted.fetch_add(1, Ordering::Relaxed);
                return true;
            }
            own.state.with_mut(|_| ());
            own.kept.fetch_add(1, Ordering::Relaxed);
        }
        false
    }
}

fn work(loops: &Loops, hands_over: bool) {
    let mut was = Was::Starting;
    while let Some(next) = loops.next(was) {
        was = if Loop::drive(&next, loops, hands_over) {
            Was::Held
        } else {
            Was::Driving
        };
    }
}

/// Two threads, one loop, and somebody who relieves the driver whenever there is a turn.
fn model(most_held: usize, hands_over: bool, looks: usize) {
    loom::model(move || {
        let own = Loop::new();
        // Any wait of a spare thread may come to its end: all are surplus.
        let limits = ThreadLimits { reserve: 0, most_held };
        let loops: Arc<Loops> = Arc::new(Relay::new([Arc::clone(&own)], 2, limits));
        let workers = [(); 2].map(|()| {
            let loops = Arc::clone(&loops);
            thread::spawn(move || work(&loops, hands_over))
        });
        let mut relieved = 0;
        for _ in 0..looks {
            if let Some(turn) = own.turns.current() {
                relieved += usize::from(loops.relieve(Arc::clone(&own), &own.turns, turn, Some(())));
            }
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());

        let [given, kept, posted] = [&own.given, &own.kept, &own.posted].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(given, TURNS, "the loop was lost");
        assert_eq!(kept + posted, TURNS, "a connection came back not once");
        assert!(own.turns.current().is_none(), "a turn that nobody has ended");
        assert!(posted >= relieved);
        if !hands_over {
            assert_eq!(posted, relieved, "a turn was ended by two, or by nobody");
        }
        assert_eq!(loops.held(), 0, "a thread that counts as held for ever");
    });
}

#[test]
fn a_driver_is_relieved_from_outside() {
    model(2, false, 2);
}

#[test]
fn no_more_are_held_than_may_be() {
    model(0, false, 1);
}

#[test]
fn a_driver_hands_over_and_is_relieved_at_the_same_time() {
    model(2, true, 1);
}

#[test]
fn what_is_reported_is_heard() {
    loom::model(|| {
        let limits = ThreadLimits {
            reserve: 1,
            most_held: 1,
        };
        let loops: Arc<Relay<(), u8>> = Arc::new(Relay::new([], 0, limits));
        let reporter = Arc::clone(&loops);
        let reporter = thread::spawn(move || reporter.report(7));
        let (mut started, mut heard) = (0, Vec::new());
        while heard.is_empty() {
            let (missing, reports) = loops.missing();
            started += missing;
            heard.extend(reports);
        }
        reporter.join().unwrap();
        assert_eq!((started, heard), (1, vec![(7, 0)]), "each is asked for once");
    });
}
