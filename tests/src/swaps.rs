//! A plugin that says in each ack who answers, as many names, versions and contents of it as a test needs.
//!
//! One library is built; the others are copies of it with a few bytes changed. So a thousand of them cost no compiler, and
//! each is a content of its own to the host.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::crates::{PluginCrate, life, lines};
use crate::files::{stripped, with_identity, with_record};
use crate::host::{Host, Site};

/// Its ack's body is `NAME VERSION VARIANT`. It writes its life down as the journal does, each line with its version and
/// variant; and its constructor writes into CONSTRUCTED which private copy it was loaded from, whose name tells the content.
const PROBE: &str = r#"
use std::fs::{OpenOptions, create_dir_all, read_to_string};
use std::io::Write;
use std::path::{Path, PathBuf};

use plugin_api::{Ack, Context, Error, Handler, Submit, export_plugin};

#[used]
static VARIANT: [u8; 18] = *b"this is variant: a";

#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static CONSTRUCTOR: extern "C" fn() = construct;

extern "C" fn construct() {
    if let Some(file) = std::env::var_os("CONSTRUCTED") {
        append(&journal(file), &loaded_from());
    }
}

/// The process that tries the library out before the host opens it keeps a journal of its own.
fn journal(file: std::ffi::OsString) -> PathBuf {
    let line = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    let is_trial = line.split(|byte| *byte == 0).nth(1) == Some(b"open");
    PathBuf::from(file).with_extension(if is_trial { "trial" } else { "" })
}

fn loaded_from() -> String {
    let own = construct as extern "C" fn() as usize;
    let maps = read_to_string("/proc/self/maps").unwrap();
    let is_ours = |line: &&str| {
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [start, end] = [start, end].map(|bound| usize::from_str_radix(bound, 16).unwrap());
        (start..end).contains(&own)
    };
    maps.lines().find(is_ours).and_then(|line| line.rsplit('/').next()).unwrap().to_owned()
}

fn append(file: &Path, line: &str) {
    let open = || OpenOptions::new().create(true).append(true).open(file);
    // Who takes all descriptors away for a moment (EMFILE) is not to lose the journal a line.
    let mut opened = open();
    while opened.as_ref().is_err_and(|error| error.raw_os_error() == Some(24)) {
        std::thread::sleep(std::time::Duration::from_millis(1));
        opened = open();
    }
    let mut file = opened.unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

struct Plugin {
    life: PathBuf,
    body: String,
}

impl Plugin {
    fn note(&self, what: &str) {
        append(&self.life, &format!("{what} {}", self.body));
    }
}

impl Handler for Plugin {
    type Config = ();

    fn init(_: (), context: &Context) -> Result<Self, Error> {
        create_dir_all(context.data_dir())?;
        // The static is changed after the compiler has seen it.
        let variant = std::hint::black_box(&VARIANT)[17] as char;
        let plugin = Plugin {
            life: context.data_dir().join("life"),
            body: format!("{} {} {variant}", context.name(), context.version()),
        };
        plugin.note("init");
        Ok(plugin)
    }

    fn handle<'a>(&'a self, _: Submit<'a>) -> Ack<'a> {
        Ack::ok().body(self.body.as_bytes())
    }

    fn shutdown(&self) {
        self.note("shutdown");
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.note("drop");
    }
}

export_plugin!(Plugin);
"#;

/// Where all variants come from. The built plugin is called [`NAME`] and has version 1.0.0 and command 0x10.
pub struct Probe {
    library: PathBuf,
}

/// The plugin's name as it is built. Other names must be as long.
pub const NAME: &str = "swap-probe";
const MARK: &[u8] = b"this is variant: ";

impl Probe {
    /// Builds it, without symbols: what is copied and hashed hundreds of times had better be small.
    pub fn new() -> Probe {
        let mut plugin = PluginCrate::new(NAME);
        plugin.source = PROBE.to_owned();
        let library = plugin.library();
        let small = library.with_extension("stripped");
        // By a rename: another test may be reading the one that was made before.
        let new = library.with_extension(format!("{:?}", std::thread::current().id()));
        stripped(&library, &new);
        fs::rename(new, &small).unwrap();
        Probe { library: small }
    }

    /// As `cargo build --release` makes it, symbols and all.
    pub fn release() -> Probe {
        let mut plugin = PluginCrate::new(NAME).variant("release");
        plugin.source = PROBE.to_owned();
        plugin.arguments = vec!["--release".to_owned()];
        let library = plugin.library();
        Probe { library }
    }

    /// Writes this version of the plugin to a file.
    #[track_caller]
    pub fn write(&self, file: &Path, version: &str) {
        with_identity(&self.library, file, NAME, version);
    }

    /// Writes a plugin of another name, with commands of its own, and one of several contents that this version can have.
    #[track_caller]
    pub fn write_as(&self, file: &Path, name: &str, version: &str, commands: &[u8], variant: char) {
        with_identity(&self.library, file, name, version);
        with_record(file, file, |record| record.commands = commands.to_vec());
        let mut bytes = fs::read(file).unwrap();
        let at = bytes.windows(MARK.len()).position(|window| window == MARK);
        bytes[at.expect("a mark") + MARK.len()] = u8::try_from(variant).unwrap();
        fs::write(file, bytes).unwrap();
    }
}

impl Default for Probe {
    fn default() -> Probe {
        Probe::new()
    }
}

/// What an ack's body says of this version of [`NAME`].
pub fn body(version: &str) -> String {
    format!("{NAME} {version} a")
}

/// The name of a plugin's file.
pub fn real_name(name: &str, version: &str) -> String {
    format!("lib{}.so.{version}", name.replace('-', "_"))
}

/// The name of a plugin's link, from 1.0.0 on.
pub fn soname(name: &str, version: &str) -> String {
    real_name(name, version.split('.').next().unwrap())
}

/// Points a plugin's link to a version by a rename, so that there is no moment without one.
pub fn point(plugins: &Path, name: &str, version: &str) {
    // Not a name that anybody takes for a library.
    let new = plugins.join(".link");
    symlink(real_name(name, version), &new).unwrap();
    fs::rename(new, plugins.join(soname(name, version))).unwrap();
}

/// Starts the host with the constructors' journal; see [`constructed`].
#[track_caller]
pub fn start(site: &Site) -> Host {
    let host = site.spawn(&[("CONSTRUCTED", site.path().join("constructed").to_str().unwrap())]);
    host.wait_for("listening");
    host
}

/// The private copies that were loaded, in order.
pub fn constructed(site: &Site) -> Vec<String> {
    lines(&site.path().join("constructed"))
}

/// What each content of a plugin has lived through, by what it acks.
pub fn lives(site: &Site, name: &str) -> BTreeMap<String, Vec<String>> {
    let mut lives: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in life(&site.plugins(), name) {
        let (what, who) = line.split_once(' ').unwrap();
        lives.entry(who.to_owned()).or_default().push(what.to_owned());
    }
    lives
}
