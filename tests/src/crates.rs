//! Plugin crates of the tests: written as an author outside this repository would write them, with path dependencies on
//! plugin-api and plugin-build and a copy of the repository's Cargo.lock, and built by cargo.
//!
//! They share one target folder, so that plugin-api is compiled once. Each has a name of its own, since cargo's output
//! carries no version; the library is taken from there at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::cargo::{cargo, clean, root, run, scratch, text};

/// One crate, to be built.
pub struct PluginCrate {
    name: String,
    folder: PathBuf,
    version: String,
    /// The value of `commands`, as TOML; `None` leaves the whole metadata table out.
    pub commands: Option<String>,
    /// Further lines for `[dependencies]`.
    pub dependencies: String,
    /// The lines of `[lib]`.
    pub lib: String,
    /// Further lines at the end of Cargo.toml.
    pub manifest: String,
    /// build.rs; `None` for none.
    pub build: Option<String>,
    /// src/lib.rs.
    pub source: String,
    /// Environment for cargo.
    pub environment: Vec<(String, String)>,
    /// Arguments for `cargo build`.
    pub arguments: Vec<String>,
    /// Another target folder than the shared one, for builds that would disturb it.
    pub other_target: Option<PathBuf>,
    /// Whether Cargo.lock is the repository's (else cargo makes one).
    pub lock: bool,
    /// Where plugin-api and plugin-build are: the repository, or a changed copy of it.
    pub repository: PathBuf,
}

/// A plugin that acks everything, with `items` beside it and `body` as the body of `handle`.
pub fn source(items: &str, body: &str) -> String {
    format!(
        "use plugin_api::{{Ack, Context, Error, Handler, Submit, export_plugin}};\n\
         {items}\n\
         struct Plugin;\n\
         impl Handler for Plugin {{\n\
             type Config = ();\n\
             fn init(_: (), _: &Context) -> Result<Self, Error> {{ Ok(Plugin) }}\n\
             #[allow(unused_variables)]\n\
             fn handle<'a>(&'a self, submit: Submit<'a>) -> Ack<'a> {{ {body} }}\n\
         }}\n\
         export_plugin!(Plugin);\n"
    )
}

/// A plugin that writes its life down: its constructor into the file that the host's variable CONSTRUCTED names (with the
/// extension `trial` in the process that opens it before the host does), the rest
/// into [`life`], and into the log that it was shut down. Its configuration makes its init fail, panic, take a
/// lock that one instance alone can have, or wait for somebody to write into a pipe, and its shutdown hang.
const JOURNAL: &str = r#"
use std::fs::{File, OpenOptions, create_dir_all, read};
use std::io::Write;
use std::path::{Path, PathBuf};

use plugin_api::{Ack, Context, Error, Handler, Submit, export_plugin};

#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static CONSTRUCTOR: extern "C" fn() = construct;

extern "C" fn construct() {
    if let Some(file) = std::env::var_os("CONSTRUCTED") {
        append(&journal(file), "constructed");
    }
}

/// The process that tries the library out before the host opens it keeps a journal of its own.
fn journal(file: std::ffi::OsString) -> PathBuf {
    let line = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    let is_trial = line.split(|byte| *byte == 0).nth(1) == Some(b"open");
    PathBuf::from(file).with_extension(if is_trial { "trial" } else { "" })
}

