//! What admission costs: `host check` of a plugin of 20 MB with 400 dependencies, beside `sha256sum` of the same file, which
//! reads and digests it and does nothing else. `cargo bench -p tests --bench admission`
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tests::crates::{PluginCrate, source, write};
use tests::host::Site;
use wait4::Wait4;

const DEPENDENCIES: usize = 400;
const SIZE: usize = 20 << 20;
const RUNS: usize = 50;

fn main() {
    let plugin = plugin();
    let size = fs::metadata(&plugin).unwrap().len();
    let site = Site::default();
    let packages = site.inspect(&plugin)["packages"].as_array().unwrap().len();
    assert!(packages > DEPENDENCIES && size >= SIZE as u64);

    let (mut sums, mut checks) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        sums.push(run(Command::new("sha256sum").arg(&plugin)));
        checks.push(run(site.command().arg("check").arg(&plugin)));
    }
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "a plugin of {:.1} MiB, {packages} packages; {RUNS} runs",
        mebibytes(size)
    );
    let (sum, check) = (Figures::of(&sums), Figures::of(&checks));
    println!("sha256sum   {sum}");
    println!("host check  {check}");
    println!(
        "ratio {:.2}; memory {:.2} times the file",
        check.median.as_secs_f64() / sum.median.as_secs_f64(),
        check.memory as f64 / size as f64
    );
    assert!(
        check.memory < 3 * size + (32 << 20),
        "memory is not bounded by a small multiple of the file"
    );
}

/// A plugin that links as many crates, each with a source of its own, and a resource that makes it as large.
fn plugin() -> PathBuf {
    let mut plugin = PluginCrate::new("bench-admission");
    let folder = plugin.folder().to_owned();
    for number in 0..DEPENDENCIES {
        let name = format!("bench-dependency-{number:03}");
        let krate = folder.join("dependencies").join(&name);
        let manifest = format!("[package]\nname = {name:?}\nversion = \"1.0.{number}\"\nedition = \"2024\"\n");
        write(&krate.join("Cargo.toml"), &manifest);
        let function = format!("/// Its number.\npub fn number() -> usize {{\n    {number}\n}}\n");
        write(&krate.join("src/lib.rs"), &function);
        plugin.dependencies += &format!("{name} = {{ path = \"dependencies/{name}\" }}\n");
    }
    resource(&folder.join("resource"));
    plugin.arguments = vec!["--release".to_owned()];
    plugin.source = source(
        "#[used]\nstatic RESOURCE: &[u8] = include_bytes!(\"../resource\");",
        "Ack::ok()",
    );
    plugin.library()
}

fn resource(path: &Path) {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() == SIZE as u64) {
        return;
    }
    let mut bytes = vec![0; SIZE];
    fastrand::Rng::with_seed(1).fill(&mut bytes);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

struct Figures {
    least: Duration,
    median: Duration,
    most: Duration,
    /// The largest resident set of any run, in bytes.
    memory: u64,
}

impl Figures {
    fn of(runs: &[(Duration, u64)]) -> Figures {
        let mut times: Vec<Duration> = runs.iter().map(|(time, _)| *time).collect();
        times.sort_unstable();
        Figures {
            least: times[0],
            median: times[times.len() / 2],
            most: times[times.len() - 1],
            memory: runs.iter().map(|(_, memory)| *memory).max().unwrap(),
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [least, median, most] = [self.least, self.median, self.most].map(|time| time.as_secs_f64() * 1000.0);
        let memory = self.memory as f64 / f64::from(1 << 20);
        write!(
            f,
            "median {median:5.1} ms, from {least:.1} to {most:.1} ms; at most {memory:.1} MiB resident"
        )
    }
}

/// From start to end of a process that succeeds, and its largest resident set in bytes.
fn run(command: &mut Command) -> (Duration, u64) {
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let used = child.wait4().unwrap();
    let time = start.elapsed();
    assert!(used.status.success(), "{command:?}: {}", used.status);
    (time, used.rusage.maxrss)
}
