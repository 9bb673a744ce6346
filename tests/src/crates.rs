//! Plugin crates of the tests: written as an author outside this repository would write them, with path dependencies on
//! plugin-api and plugin-build and a copy of the repository's Cargo.lock, and built by cargo.
//!
//! They share one target folder, so that plugin-api is compiled once. Each has a name of its own, since cargo's output
//! carries no version; the library is taken from there at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::cargo::{cargo, root, run, scratch, text};

/// One crate, to be built.
pub struct PluginCrate {
    name: String,
    folder: PathBuf,
    version: String,
    /// The value of `commands`, as TOML; `None` leaves the whole metadata table out.
    pub commands: Option<String>,
    /// Further lines for `[dependencies]`.
    pub dependencies: String,
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
    /// A target folder of its own, for builds that would disturb the shared one.
    pub own_target: bool,
    /// Whether Cargo.lock is the repository's (else cargo makes one).
    pub lock: bool,
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

impl PluginCrate {
    /// A good plugin of that name, version 1.0.0, which acks command 0x10.
    pub fn new(name: &str) -> PluginCrate {
        PluginCrate {
            name: name.to_owned(),
            folder: scratch().join("crates").join(name),
            version: "1.0.0".to_owned(),
            commands: Some("[0x10]".to_owned()),
            dependencies: String::new(),
            manifest: String::new(),
            build: Some("fn main() { plugin_build::emit() }".to_owned()),
            source: source("", "Ack::ok()"),
            environment: Vec::new(),
            arguments: Vec::new(),
            own_target: false,
            lock: true,
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
        let taken = self.folder.join("built");
        fs::create_dir_all(&taken).unwrap();
        fs::copy(target.join(profile).join(&file_name), taken.join(&file_name)).unwrap();
        Ok(taken.join(file_name))
    }

    /// A cargo command in the crate's folder, with the crate's environment.
    pub fn cargo(&self, command: &str) -> Command {
        let mut cargo = cargo();
        cargo
            .current_dir(&self.folder)
            .arg(command)
            .envs(self.environment.iter().cloned());
        cargo
    }

    /// Where cargo builds it.
    pub fn target(&self) -> PathBuf {
        if self.own_target {
            self.folder.join("target")
        } else {
            scratch().join("build")
        }
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
                root().join("plugin-api/build")
            ),
            None => String::new(),
        };
        let manifest = format!(
            "[package]\nname = {:?}\nversion = {:?}\nedition = \"2024\"\n{metadata}\n\
             [lib]\ncrate-type = [\"cdylib\"]\n\
             [dependencies]\nplugin-api = {{ path = {:?} }}\n{}\n{build_dependencies}\n[workspace]\n{}\n",
            self.name,
            self.version,
            root().join("plugin-api"),
            self.dependencies,
            self.manifest,
        );
        write(&self.folder.join("Cargo.toml"), &manifest);
        write(&self.folder.join("src/lib.rs"), &self.source);
        match &self.build {
            Some(build) => write(&self.folder.join("build.rs"), build),
            None => drop(fs::remove_file(self.folder.join("build.rs"))),
        }
        let lock = self.folder.join("Cargo.lock");
        if self.lock && !lock.exists() {
            fs::copy(root().join("Cargo.lock"), lock).unwrap();
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