fn append(file: &Path, line: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[derive(serde::Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Config {
    fail: bool,
    panic: bool,
    pipe: Option<PathBuf>,
    lock: bool,
    hang_at_end: bool,
    number: u32,
}

struct Plugin {
    _lock: Option<File>,
    hang_at_end: bool,
    life: PathBuf,
    number: u32,
}

impl Handler for Plugin {
    type Config = Config;

    fn init(config: Config, context: &Context) -> Result<Self, Error> {
        let life = context.data_dir().join("life");
        create_dir_all(context.data_dir())?;
        append(&life, "init");
        if let Some(pipe) = config.pipe {
            read(pipe)?;
        }
        assert!(!config.panic, "told to panic");
        if config.fail {
            return Err(Error::new("told to fail"));
        }
        let lock = config.lock.then(|| File::create(context.data_dir().join("lock"))).transpose()?;
        lock.as_ref().map_or(Ok(()), File::try_lock)?;
        Ok(Plugin { _lock: lock, hang_at_end: config.hang_at_end, life, number: config.number })
    }

    fn handle<'a>(&'a self, _: Submit<'a>) -> Ack<'a> {
        Ack::ok().body(self.number.to_be_bytes().to_vec())
    }

    fn shutdown(&self) {
        append(&self.life, "shutdown");
        while self.hang_at_end {
            std::thread::park();
        }
        tracing::info!("shut down");
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        append(&self.life, "drop");
    }
}

export_plugin!(Plugin);
"#;

/// A plugin that keeps a journal of its life; see [`life`].
pub fn journal(name: &str) -> PluginCrate {
    let mut plugin = PluginCrate::new(name);
    plugin.dependencies = "serde = { version = \"1\", features = [\"derive\"] }\ntracing = \"0.1\"".to_owned();
    plugin.source = JOURNAL.to_owned();
    plugin
}

/// What the plugin of that name, made by [`journal`], has lived through in this plugin directory: `init`, `shutdown`,
/// `drop`.
pub fn life(plugins: &Path, name: &str) -> Vec<String> {
    lines(&plugins.with_file_name("data").join(name).join("life"))
}

/// The lines of a file; none if there is no file.
pub fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file)
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

impl PluginCrate {
    /// A good plugin of that name, version 1.0.0, which acks command 0x10.
    pub fn new(name: &str) -> PluginCrate {
        PluginCrate {
            name: name.to_owned(),
            folder: scratch().join("crates").join(name),
            version: "1.0.0".to_owned(),
            commands: Some("[0x10]".to_owned()),
            dependencies: String::new(),
            lib: "crate-type = [\"cdylib\"]".to_owned(),
            manifest: String::new(),
            build: Some("fn main() { plugin_build::emit() }".to_owned()),
            source: source("", "Ack::ok()"),
            environment: Vec::new(),
            arguments: Vec::new(),
            other_target: None,
            lock: true,
            repository: root().to_owned(),
        }
    }

    /// Sets the version. Versions of one crate have folders of their own.
    pub fn version(mut self, version: &str) -> PluginCrate {
        self.version = version.to_owned();
        self.folder = scratch().join("crates").join(format!("{}-{version}", self.name));
        self
    }

    /// Puts the crate into another folder: for variants of one name and version.
    pub fn variant(mut self, variant: &str) -> PluginCrate {
        self.folder = scratch().join("crates").join(format!("{}-{variant}", self.name));
        self
    }

    /// Has its library linked with these arguments as well.
    pub fn linked_with(mut self, arguments: &[&str]) -> PluginCrate {
        let lines: String = arguments
            .iter()
            .map(|argument| format!("println!(\"cargo::rustc-cdylib-link-arg={argument}\"); "))
            .collect();
        self.build = Some(format!("fn main() {{ plugin_build::emit(); {lines}}}"));
        self
    }

    /// Where the crate is written.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Builds it, and gives the library's own copy.
    #[track_caller]
    pub fn library(&self) -> PathBuf {
        self.try_library()
            .unwrap_or_else(|log| panic!("{} does not build:\n{log}", self.name))
    }

    /// Builds it; the error is what cargo printed.
    pub fn try_library(&self) -> Result<PathBuf, String> {
        // One build at a time: cargo would wait for itself, and the library must be taken before the next build.
        static BUILDING: Mutex<()> = Mutex::new(());
        let _building = BUILDING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.write();
        let target = self.target();
        self.forget_variants();
        let mut build = self.cargo("build");
        build.env("CARGO_TARGET_DIR", &target).args(&self.arguments);
        let output = run(&mut build);
        if !output.status.success() {
            return Err(text(&output));
        }
        let file_name = format!("lib{}.so", self.name.replace('-', "_"));
        let profile = if self.arguments.iter().any(|argument| argument == "--release") {
            "release"
        } else {
            "debug"
        };
        // Not into the crate's folder: what lies there is part of the package, and new files make it dirty.
        let taken = scratch().join("built").join(self.folder.file_name().unwrap());
        fs::create_dir_all(&taken).unwrap();
        // By a rename: another test may be reading the one that was taken before.
        let new = taken.join("new");
        fs::copy(target.join(profile).join(&file_name), &new).unwrap();
        fs::rename(new, taken.join(&file_name)).unwrap();
        Ok(taken.join(file_name))
    }

    /// Has the next build make the library anew: another crate's build has left its own in the same place.
    pub fn forget(&self) {
        drop(fs::remove_file(self.last_variant())); // there may be none yet
    }

    /// The folder of the variant that was built last is written there.
    fn last_variant(&self) -> PathBuf {
        self.target().join(format!("last-{}", self.name))
    }

    /// Cargo's output carries neither version nor folder. Where another variant of this crate was built last, cargo would
    /// call this one fresh and leave the other's file in its place.
    fn forget_variants(&self) {
        let last = self.last_variant();
        let folder = self.folder.to_str().unwrap();
        if fs::read_to_string(&last).is_ok_and(|last| last == folder) {
            return;
        }
        for profile in ["debug", "release"] {
            let units = fs::read_dir(self.target().join(profile).join(".fingerprint"));
            for unit in units.into_iter().flatten().map(|unit| unit.unwrap()) {
                if unit
                    .file_name()
                    .to_str()
                    .unwrap()
                    .starts_with(&format!("{}-", self.name))
                {
                    fs::remove_dir_all(unit.path()).unwrap();
                }
            }
        }
        write(&last, folder);
    }

    /// A cargo command in the crate's folder, with the crate's environment.
    pub fn cargo(&self, command: &str) -> Command {
        let mut cargo = cargo();
        cargo
            .current_dir(&self.folder)
            .arg(command)
            // Nobody debugs them, and what is not written is not linked, digested and copied.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .envs(self.environment.iter().cloned());
        cargo
    }

    /// A line as a person would paste it into a shell in the crate's folder.
    pub fn shell(&self, line: &str) -> Command {
        let mut shell = clean(Command::new("sh"));
        shell
            .current_dir(&self.folder)
            .args(["-c", line])
            .env_remove("CARGO_TARGET_DIR")
            .envs(self.environment.iter().cloned());
        shell
    }

    /// Where cargo builds it.
    pub fn target(&self) -> PathBuf {
        self.other_target.clone().unwrap_or_else(|| scratch().join("build"))
    }

    /// Writes the crate's files; those that are as they should be are left alone, so that cargo finds them fresh.
    pub fn write(&self) {
        let metadata = match &self.commands {
            Some(commands) => format!("[package.metadata.plugin]\ncommands = {commands}\n"),
            None => String::new(),
        };
        let build_dependencies = match self.build {
            Some(_) => format!(
                "[build-dependencies]\nplugin-build = {{ path = {:?} }}\n",
                self.repository.join("plugin-api/build")
            ),
            None => String::new(),
        };
        let manifest = format!(
            "[package]\nname = {:?}\nversion = {:?}\nedition = \"2024\"\n{metadata}\n\
             [lib]\n{}\n\
             [dependencies]\nplugin-api = {{ path = {:?} }}\n{}\n{build_dependencies}\n[workspace]\n{}\n",
            self.name,
            self.version,
            self.lib,
            self.repository.join("plugin-api"),
            self.dependencies,
            self.manifest,
        );
        write(&self.folder.join("Cargo.toml"), &manifest);
        write(&self.folder.join("src/lib.rs"), &self.source);
        match &self.build {
            Some(build) => write(&self.folder.join("build.rs"), build),
            None => drop(fs::remove_file(self.folder.join("build.rs"))),
        }
        if self.lock {
            // What cargo or a test has made of the lock since stays, unless the repository's is another one by now.
            let ours = fs::read_to_string(root().join("Cargo.lock")).unwrap();
            let (lock, origin) = (self.folder.join("Cargo.lock"), self.folder.join(".Cargo.lock.origin"));
            if !lock.exists() || fs::read_to_string(&origin).ok().as_ref() != Some(&ours) {
                write(&lock, &ours);
                write(&origin, &ours);
            }
        }
    }
}

/// Writes a file unless it has this content already.
pub fn write(path: &Path, content: &str) {
    if fs::read_to_string(path).is_ok_and(|current| current == content) {
        return;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Copies a folder, without the entries that `leave_out` names.
pub fn copy_folder(from: &Path, to: &Path, leave_out: fn(&Path) -> bool) {
    fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if leave_out(&path) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&path, &target, leave_out);
        } else {
            fs::copy(path, target).unwrap();
        }
    }
}
