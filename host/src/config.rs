//! plugins.toml: its keys, their defaults and ranges, and errors that name the key, its line and the nearest known key.

mod due;
mod error;
mod file;
mod finite;
mod value;
mod watched;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plugin_record::{Line, Policy};
use serde::Deserialize;

pub use error::ConfigError;
use file::{Accept, Found};
use finite::first_not_finite;
pub use value::is_package_name;
use value::{commands, duration, line};
pub use watched::Watched;

use crate::plugin::permissions;
use crate::plugin::settle::Stamp;

/// The whole of plugins.toml. Every key has a default, so an empty file will do.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen and what one connection may use.
    pub server: Server,
    /// What goes over the wire.
    pub protocol: Protocol,
    /// Where plugins come from.
    pub plugins: Plugins,
    /// What admission accepts.
    pub policy: Policy,
    /// One table for each plugin that is configured by name.
    #[serde(deserialize_with = "value::plugins")]
    pub plugin: BTreeMap<String, PluginTable>,
    /// What it was read from.
    #[serde(skip)]
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
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// The address to listen on; port 0 takes a free one.
    #[serde(deserialize_with = "value::address")]
    pub listen: SocketAddr,
    /// The largest frame in bytes, its length included.
    #[serde(deserialize_with = "value::frame_size")]
    pub max_frame: usize,
    /// How many connections may be open at once; further ones wait unaccepted.
    #[serde(deserialize_with = "value::at_least_one")]
    pub max_connections: usize,
    /// A connection that completes no frame for this long is closed.
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Duration,
    /// A frame that has begun must be complete after this long, else its connection is closed.
    #[serde(deserialize_with = "duration")]
    pub frame_timeout: Duration,
    /// A connection stops being read while it has this many bytes of acks to take.
    #[serde(deserialize_with = "value::unsent_size")]
    pub max_unsent: usize,
    /// A connection that takes none of its acks for this long is closed.
    #[serde(deserialize_with = "duration")]
    pub write_timeout: Duration,
    /// How long calls in flight may take at the end.
    #[serde(deserialize_with = "duration")]
    pub drain_timeout: Duration,
    /// How many event loops, each with a thread, share the connections; by default one for each processor.
    #[serde(deserialize_with = "value::some_threads")]
    pub threads: Option<usize>,
}

impl Default for Server {
    fn default() -> Server {
        Server {
            listen: SocketAddr::from(([127, 0, 0, 1], 8888)),
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Protocol {
    /// How ack commands are numbered.
    pub ack: AckNumbering,
}

/// How the command of an ack follows from that of its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AckNumbering {
    /// Request + 0x7F: what the original programs put on the wire.
    #[default]
    Go,
    /// Request + 0x80: what their comments say.
    Documented,
}

/// `[plugins]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plugins {
    /// The plugin directory; in the file, relative to it.
    pub dir: PathBuf,
    /// Where private copies are made; by default the user's runtime directory, else the system's temporary one.
    pub staging: Option<PathBuf>,
    /// Whether to follow changes in the directory while running.
    pub watch: bool,
    /// How often to look without being told.
    #[serde(deserialize_with = "duration")]
    pub poll: Duration,
    /// Whether to serve plugins that have no table, on the commands of their record.
    pub discover: bool,
    /// How long a plugin's init may take.
    #[serde(deserialize_with = "duration")]
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
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginTable {
    /// The compatibility line to serve; by default the one that has a link, else the lowest.
    #[serde(deserialize_with = "line")]
    pub version: Option<Line>,
    /// The commands to serve; by default those of the plugin's record.
    #[serde(deserialize_with = "commands")]
    pub commands: Option<Vec<u8>>,
    /// Whether the host refuses to start without it.
    pub required: bool,
    /// Whether to serve it at all.
    pub enabled: bool,
    /// What the plugin's init is given.
    pub config: toml::Table,
}

impl Default for PluginTable {
    fn default() -> PluginTable {
        PluginTable {
            version: None,
            commands: None,
            required: false,
            enabled: true,
            config: toml::Table::new(),
        }
    }
}

impl PluginTable {
    /// The plugin's own configuration, as it is handed over: a JSON object. A date becomes its text.
    pub fn config_json(&self) -> String {
        let object: serde_json::Map<_, _> = self
            .config
            .iter()
            .map(|(key, value)| (key.clone(), value::json(value)))
            .collect();
        serde_json::Value::Object(object).to_string()
    }
}

impl Source {
    /// The file as it is named in a shell, for `--plugins`; `FILE` where it has no name.
    pub fn quoted(&self) -> String {
        self.file
            .as_ref()
            .map_or_else(|| "FILE".to_owned(), permissions::quoted)
    }
}

impl Config {
    /// The keys in which a new configuration differs from this one and which a running host does not take over.
    pub fn needs_restart(&self, new: &Config) -> Vec<&'static str> {
        let keys = [
            ("server", self.server != new.server),
            ("protocol", self.protocol != new.protocol),
            ("plugins.dir", self.plugins.dir != new.plugins.dir),
            ("plugins.staging", self.plugins.staging != new.plugins.staging),
            ("plugins.data_dir", self.plugins.data_dir != new.plugins.data_dir),
        ];
        keys.iter()
            .filter(|(_, differs)| *differs)
            .map(|(key, _)| *key)
            .collect()
    }

    /// This configuration as far as a host that runs with `running` takes it over.
    #[must_use]
    pub fn taken_over(self, running: &Config) -> Config {
        Config {
            server: running.server.clone(),
            protocol: running.protocol.clone(),
            plugins: Plugins {
                dir: running.plugins.dir.clone(),
                staging: running.plugins.staging.clone(),
                data_dir: running.plugins.data_dir.clone(),
                ..self.plugins
            },
            ..self
        }
    }

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
        let mut config: Config = toml::from_str(text).map_err(|error| ConfigError::explain(path, text, &error))?;
        if let Some(number) = first_not_finite(text) {
            return Err(ConfigError::not_finite(path, text, number));
        }
        let base = file::base(path, found.stamp.is_none()).map_err(|error| ConfigError::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        config.plugins.dir = base.join(&config.plugins.dir);
        config.plugins.staging = config.plugins.staging.map(|staging| base.join(staging));
        config.plugins.data_dir = config.plugins.data_dir.map(|data_dir| base.join(data_dir));
        let file = std::path::absolute(path).ok().filter(|_| found.stamp.is_some());
        config.source = Source {
            file,
            stamp: found.stamp,
            has_content: !found.text.trim().is_empty(),
        };
        Ok(config)
    }
}
