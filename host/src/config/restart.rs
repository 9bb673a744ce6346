//! Decides which keys a running host does not take over, and which of them the log has yet to name.

use std::collections::BTreeMap;

use super::{Admin, Config, Plugins, Protocol, Server};

/// What the next start is to change: each key that was named, with the value that it was named for.
#[derive(Debug, Default)]
pub struct NextStart {
    named: BTreeMap<&'static str, String>,
}

impl NextStart {
    /// The keys that `new` sets to something else than what runs, and that were not named for this value before. One that is
    /// set back to what runs is forgotten.
    pub fn news(&mut self, running: &Config, new: &Config) -> Vec<&'static str> {
        let mut news = Vec::new();
        for ((key, runs), (_, wanted)) in fixed(running).into_iter().zip(fixed(new)) {
            if wanted == runs {
                self.named.remove(key);
            } else if self.named.get(key) != Some(&wanted) {
                news.push(key);
                self.named.insert(key, wanted);
            }
        }
        news
    }
}

impl Config {
    /// This configuration as far as a host that runs with `running` takes it over.
    #[must_use]
    pub fn taken_over(self, running: &Config) -> Config {
        Config {
            server: running.server.clone(),
            protocol: running.protocol.clone(),
            admin: running.admin.clone(),
            plugins: Plugins {
                dir: running.plugins.dir.clone(),
                staging: running.plugins.staging.clone(),
                data_dir: running.plugins.data_dir.clone(),
                ..self.plugins
            },
            ..self
        }
    }
}

/// The keys that only a start reads, each with its value as a text to compare. (`plugins.create` is about the start itself.)
fn fixed(config: &Config) -> [(&'static str, String); 14] {
    let Server {
        listen,
        max_frame,
        max_connections,
        idle_timeout,
        frame_timeout,
        max_unsent,
        write_timeout,
        drain_timeout,
        threads,
    } = &config.server;
    let Protocol { ack } = &config.protocol;
    let Admin { socket } = &config.admin;
    let Plugins {
        dir, staging, data_dir, ..
    } = &config.plugins;
    [
        ("server.listen", format!("{listen:?}")),
        ("server.max_frame", format!("{max_frame:?}")),
        ("server.max_connections", format!("{max_connections:?}")),
        ("server.idle_timeout", format!("{idle_timeout:?}")),
        ("server.frame_timeout", format!("{frame_timeout:?}")),
        ("server.max_unsent", format!("{max_unsent:?}")),
        ("server.write_timeout", format!("{write_timeout:?}")),
        ("server.drain_timeout", format!("{drain_timeout:?}")),
        ("server.threads", format!("{threads:?}")),
        ("protocol.ack", format!("{ack:?}")),
        ("admin.socket", format!("{socket:?}")),
        ("plugins.dir", format!("{dir:?}")),
        ("plugins.staging", format!("{staging:?}")),
        ("plugins.data_dir", format!("{data_dir:?}")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_once_for_each_value() {
        let config = |text: &str| Config::from_text(text).expect("a configuration");
        let running = config("");
        let mut next = NextStart::default();
        for (text, news) in [
            ("", &[][..]),
            (
                "server.max_frame = 100\nprotocol.ack = \"documented\"",
                &["server.max_frame", "protocol.ack"],
            ),
            ("server.max_frame = 100\nprotocol.ack = \"documented\"", &[]),
            // Written otherwise, the same.
            ("server.max_frame = \"100 B\"\nprotocol.ack = \"documented\"", &[]),
            ("server.max_frame = 101", &["server.max_frame"]),
            ("server.max_frame = \"64KiB\"\nplugins.watch = false", &[]),
            (
                "server.max_frame = 101\nplugins.dir = \"x\"",
                &["server.max_frame", "plugins.dir"],
            ),
        ] {
            assert_eq!(next.news(&running, &config(text)), news, "{text}");
        }
    }
}
