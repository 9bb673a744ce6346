//! What everything happens in: one host with its folder, and the time that a part of the soak lasts.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tests::cargo::sample;
use tests::crates::PluginCrate;
use tests::follow::quiet;
use tests::host::{Host, PATIENCE, Site};

use crate::balance::Balance;
use crate::faults;
use crate::newcomers::Newcomers;
use crate::sample::Sample;
use crate::versions::Versions;

/// What the host is told of its end.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The commands of the plugins, beside those of the swap probe.
pub(crate) const ECHO: u8 = 0x02;
pub(crate) const LOG: u8 = 0x03;
pub(crate) const HANDLERS: u8 = 0x11;

/// Sleeps for as many milliseconds as the payload says, or panics; echoes.
const HANDLERS_SOURCE: &str = r#"
use plugin_api::{Ack, Context, Error, Handler, Submit, export_plugin};

/// Changed configuration makes a new handler; what it is does not matter.
#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Config {
    number: u64,
}

struct Plugin {
    number: u64,
}

impl Handler for Plugin {
    type Config = Config;

    fn init(config: Config, _: &Context) -> Result<Self, Error> {
        Ok(Plugin { number: config.number })
    }

    fn handle<'a>(&'a self, submit: Submit<'a>) -> Ack<'a> {
        let text = std::str::from_utf8(submit.payload).unwrap_or_default();
        if let Some(milliseconds) = text.strip_prefix("sleep ") {
            let milliseconds = milliseconds.parse().unwrap_or_default();
            std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        }
        assert!(text != "panic", "told to panic at number {}", self.number);
        Ack::ok().body(submit.payload)
    }
}

export_plugin!(Plugin);
"#;

/// The host and what there is around it.
pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) host: Host,
    pub(crate) balance: Balance,
    pub(crate) newcomers: Newcomers,
}

impl Scene {
    /// Starts the host, with the plugins whose handlers are called all the time.
    pub(crate) fn start() -> Scene {
        let site = Site::default();
        let mut handlers = PluginCrate::new("soak-handlers");
        handlers.source = HANDLERS_SOURCE.to_owned();
        handlers.dependencies = "serde = { version = \"1\", features = [\"derive\"] }".to_owned();
        handlers.commands = Some(format!("[{HANDLERS}]"));
        for library in [release(handlers), sample("submit-echo"), sample("submit-log")] {
            site.install(&library);
        }
        let newcomers = Newcomers::build(&site);
        fs::write(site.configuration(), configuration(0)).unwrap();
        let host = site.start();
        Scene {
            site,
            host,
            balance: Balance::default(),
            newcomers,
        }
    }

    /// Leaves the host in peace, and waits until it does nothing any more.
    pub(crate) fn rest(&self, versions: &mut Versions<'_>) {
        self.host.read_log(true);
        fs::write(self.site.configuration(), configuration(0)).unwrap();
        versions.leave_one();
        quiet(&self.host, 0);
        let deadline = Instant::now() + PATIENCE;
        let mut last = Sample::take("", self);
        let mut since = Instant::now();
        while since.elapsed() < Duration::from_secs(1) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
            let now = Sample::take("", self);
            if !now.is_like(&last) {
                since = Instant::now();
            }
            last = now;
        }
    }

    /// The host's directories of private copies; one, unless something was left behind.
    pub(crate) fn staging(&self) -> Vec<PathBuf> {
        staging(&self.site)
    }
}

/// See [`Scene::staging`].
pub(crate) fn staging(site: &Site) -> Vec<PathBuf> {
    let entries = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>()
    };
    let bases = entries(&site.path().join("run"));
    let mut directories: Vec<PathBuf> = bases.iter().flat_map(|base| entries(base)).collect();
    directories.retain(|path| path.is_dir());
    directories
}

/// Builds a plugin as `cargo build --release` does.
pub(crate) fn release(mut plugin: PluginCrate) -> PathBuf {
    plugin.arguments = vec!["--release".to_owned()];
    plugin.library()
}

/// plugins.toml. What checked clients rely on stands at its beginning, so that half of it does them no harm.
pub(crate) fn configuration(number: u64) -> String {
    let drain = DRAIN_TIMEOUT.as_secs();
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nwrite_timeout = \"5s\"\ndrain_timeout = \"{drain}s\"\n\
         [plugin.submit-echo.config]\nreply = true\n\
         [plugins]\npoll = \"{}s\"\n\
         [plugin.soak-handlers.config]\nnumber = {number}\n",
        1 + number % 3
    )
}

/// A part of the soak.
pub(crate) struct Part<'a> {
    pub(crate) scene: &'a Scene,
    until: Instant,
    seed: u64,
    is_over: AtomicBool,
    /// How many have asked for a number.
    many: AtomicU64,
}

impl<'a> Part<'a> {
    pub(crate) fn new(scene: &'a Scene, duration: Duration, seed: u64) -> Part<'a> {
        Part {
            scene,
            until: Instant::now() + duration,
            seed,
            is_over: AtomicBool::new(false),
            many: AtomicU64::new(0),
        }
    }

    /// Runs something; if it fails, so that the part is over for all.
    pub(crate) fn run(&self, what: impl FnOnce()) {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(what)).is_err() {
            self.is_over.store(true, SeqCst);
        }
    }

    pub(crate) fn goes_on(&self) -> bool {
        Instant::now() < self.until && !self.is_over.load(SeqCst) && !faults::any()
    }

    /// Waits, but not beyond the end.
    pub(crate) fn pause(&self, duration: Duration) {
        let end = Instant::now() + duration;
        while Instant::now() < end && self.goes_on() {
            let left = end.saturating_duration_since(Instant::now());
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }

    /// For what is done at random; each who does so has a number of his own.
    pub(crate) fn rng(&self, who: u64) -> Rng {
        Rng::with_seed(self.seed.wrapping_add(who))
    }

    /// For those who are many and do the same: no two of them do it in step.
    pub(crate) fn rng_of_many(&self) -> Rng {
        self.rng(100 + self.many.fetch_add(1, SeqCst))
    }
}
