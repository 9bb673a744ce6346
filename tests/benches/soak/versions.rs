//! Checked load on a plugin whose versions change all the time. A change is over when a client of our own sees who answers:
//! the log, which others fail to read, is not asked.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tests::client::Client;
use tests::host::PATIENCE;
use tests::swaps::{NAME, Probe, body, point, real_name};
use tests::traffic::Traffic;

use crate::scene::{Part, Scene};

const COMMAND: u8 = 0x10;
const CONNECTIONS: usize = 4;
const WINDOW: usize = 16;
/// How long the same connections last; the report keeps each latency until then.
const LOAD: Duration = Duration::from_secs(2);
/// How many versions lie there at once.
const FILES: usize = 6;
/// One change in so many is a new version, for each of them costs memory for good.
const NEW_IN: usize = 8;
/// Versions of the measurement; those before them pay for what costs memory once.
const MEASURED: usize = 8;
const UNMEASURED: usize = 4;

pub(crate) struct Versions<'a> {
    scene: &'a Scene,
    probe: Probe,
    /// Those that lie there, from the oldest on.
    files: Vec<usize>,
    current: usize,
    newest: usize,
}

impl<'a> Versions<'a> {
    /// Brings the first one.
    pub(crate) fn new(scene: &'a Scene) -> Versions<'a> {
        let mut versions = Versions {
            scene,
            probe: Probe::release(),
            files: Vec::new(),
            current: 0,
            newest: 0,
        };
        versions.drop_in(0);
        scene.host.wait_for_change("added");
        versions
    }

    /// What a version costs in memory, on a host that does nothing else.
    pub(crate) fn measure(&mut self) -> u64 {
        let mut client = self.scene.host.connect();
        let mut before = 0;
        for number in 0..UNMEASURED + MEASURED {
            if number == UNMEASURED {
                before = self.scene.host.memory("VmRSS");
            }
            self.bring_new(&mut client);
        }
        let grown = self.scene.host.memory("VmRSS").saturating_sub(before);
        grown / MEASURED as u64
    }

    /// Changes who answers under load until the part is over.
    pub(crate) fn change(&mut self, part: &Part<'_>) {
        let mut rng = part.rng(1);
        let host = &self.scene.host;
        let mut client = host.connect();
        while part.goes_on() {
            let traffic = Traffic::start(host, CONNECTIONS, WINDOW, COMMAND, &self.body(self.current));
            let end = Instant::now() + LOAD;
            while Instant::now() < end && part.goes_on() {
                traffic.flow();
                let others: Vec<usize> = self
                    .files
                    .iter()
                    .copied()
                    .filter(|file| *file != self.current)
                    .collect();
                let is_new = others.is_empty() || rng.usize(..NEW_IN) == 0;
                let next = if is_new {
                    self.newest + 1
                } else {
                    others[rng.usize(..others.len())]
                };
                traffic.may_answer(&self.body(next));
                match is_new {
                    true => self.bring_new(&mut client),
                    false => self.point(next, &mut client),
                }
                traffic.must_answer();
                part.pause(Duration::from_millis(rng.u64(20..120)));
            }
            let report = traffic.finish();
            self.scene.balance.sent("traffic", report.sent);
            self.scene.balance.acked("traffic", report.answered.iter().sum());
        }
    }

    /// Removes all but the one that serves.
    pub(crate) fn leave_one(&mut self) {
        let current = self.current;
        for file in self.files.extract_if(.., |file| *file != current) {
            fs::remove_file(path(self.scene, file)).unwrap();
        }
    }

    fn bring_new(&mut self, client: &mut Client) {
        let number = self.newest + 1;
        self.drop_in(number);
        self.wait_for(number, client);
        self.scene.balance.did("versions: new ones");
        while self.files.len() > FILES {
            let at = self.files.iter().position(|file| *file != self.current).unwrap();
            fs::remove_file(path(self.scene, self.files.remove(at))).unwrap();
            self.scene.balance.did("versions: old ones removed");
        }
    }

    fn drop_in(&mut self, number: usize) {
        let new = self.scene.site.path().join("new-version");
        self.probe.write(&new, &version(number));
        fs::rename(new, path(self.scene, number)).unwrap();
        self.files.push(number);
        self.newest = number;
    }

    fn point(&mut self, number: usize, client: &mut Client) {
        point(&self.scene.site.plugins(), NAME, &version(number));
        self.wait_for(number, client);
        self.scene.balance.did("versions: links moved");
    }

    fn wait_for(&mut self, number: usize, client: &mut Client) {
        let (old, new) = (self.body(self.current), self.body(number));
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.scene.balance.sent("who asks which version answers", 1);
            let ack = client.submit(COMMAND, b"");
            self.scene.balance.acked("who asks which version answers", 1);
            let answer = String::from_utf8_lossy(&ack.body).into_owned();
            assert_eq!(ack.result, 0, "while {old} goes and {new} comes");
            if answer == new {
                break;
            }
            assert_eq!(answer, old, "while {new} comes");
            assert!(Instant::now() < deadline, "{new} does not come, {old} answers");
            // Asking without a pause would take a processor from the host.
            std::thread::sleep(Duration::from_micros(500));
        }
        self.current = number;
    }

    fn body(&self, number: usize) -> String {
        body(&version(number))
    }
}

fn path(scene: &Scene, number: usize) -> PathBuf {
    scene.site.plugins().join(real_name(NAME, &version(number)))
}

fn version(number: usize) -> String {
    format!("1.{number}.0")
}
