//! What people do to a plugin directory, at random, and what then lies there.
//!
//! Which step comes next hangs on the seed and on the steps before it alone, never on what a host has done meanwhile: so a
//! seed is a schedule. A slow writer is one that holds its file open over the steps of others, however long those take.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use fastrand::Rng;

use crate::cargo::succeed;
use crate::swaps::{Probe, point, real_name, soname};

/// The plugins, with their commands: the last one wants a command of the first.
pub const PLUGINS: [(&str, &[u8]); 3] = [
    ("mix-aprobe", &[0x10]),
    ("mix-bprobe", &[0x11]),
    ("mix-cprobe", &[0x10, 0x12]),
];
/// The last one is of another compatibility line.
const VERSIONS: [&str; 4] = ["1.0.0", "1.1.0", "1.2.0", "2.0.0"];
const VARIANTS: [char; 2] = ['a', 'b'];

/// Every content, made once.
pub struct Contents {
    folder: PathBuf,
}

impl Contents {
    /// Makes them in a folder.
    pub fn new(folder: &Path) -> Contents {
        let probe = Probe::new();
        for (name, commands) in PLUGINS {
            for version in VERSIONS {
                for variant in VARIANTS {
                    let file = folder.join(format!("{name} {version} {variant}"));
                    probe.write_as(&file, name, version, commands, variant);
                }
            }
        }
        let folder = folder.to_owned();
        Contents { folder }
    }

    fn file(&self, body: &str) -> PathBuf {
        self.folder.join(body)
    }
}

/// What lies in the directory.
#[derive(Clone, Debug)]
struct Content {
    /// What the library in it acks; `None` for what is no library.
    body: Option<String>,
    /// Anybody may write it: it is refused.
    is_open_to_all: bool,
}

/// A plugin directory in disorder.
pub struct Disorder<'a> {
    plugins: PathBuf,
    contents: &'a Contents,
    rng: Rng,
    files: BTreeMap<String, Content>,
    slow: BTreeMap<String, Slow>,
    /// Links that were taken away, while a host was running.
    taken: BTreeSet<String>,
    /// Sonames with a file that has come since the host has looked.
    news: BTreeSet<String>,
    /// Where links were pointed by hand, with nothing new since then or at that time.
    pointed: BTreeMap<String, String>,
    /// Every step so far.
    pub steps: Vec<String>,
}

struct Slow {
    file: File,
    rest: Vec<u8>,
    content: Content,
}

