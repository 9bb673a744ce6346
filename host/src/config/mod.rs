//! Holds plugins.toml: its keys and their defaults. `keys.rs` says how they are written, `value.rs` what their values may be;
//! every error of a file is reported, each with its line and key. Puts nothing in force.

mod error;
mod file;
mod json;
mod keys;
mod listen;
mod nesting;
mod positions;
mod reload;
mod restart;
mod section;
mod syntax;
mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plugin_record::{Line, Policy};
use serde::Deserialize;
use toml::de::DeTable;
use wire::AckNumbering;

use crate::files::stability::Stamp;
use crate::shell::quoted;
pub use error::ConfigError;
use error::Fault;
use file::{Accept, Found};
pub use listen::{Listen, unix_path};
pub use reload::{Reread, Watched};
pub use restart::NextStart;

/// The whole of plugins.toml. Every key has a default, so an empty file will do.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where to listen and what one connection may use.
    pub server: Server,
    /// What goes over the wire.
    pub protocol: Protocol,
    /// Where plugins come from.
    pub plugins: Plugins,
    /// What admission accepts.
    pub policy: Policy,
    /// How the host is asked and steered.
    pub admin: Admin,
    /// One table for each plugin that is configured by name.
    pub plugin: BTreeMap<String, PluginTable>,
    /// What it was read from.
    pub source: Source,
}

/// What a configuration was read from.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The absolute path of the file; `None` where there is none that another program could read.
    pub file: Option<PathBuf>,
    /// How the file looked then; `None` for a pipe or a device, which can be read once only.
    pub stamp: Option<Stamp>,
    /// Whether there was anything in it but white space.
    pub has_content: bool,
    /// SHA-256 of its content, in hexadecimal; `None` where `stamp` is.
    pub digest: Option<String>,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where peers connect.
    pub listen: Listen,
    /// The largest frame in bytes, its length included.
    pub max_frame: usize,
    /// How many connections may be open at once; further ones wait unaccepted.
    pub max_connections: usize,
    /// A connection that completes no frame for this long is closed.
    pub idle_timeout: Duration,
    /// A frame that has begun must be complete after this long, else its connection is closed.
    pub frame_timeout: Duration,
    /// A connection stops being read while it has this many bytes of acks to take.
    pub max_unsent: usize,
    /// A connection that takes none of its acks for this long is closed.
    pub write_timeout: Duration,
    /// How long calls in flight may take at the end.
    pub drain_timeout: Duration,
    /// How many event loops, each with a thread, share the connections; by default one for each processor.
    pub threads: Option<usize>,
}

impl Default for Server {
    fn default() -> Server {
        Server {
            listen: Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 8888))),
            max_frame: 64 * 1024,
            max_connections: 100_000,
            idle_timeout: Duration::from_secs(300),
            frame_timeout: Duration::from_secs(30),
            max_unsent: 256 * 1024,
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
            threads: None,
        }
    }
}

/// `[protocol]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protocol {
    /// How ack commands are numbered.
    pub ack: AckNumbering,
}

/// `[admin]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admin {
    /// Where the control socket is.
    pub socket: AdminSocket,
}

/// `admin.socket`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AdminSocket {
    /// Under a name made from plugins.toml's path, in a directory of the user's own.
    #[default]
    Default,
    /// There is none.
    None,
    /// At this path; in the file, relative to it.
    At(PathBuf),
}

/// `[plugins]`
#[derive(Clone, Debug)]
pub struct Plugins {
    /// The plugin directory; in the file, relative to it.
    pub dir: PathBuf,
    /// Whether a start makes that directory when it is missing; else that is an error.
    pub create: bool,
    /// Where private copies are made; by default the user's runtime directory, else the system's temporary one.
    pub staging: Option<PathBuf>,
    /// Whether to follow changes in the directory while running.
    pub watch: bool,
    /// How often to look without an event.
    pub poll: Duration,
    /// Whether to serve plugins that have no table, on the commands of their record.
    pub discover: bool,
    /// How long a plugin's init may take.
    pub init_timeout: Duration,
    /// What a version does that another one has taken over from.
    pub standby: Standby,
    /// Where the plugins' own folders are, one for each by its name; by default `data` beside the plugin directory.
    pub data_dir: Option<PathBuf>,
    /// What to do with other content under a real name that is serving.
    pub replace: Replace,
}

