//! Once a connection is under way, nobody allocates for its packets: not the server, nor the client that measures it, nor
//! the plugins. A part of a frame is the exception: a connection owns memory while it waits for the rest.
//!
//! What is counted is every allocation of the process. Besides what is measured there are the manager, which has nothing to
//! do, and a clock, which does not allocate.
#![allow(clippy::unwrap_used, missing_docs)]

use std::alloc::System;
use std::hint::black_box;
use std::iter::repeat_n;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use tests::crates::PluginCrate;
use tests::files::{with_identity, with_record};
use tests::host::Site;
use tests::inside::{CONFIGURATION, Exchange, Inside};

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const WARM_UP: usize = 50;
const ROUNDS: usize = 1000;
const ATTEMPTS: usize = 5;

/// The commands of the plugin and of its copy: acked without a body, acked with the payload, and asked for its report.
const COMMANDS: [u8; 3] = [0x10, 0x11, 0x12];
const OTHER_COMMANDS: [u8; 3] = [0x20, 0x21, 0x22];

#[test]
fn nobody_allocates_for_a_packet() {
    let site = Site::new(CONFIGURATION);
    install(&site);
    let mut inside = Inside::start(&site);
    // Without these two, nothing counted would mean nothing.
    assert_eq!(count(|| drop(black_box(Box::new(1)))).allocations, 1);
    assert!(
        reports(&mut inside).iter().all(|count| *count > 0),
        "no plugin starts without"
    );
    let [empty, echo, _] = COMMANDS;
    let [other_empty, other_echo, _] = OTHER_COMMANDS;
    let (short, long) = ([b's'; 32], [b'l'; 1024]);
    let in_turn = |one, other| [one, other].into_iter().cycle().take(128);

    let mut nothing = |what, exchange| {
        let used = measured(&mut inside, what, &mut [exchange]);
        assert_eq!(used, Stats::default(), "{what}");
    };
    nothing("one Submit at a time", Exchange::new([empty], &short, b""));
    nothing("batches", Exchange::new(repeat_n(empty, 128), &short, b""));
    nothing(
        "a batch for more than one call",
        Exchange::new(repeat_n(empty, 1200), &short, b""),
    );
    nothing("one echo at a time", Exchange::new([echo], &short, &short));
    nothing("echoes", Exchange::new(repeat_n(echo, 128), &short, &short));
    nothing("long echoes", Exchange::new(repeat_n(echo, 32), &long, &long));
    nothing(
        "two plugins in turn",
        Exchange::new(in_turn(empty, other_empty), &short, b""),
    );
    nothing(
        "two echoes in turn",
        Exchange::new(in_turn(echo, other_echo), &short, &short),
    );
    // The host answers these itself.
    nothing("no Submit", Exchange::new(repeat_n(0x01, 128), b"", b""));

    // All but the last byte has come, only the length, and something in between.
    for missing in [1, 100, 13 + long.len() - 4] {
        let what = format!("a frame without its last {missing} bytes");
        let mut parts = Exchange::new(repeat_n(echo, 16), &long, &long).cut(missing);
        let used = measured(&mut inside, &what, &mut parts);
        assert_eq!(
            used.allocations, ROUNDS,
            "{what}: one for each beginning of a frame: {used:?}"
        );
        assert_eq!(
            (used.allocations, used.bytes_allocated),
            (used.deallocations, used.bytes_deallocated),
            "{what}: something stays"
        );
        assert!(
            used.bytes_allocated < ROUNDS * (13 + long.len()),
            "{what}: more than what has come: {used:?}"
        );
    }
    inside.stop();
}

/// What the process has allocated in all rounds; the plugins must have allocated nothing.
#[track_caller]
fn measured(inside: &mut Inside, what: &str, parts: &mut [Exchange]) -> Stats {
    inside.exchange(parts, WARM_UP);
    let before = reports(inside);
    // The turn of the last ack ends after the ack was sent; the one that follows shows that it has.
    let mut one_more = [Exchange::new([COMMANDS[0]], b"", b"")];
    let mut attempt = || {
        count(|| {
            inside.exchange(parts, ROUNDS);
            inside.exchange(&mut one_more, 1);
        })
    };
    // On a busy machine a turn may last so long that another thread is started for its loop. What packets cost is there in
    // every attempt.
    let attempts = [(); ATTEMPTS].map(|()| attempt());
    let used = attempts.into_iter().min_by_key(|used| used.allocations).unwrap();
    assert_eq!(reports(inside), before, "{what}: the plugins allocate");
    used
}

fn count(work: impl FnOnce()) -> Stats {
    let region = Region::new(MEMORY);
    work();
    region.change()
}

/// How often each plugin has allocated since it was loaded.
fn reports(inside: &mut Inside) -> [u64; 2] {
    [COMMANDS, OTHER_COMMANDS].map(|[.., report]| u64::from_be_bytes(inside.ask(report).try_into().unwrap()))
}

/// The plugin, and a copy of it that answers other commands and is a library of its own.
fn install(site: &Site) {
    let mut plugin = PluginCrate::new("steady-one");
    plugin.commands = Some(format!("{COMMANDS:?}"));
    plugin.source = include_str!("../plugins/steady.rs").to_owned();
    let library = plugin.library();
    site.copy(&library, "libsteady_one.so.1.0.0");
    let other = site.plugins().join("libsteady_two.so.1.0.0");
    with_identity(&library, &other, "steady-two", "1.0.0");
    with_record(&other, &other, |record| record.commands = OTHER_COMMANDS.to_vec());
}