impl<'a> Disorder<'a> {
    /// An empty directory and a seed.
    pub fn new(plugins: &Path, contents: &'a Contents, seed: u64) -> Disorder<'a> {
        Disorder {
            plugins: plugins.to_owned(),
            contents,
            rng: Rng::with_seed(seed),
            files: BTreeMap::new(),
            slow: BTreeMap::new(),
            taken: BTreeSet::new(),
            news: BTreeSet::new(),
            pointed: BTreeMap::new(),
            steps: Vec::new(),
        }
    }

    /// A number below that one: for what else is to hang on the seed.
    pub fn below(&mut self, end: usize) -> usize {
        self.rng.usize(..end)
    }

    /// A host starts: a link that is gone is gone to nobody.
    pub fn host_starts(&mut self) {
        self.taken.clear();
        self.host_has_looked();
    }

    /// The host has seen all that is there.
    pub fn host_has_looked(&mut self) {
        self.news = self.slow.keys().map(|file| soname_of(file)).collect();
    }

    /// Links that must be as somebody has pointed them, since nothing has come that could have moved them.
    pub fn pointed(&self) -> &BTreeMap<String, String> {
        &self.pointed
    }

    /// Whether the link was ever taken away under a running host.
    pub fn was_taken(&self, soname: &str) -> bool {
        self.taken.contains(soname)
    }

    /// How many files have writers that are not done.
    pub fn being_written(&self) -> usize {
        self.slow.len()
    }

    /// Whether a file is a library under its right name that a host may load; and which.
    pub fn good(&self, file: &str) -> Option<&str> {
        let content = self.files.get(file).filter(|content| !content.is_open_to_all)?;
        let body = content.body.as_deref()?;
        let (name, version, _) = parts(body);
        (real_name(name, version) == file).then_some(body)
    }

    /// Does one thing.
    pub fn step(&mut self) {
        let name = PLUGINS[self.below(PLUGINS.len())].0;
        let version = VERSIONS[self.below(VERSIONS.len())];
        let variant = VARIANTS[usize::from(self.below(4) == 0)];
        let file = real_name(name, version);
        let body = format!("{name} {version} {variant}");
        match self.below(20) {
            0..=3 => self.write(&file, &body, "moved here"),
            4..=5 => self.write(&file, &body, "copied here"),
            6 => self.write(&file, &body, "linked here"),
            7..=8 => self.write_slowly(&file, &body),
            9 => self.finish(),
            10..=12 => self.point(name, version),
            13 => self.link(name, version),
            14 => self.take_link(&soname(name, version)),
            15..=16 => self.delete(&file),
            17 => self.spoil(&file),
            18 => self.open_to_all(&file),
            _ => {
                let other = VERSIONS[self.below(VERSIONS.len())];
                self.rename(&file, &real_name(name, other));
            }
        }
    }

    /// Slow writers come to their end.
    pub fn finish(&mut self) {
        for (file, mut slow) in std::mem::take(&mut self.slow) {
            slow.file.write_all(&slow.rest).unwrap();
            self.note(&format!("{file}: its writer is done"));
            self.is_news(&file);
            self.files.insert(file, slow.content);
        }
    }

    fn write(&mut self, file: &str, body: &str, how: &str) {
        if self.is_being_written(file) {
            return;
        }
        self.note(&format!("{file}: {body} is {how}"));
        self.is_news(file);
        let (from, path) = (self.contents.file(body), self.plugins.join(file));
        let mut content = Content {
            body: Some(body.to_owned()),
            is_open_to_all: false,
        };
        match how {
            "moved here" => {
                let new = self.plugins.join(".new");
                fs::copy(from, &new).unwrap();
                fs::rename(new, path).unwrap();
            }
            "linked here" => {
                let _ = fs::remove_file(&path);
                // A file of its own: what is done to it later must not be done to the original.
                let own = self.plugins.join(".own");
                fs::copy(from, &own).unwrap();
                fs::hard_link(&own, path).unwrap();
                fs::remove_file(own).unwrap();
            }
            _ => {
                content.is_open_to_all = self.is_open_to_all(file);
                fs::write(path, fs::read(from).unwrap()).unwrap();
            }
        }
        self.files.insert(file.to_owned(), content);
    }

    fn write_slowly(&mut self, file: &str, body: &str) {
        if self.is_being_written(file) {
            return;
        }
        self.note(&format!("{file}: {body} is being written"));
        self.is_news(file);
        let mut bytes = fs::read(self.contents.file(body)).unwrap();
        let rest = bytes.split_off(self.rng.usize(1..bytes.len()));
        let content = Content {
            body: Some(body.to_owned()),
            is_open_to_all: self.is_open_to_all(file),
        };
        let mut open = File::create(self.plugins.join(file)).unwrap();
        open.write_all(&bytes).unwrap();
        self.files.remove(file);
        let slow = Slow {
            file: open,
            rest,
            content,
        };
        self.slow.insert(file.to_owned(), slow);
    }

    fn point(&mut self, name: &str, version: &str) {
        self.note(&format!(
            "{}: a new link to {version}, by a rename",
            soname(name, version)
        ));
        point(&self.plugins, name, version);
        self.is_pointed(name, version);
    }

    fn link(&mut self, name: &str, version: &str) {
        let soname = soname(name, version);
        self.note(&format!("{soname}: ln -sfn to {version}"));
        let mut command = Command::new("ln");
        succeed(
            command
                .current_dir(&self.plugins)
                .args(["-sfn", &real_name(name, version), &soname]),
        );
        // Some remove the old link first; on a busy machine somebody may see that.
        self.taken.insert(soname);
        self.is_pointed(name, version);
    }

    fn take_link(&mut self, soname: &str) {
        self.note(&format!("{soname}: removed"));
        if fs::remove_file(self.plugins.join(soname)).is_ok() {
            self.taken.insert(soname.to_owned());
            self.pointed.remove(soname);
        }
    }

    fn delete(&mut self, file: &str) {
        if self.files.contains_key(file) {
            self.note(&format!("{file}: deleted"));
            fs::remove_file(self.plugins.join(file)).unwrap();
            self.files.remove(file);
        }
    }

    fn spoil(&mut self, file: &str) {
        let how = self.below(5);
        let Some(content) = self.files.get_mut(file) else {
            return;
        };
        content.body = None;
        let path = self.plugins.join(file);
        let length = fs::metadata(&path).unwrap().len();
        let open = || OpenOptions::new().write(true).open(&path).unwrap();
        let what = match how {
            0 => {
                open().set_len(0).unwrap();
                "emptied"
            }
            1..=2 => {
                open().set_len(length / 2).unwrap();
                "cut off"
            }
            _ => {
                open().write_all(&vec![0xA5; length as usize / 3]).unwrap();
                "overwritten with nonsense"
            }
        };
        self.note(&format!("{file}: {what}"));
    }

    fn open_to_all(&mut self, file: &str) {
        if let Some(content) = self.files.get_mut(file) {
            content.is_open_to_all = true;
            fs::set_permissions(self.plugins.join(file), Permissions::from_mode(0o666)).unwrap();
            self.note(&format!("{file}: chmod 666"));
        }
    }

    fn rename(&mut self, from: &str, to: &str) {
        if self.is_being_written(to) || from == to {
            return;
        }
        if let Some(content) = self.files.remove(from) {
            self.note(&format!("{from}: renamed to {to}"));
            self.is_news(to);
            fs::rename(self.plugins.join(from), self.plugins.join(to)).unwrap();
            self.files.insert(to.to_owned(), content);
        }
    }

    fn is_news(&mut self, file: &str) {
        let soname = soname_of(file);
        self.pointed.remove(&soname);
        self.news.insert(soname);
    }

    fn is_pointed(&mut self, name: &str, version: &str) {
        let soname = soname(name, version);
        if self.news.contains(&soname) {
            self.pointed.remove(&soname);
        } else {
            self.pointed.insert(soname, real_name(name, version));
        }
    }

    fn is_being_written(&self, file: &str) -> bool {
        self.slow.contains_key(file)
    }

    fn is_open_to_all(&self, file: &str) -> bool {
        self.files.get(file).is_some_and(|content| content.is_open_to_all)
    }

    fn note(&mut self, step: &str) {
        self.steps.push(step.to_owned());
    }
}

/// Makes a copy of a plugin directory, without the files and links of some sonames.
pub fn copy(from: &Path, to: &Path, without: &BTreeSet<String>) {
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_left_out = without
            .iter()
            .any(|soname| name == *soname || name.starts_with(&format!("{soname}.")));
        let kind = entry.file_type().unwrap();
        if is_left_out || kind.is_dir() {
            continue; // the folder is that of the plugins' data
        }
        if kind.is_symlink() {
            symlink(fs::read_link(entry.path()).unwrap(), to.join(name)).unwrap();
        } else {
            fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

/// The soname of a real file, which has two numbers more.
fn soname_of(file: &str) -> String {
    file.rsplitn(3, '.').last().unwrap().to_owned()
}

/// Every soname that there can be.
pub fn sonames() -> BTreeSet<String> {
    let all = PLUGINS
        .iter()
        .flat_map(|(name, _)| VERSIONS.map(|version| soname(name, version)));
    all.collect()
}

/// Name, version and variant of what an ack's body says.
pub fn parts(body: &str) -> (&str, &str, &str) {
    let mut parts = body.split(' ');
    [(); 3].map(|()| parts.next().unwrap()).into()
}
