//! What a change of plugins costs. First how long it takes until a new version answers, phase by phase, for a release build
//! that is moved into the directory of an idle host; then what clients notice of changes while they keep the host busy,
//! beside the same load without any. `cargo bench -p tests --bench swap`
//!
//! The aims are printed beside the figures, and not asserted: they are for a machine that does nothing else.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::follow::Follower;
use tests::host::{Host, Site};
use tests::swaps::{NAME, Probe, body, point, real_name};
use tests::traffic::Traffic;

const DROPS: usize = 200;
const ROUNDS: usize = 10;
const ROUND: Duration = Duration::from_secs(1);
/// Between two changes.
const PAUSE: Duration = Duration::from_millis(100);
const CONNECTIONS: usize = 4;
const WINDOW: usize = 16;
const COMMAND: u8 = 0x10;

fn main() {
    let probe = Probe::release();
    until_a_new_version_answers(&probe);
    what_clients_notice(&probe);
}

fn until_a_new_version_answers(probe: &Probe) {
    let scene = Scene::new(probe, DROPS);
    let host = scene.site.start();
    let mut follower = Follower::new(&host);
    let mut client = host.connect();
    let before = host.memory("VmRSS");
    let (mut first_acks, mut events) = (Vec::new(), Vec::new());
    for number in 1..=DROPS {
        let new = body(&version(number));
        let start = Instant::now();
        scene.drop_in(number);
        while client.submit(COMMAND, b"").body != new.as_bytes() {
            // Asking without a pause would take a processor from the host.
            sleep(Duration::from_micros(100));
        }
        first_acks.push(start.elapsed().as_secs_f64() * 1e3);
        events.push(follower.next("upgraded", &version(number)));
        follower.next("drained", &version(number - 1));
    }
    let standby = (host.memory("VmRSS").saturating_sub(before)) as f64 / DROPS as f64;
    let size = fs::metadata(scene.file(1)).unwrap().len() as f64;
    host.stop();

    let mebibyte = f64::from(1 << 20);
    println!(
        "{DROPS} new versions of a plugin of {:.2} MiB, each moved into the directory",
        size / mebibyte
    );
    let phase = |name: &str| events.iter().map(|event| milliseconds(event, name)).collect::<Vec<_>>();
    let work = ["admit_ms", "trial_ms", "load_ms", "init_ms", "publish_ms"];
    for name in ["settle_ms"].iter().chain(&work) {
        println!("  {:<22}{}", name.trim_end_matches("_ms"), figures(&phase(name)));
    }
    let sum = |event: &Value| work.iter().map(|name| milliseconds(event, name)).sum();
    let sums: Vec<f64> = events.iter().map(sum).collect();
    println!("  admission to publish  {}; aim: p99 under 20 ms", figures(&sums));
    println!(
        "  drop to first ack     {}; aim: p50 under 10 ms, p99 under 25 ms",
        figures(&first_acks)
    );
    println!(
        "  memory for each version in standby: {:.2} MiB, {:.2} times its file",
        standby / mebibyte,
        standby / size
    );
}

fn milliseconds(event: &Value, phase: &str) -> f64 {
    event["took"][phase]
        .as_f64()
        .unwrap_or_else(|| panic!("no {phase} in {event}"))
}

/// The same load without changes, with links moved, and with new versions dropped in. The rounds take turns, so that what
/// else the machine does falls on all of them alike.
fn what_clients_notice(probe: &Probe) {
    let pauses = [ROUND, PAUSE, PAUSE];
    let titles = ["without changes", "links moved", "new versions"];
    let versions = (ROUND.div_duration_f64(PAUSE) as usize + 1) * ROUNDS + 1;
    let scene = Scene::new(probe, versions);
    scene.drop_in(1);
    let host = scene.site.start();
    let mut load = Load {
        scene: &scene,
        events: Follower::new(&host),
        newest: 1,
        changes: [0; 3],
    };
    let mut latencies: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for (kind, pause) in pauses.into_iter().enumerate() {
            latencies[kind].extend(load.round(&host, kind, pause));
        }
    }
    let changes = load.changes;
    host.stop();

    println!(
        "from Submit to ack, {CONNECTIONS} connections with {WINDOW} Submits under way on each, a change every {PAUSE:?}"
    );
    let mut without = None;
    for (kind, times) in latencies.iter().enumerate() {
        let times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        let [_, p99, _] = percentiles(&times);
        let ratio = p99 / *without.get_or_insert(p99);
        println!(
            "  {:<16}{}; p99 ratio {ratio:.2}; {} changes, {} acks",
            titles[kind],
            figures(&times),
            changes[kind],
            times.len()
        );
    }
    println!("  aim: a ratio under 1.5");
}

/// What is changed under load: by kind nothing, the link, or what lies there.
struct Load<'a> {
    scene: &'a Scene,
    events: Follower<'a>,
    newest: usize,
    changes: [usize; 3],
}

impl Load<'_> {
    fn round(&mut self, host: &Host, kind: usize, pause: Duration) -> Vec<Duration> {
        let traffic = Traffic::start(host, CONNECTIONS, WINDOW, COMMAND, &body(&version(self.newest)));
        traffic.flow();
        let end = Instant::now() + ROUND;
        while Instant::now() < end {
            match kind {
                0 => sleep(pause),
                1 => {
                    // There and back, so that the newest serves when the round is over.
                    for (kind, number) in [("rolled-back", self.newest - 1), ("upgraded", self.newest)] {
                        let plugins = self.scene.site.plugins();
                        self.change(&traffic, kind, number, || point(&plugins, NAME, &version(number)));
                        sleep(pause);
                    }
                    self.changes[kind] += 2;
                }
                _ => {
                    self.newest += 1;
                    let (scene, number) = (self.scene, self.newest);
                    self.change(&traffic, "upgraded", number, || scene.drop_in(number));
                    self.changes[kind] += 1;
                    sleep(pause);
                }
            }
        }
        traffic.finish().latencies
    }

    fn change(&mut self, traffic: &Traffic, kind: &str, number: usize, change: impl FnOnce()) {
        traffic.may_answer(&body(&version(number)));
        change();
        self.events.next(kind, &version(number));
        traffic.must_answer();
    }
}

/// A directory with the first version of a plugin, and the others beside it.
struct Scene {
    site: Site,
}

impl Scene {
    fn new(probe: &Probe, versions: usize) -> Scene {
        let scene = Scene { site: Site::default() };
        fs::create_dir(scene.site.path().join("aside")).unwrap();
        for number in 0..=versions {
            probe.write(&scene.aside(number), &version(number));
        }
        scene.drop_in(0);
        scene
    }

    fn aside(&self, number: usize) -> PathBuf {
        self.site.path().join("aside").join(version(number))
    }

    fn file(&self, number: usize) -> PathBuf {
        self.site.plugins().join(real_name(NAME, &version(number)))
    }

    fn drop_in(&self, number: usize) {
        fs::rename(self.aside(number), self.file(number)).unwrap();
    }
}

fn version(number: usize) -> String {
    format!("1.{number}.0")
}

fn percentiles(values: &[f64]) -> [f64; 3] {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    [50, 99, 100].map(|percent| values[(values.len() - 1) * percent / 100])
}

fn figures(values: &[f64]) -> String {
    let [p50, p99, most] = percentiles(values);
    format!("p50 {p50:8.3} ms, p99 {p99:8.3} ms, most {most:8.3} ms")
}
