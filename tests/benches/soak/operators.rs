//! Operators: plugins.toml in all states, SIGHUP, a busy file beside it, the private copies removed, descriptors short. None
//! of it may be noticed by a client.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};

use crate::scene::{Part, configuration};

/// The busy file is cut to nothing when it has so many bytes.
const BUSY: u64 = 1 << 20;

/// Starts all of them.
pub(crate) fn all(spawn: &impl Fn(&str, fn(&Part<'_>))) {
    spawn("plugins.toml", rewrite);
    spawn("a busy file", busy);
    spawn("cleaner", clean);
    spawn("no descriptors", run_short);
}

/// plugins.toml is written again and again, in all ways in which people do that.
fn rewrite(part: &Part<'_>) {
    let mut rng = part.rng(9);
    let balance = &part.scene.balance;
    let file = part.scene.site.configuration();
    while part.goes_on() {
        let text = configuration(rng.u64(..1000));
        match rng.usize(..7) {
            0..=1 => {
                in_steps(part, &file, &text, rng.u64(..100));
                balance.did("plugins.toml: appended to in steps");
            }
            2..=3 => {
                let new = file.with_extension("new");
                fs::write(&new, &text).unwrap();
                fs::rename(new, &file).unwrap();
                balance.did("plugins.toml: renamed over");
            }
            4 => {
                fs::write(&file, format!("{text}[plugin.soak-handlers\nnumber = ")).unwrap();
                balance.did("plugins.toml: broken");
            }
            5 => {
                fs::write(&file, "").unwrap();
                balance.did("plugins.toml: emptied");
            }
            _ => {
                fs::remove_file(&file).unwrap();
                balance.did("plugins.toml: removed");
            }
        }
        if rng.bool() {
            part.scene.host.signal(Signal::HUP);
            balance.did("SIGHUP");
        }
        // Mostly long enough for it to count.
        part.pause(Duration::from_millis(rng.u64(50..800)));
        fs::write(&file, &text).unwrap();
    }
}

fn in_steps(part: &Part<'_>, file: &Path, text: &str, milliseconds: u64) {
    let parts: Vec<&str> = text.split_inclusive("reply = true\n").collect();
    fs::write(file, parts[0]).unwrap();
    for line in parts[1].split_inclusive('\n') {
        part.pause(Duration::from_millis(milliseconds));
        let mut file = OpenOptions::new().append(true).open(file).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// A log file beside plugins.toml, and another one in the plugin directory.
fn busy(part: &Part<'_>) {
    let site = &part.scene.site;
    let files = [site.path(), &site.plugins()].map(|folder| {
        let mut options = OpenOptions::new();
        options.create(true).append(true).open(folder.join("busy.log")).unwrap()
    });
    while part.goes_on() {
        for mut file in &files {
            file.write_all(b"a line that nobody reads\n").unwrap();
            if file.metadata().unwrap().len() > BUSY {
                file.set_len(0).unwrap();
            }
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// Once in a while a cleaner of temporary folders comes; libraries that are mapped don't need their files.
fn clean(part: &Part<'_>) {
    let mut rng = part.rng(10);
    while part.goes_on() {
        part.pause(Duration::from_millis(rng.u64(1000..5000)));
        for directory in part.scene.staging() {
            let _ = fs::remove_dir_all(directory);
        }
        part.scene.balance.did("private copies removed");
    }
}

/// What is open stays open; new connections wait, and files are opened later.
fn run_short(part: &Part<'_>) {
    let mut rng = part.rng(12);
    let pid = Pid::from_raw(i32::try_from(part.scene.host.pid()).unwrap());
    let none = Rlimit {
        current: Some(3),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    while part.goes_on() {
        part.pause(Duration::from_millis(rng.u64(1000..5000)));
        let before = prlimit(pid, Resource::Nofile, none).unwrap();
        part.pause(Duration::from_millis(rng.u64(50..500)));
        prlimit(pid, Resource::Nofile, before).unwrap();
        part.scene.balance.did("no descriptors for a moment");
    }
}