impl Plugins {
    /// Where the plugins' own folders are.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| self.dir.with_file_name("data"))
    }
}

impl Default for Plugins {
    fn default() -> Plugins {
        Plugins {
            dir: PathBuf::from("plugins"),
            create: false,
            staging: None,
            watch: true,
            poll: Duration::from_secs(10),
            discover: true,
            init_timeout: Duration::from_secs(10),
            standby: Standby::Keep,
            data_dir: None,
            replace: Replace::Refuse,
        }
    }
}

/// `plugins.standby`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standby {
    /// Waits while its file is in the directory: rolled back to, it serves again without a second init.
    Keep,
    /// Is shut down when its last call has returned.
    Shutdown,
}

/// `plugins.replace`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Replace {
    /// Leave the old one serving.
    Refuse,
    /// Take it over, as for a new version; for development.
    Allow,
}

/// `[plugin.NAME]`
#[derive(Clone, Debug)]
pub struct PluginTable {
    /// The compatibility line to serve; by default the one that has a link, else the lowest.
    pub version: Option<Line>,
    /// The commands to serve; by default those of the plugin's record.
    pub commands: Option<Vec<u8>>,
    /// Whether the host refuses to start without it.
    pub required: bool,
    /// Whether to serve it at all.
    pub enabled: bool,
    /// What the plugin's init is given. Dates are text here.
    pub config: serde_json::Map<String, serde_json::Value>,
}

impl Default for PluginTable {
    fn default() -> PluginTable {
        PluginTable {
            version: None,
            commands: None,
            required: false,
            enabled: true,
            config: serde_json::Map::new(),
        }
    }
}

impl PluginTable {
    /// The plugin's own configuration, as it is handed over: a JSON object.
    pub fn config_json(&self) -> String {
        serde_json::Value::Object(self.config.clone()).to_string()
    }
}

impl Source {
    /// The file as it is named in a shell, for `--plugins`; `FILE` where it has no name.
    pub fn quoted(&self) -> String {
        self.file.as_ref().map_or_else(|| "FILE".to_owned(), quoted)
    }

    /// The digest of what the file holds now; `None` where it can't be read.
    pub fn digest_now(&self) -> Option<String> {
        let found = file::read(self.file.as_ref()?, file::Accept::Regular).ok()?;
        found.digest()
    }
}

impl Config {
    /// Reads a configuration file, or a pipe to its end. Relative paths in it are relative to the file's folder, those of a
    /// pipe to the current directory; they are absolute here, so that nothing depends on where the process is later.
    ///
    /// # Errors
    /// When it can't be read, or says something unknown, ill-typed or out of range.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        Config::parse(path, &file::read(path, Accept::Streams)?)
    }

    fn parse(path: &Path, found: &Found) -> Result<Config, ConfigError> {
        let text = &found.text;
        let mut config = Config::from_text(text).map_err(|faults| ConfigError::invalid(path, text, faults))?;
        let base = file::base(path, found.stamp.is_none()).map_err(|error| ConfigError::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        config.server.listen = config.server.listen.from(&base);
        if let AdminSocket::At(path) = &mut config.admin.socket {
            *path = base.join(&path);
        }
        config.plugins.dir = base.join(&config.plugins.dir);
        config.plugins.staging = config.plugins.staging.map(|staging| base.join(staging));
        config.plugins.data_dir = config.plugins.data_dir.map(|data_dir| base.join(data_dir));
        let file = std::path::absolute(path).ok().filter(|_| found.stamp.is_some());
        config.source = Source {
            file,
            stamp: found.stamp,
            has_content: !found.text.trim().is_empty(),
            digest: found.digest(),
        };
        Ok(config)
    }

    /// What a file with this text says; or everything that is wrong with it, in the order of the text.
    fn from_text(text: &str) -> Result<Config, Vec<Fault>> {
        if let Some(fault) = nesting::fault(text) {
            return Err(vec![fault]);
        }
        let (root, broken) = DeTable::parse_recoverable(text);
        let (config, said) = keys::read(root.get_ref());
        let faults = syntax::faults(text, root.get_ref(), &broken, said);
        match faults.is_empty() {
            true => Ok(config),
            false => Err(faults),
        }
    }
}
