//! What people do to a plugin directory, at random.
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
use crate::contents::{Contents, PLUGINS, VARIANTS, VERSIONS, body};
use crate::ledger::{Content, Ledger};
use crate::swaps::{point, real_name, soname};

/// A plugin directory in disorder.
pub struct Disorder<'a> {
    plugins: PathBuf,
    contents: &'a Contents,
    rng: Rng,
    slow: BTreeMap<String, Slow>,
    /// What is known of the directory.
    pub ledger: Ledger,
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
            slow: BTreeMap::new(),
            ledger: Ledger::default(),
            steps: Vec::new(),
        }
    }

    /// A number below that one: for what else is to hang on the seed.
    pub fn below(&mut self, end: usize) -> usize {
        self.rng.usize(..end)
    }

    /// How many files have writers that are not done.
    pub fn being_written(&self) -> usize {
        self.slow.len()
    }

    /// Does one thing.
    pub fn step(&mut self) {
        let name = PLUGINS[self.below(PLUGINS.len())].0;
        let version = VERSIONS[self.below(VERSIONS.len())];
        let variant = VARIANTS[usize::from(self.below(4) == 0)];
        let file = real_name(name, version);
        let body = body(name, version, variant);
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
            self.ledger.comes(&file, slow.content);
        }
    }

    fn write(&mut self, file: &str, body: &str, how: &str) {
        if self.is_being_written(file) {
            return;
        }
        self.note(&format!("{file}: {body} is {how}"));
        let (from, path) = (self.contents.file(body), self.plugins.join(file));
        let mut content = Content {
            body: Some(body.to_owned()),
            is_open_to_all: false,
        };
        // A file of its own: what is done to it later must not be done to the original.
        let new = self.plugins.join(".new");
        match how {
            "moved here" => {
                fs::copy(from, &new).unwrap();
                fs::rename(new, path).unwrap();
            }
            "linked here" => {
                let _ = fs::remove_file(&path);
                fs::copy(from, &new).unwrap();
                fs::hard_link(&new, path).unwrap();
                fs::remove_file(new).unwrap();
            }
            _ => {
                content.is_open_to_all = self.is_open_to_all(file);
                fs::write(path, fs::read(from).unwrap()).unwrap();
            }
        }
        self.ledger.comes(file, content);
    }

    fn write_slowly(&mut self, file: &str, body: &str) {
        if self.is_being_written(file) {
            return;
        }
        self.note(&format!("{file}: {body} is being written"));
        let mut bytes = fs::read(self.contents.file(body)).unwrap();
        let rest = bytes.split_off(self.rng.usize(1..bytes.len()));
        let content = Content {
            body: Some(body.to_owned()),
            is_open_to_all: self.is_open_to_all(file),
        };
        let mut open = File::create(self.plugins.join(file)).unwrap();
        open.write_all(&bytes).unwrap();
        self.ledger.is_begun(file);
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
        self.ledger.is_pointed(real_name(name, version));
    }

    fn link(&mut self, name: &str, version: &str) {
        let (soname, target) = (soname(name, version), real_name(name, version));
        self.note(&format!("{soname}: ln -sfn to {version}"));
        let mut command = Command::new("ln");
        succeed(command.current_dir(&self.plugins).args(["-sfn", &target, &soname]));
        // Some remove the old link first; on a busy machine somebody may see that.
        self.ledger.is_away(&soname);
        self.ledger.is_pointed(target);
    }

    fn take_link(&mut self, soname: &str) {
        self.note(&format!("{soname}: removed"));
        if fs::remove_file(self.plugins.join(soname)).is_ok() {
            self.ledger.is_taken(soname);
        }
    }

    fn delete(&mut self, file: &str) {
        if self.ledger.goes(file).is_some() {
            self.note(&format!("{file}: deleted"));
            fs::remove_file(self.plugins.join(file)).unwrap();
        }
    }

    fn spoil(&mut self, file: &str) {
        let how = self.below(5);
        let Some(content) = self.ledger.file(file) else {
            return;
        };
        content.body = None;
        let path = self.plugins.join(file);
        let length = fs::metadata(&path).unwrap().len();
        let mut open = OpenOptions::new().write(true).open(&path).unwrap();
        let what = match how {
            0 => {
                open.set_len(0).unwrap();
                "emptied"
            }
            1..=2 => {
                open.set_len(length / 2).unwrap();
                "cut off"
            }
            _ => {
                open.write_all(&vec![0xA5; length as usize / 3]).unwrap();
                "overwritten with nonsense"
            }
        };
        self.note(&format!("{file}: {what}"));
    }

    fn open_to_all(&mut self, file: &str) {
        if let Some(content) = self.ledger.file(file) {
            content.is_open_to_all = true;
            fs::set_permissions(self.plugins.join(file), Permissions::from_mode(0o666)).unwrap();
            self.note(&format!("{file}: chmod 666"));
        }
    }

    fn rename(&mut self, from: &str, to: &str) {
        if self.is_being_written(to) || from == to {
            return;
        }
        if let Some(content) = self.ledger.goes(from) {
            self.note(&format!("{from}: renamed to {to}"));
            fs::rename(self.plugins.join(from), self.plugins.join(to)).unwrap();
            self.ledger.comes(to, content);
        }
    }

    fn is_being_written(&self, file: &str) -> bool {
        self.slow.contains_key(file)
    }

    fn is_open_to_all(&mut self, file: &str) -> bool {
        self.ledger.file(file).is_some_and(|content| content.is_open_to_all)
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
        let is_of = |soname: &String| name == *soname || name.starts_with(&format!("{soname}."));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() || without.iter().any(is_of) {
            continue; // the folder is that of the plugins' data
        }
        if kind.is_symlink() {
            symlink(fs::read_link(entry.path()).unwrap(), to.join(name)).unwrap();
        } else {
            fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}
