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
    spawn("disturbances", disturb);
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

/// Once in a while the machine itself is against us.
fn disturb(part: &Part<'_>) {
    let mut rng = part.rng(10);
    let balance = &part.scene.balance;
    while part.goes_on() {
        part.pause(Duration::from_millis(rng.u64(500..2500)));
        if rng.bool() {
            // A cleaner of temporary folders; libraries that are mapped don't need their files.
            for directory in part.scene.staging() {
                let _ = fs::remove_dir_all(directory);
            }
            balance.did("the private copies removed");
        } else {
            no_descriptors(part, rng.u64(50..500));
            balance.did("no descriptors for a moment");
        }
    }
}

/// What is open stays open; new connections wait, and files are opened later.
fn no_descriptors(part: &Part<'_>, milliseconds: u64) {
    let pid = Pid::from_raw(i32::try_from(part.scene.host.pid()).unwrap());
    let none = Rlimit {
        current: Some(3),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let before = prlimit(pid, Resource::Nofile, none).unwrap();
    part.pause(Duration::from_millis(milliseconds));
    prlimit(pid, Resource::Nofile, before).unwrap();
}
