//! The servers that are measured: the host with a number of plugins, the floor, and the tokio server.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use tests::cargo::sample;
use tests::files::{stripped, with_identity};
use tests::host::{Host, Site};
use tests::inside::CONFIGURATION;

/// A server that runs until it is dropped.
pub(crate) enum Server {
    Host {
        address: String,
        host: Host,
        _site: Site,
    },
    /// A process of this program.
    Own {
        address: String,
        child: Child,
        _stdout: BufReader<ChildStdout>,
        _site: Option<Site>,
    },
}

impl Server {
    /// The host at its defaults, with as many plugins, which answer 0x02 and onwards, one command each.
    pub(crate) fn host(plugins: usize) -> Server {
        Server::host_at(site("", plugins))
    }

    /// The host at its defaults with the blocking plugin (`tests/plugins/blocking.rs`) as well.
    pub(crate) fn host_that_blocks(blocking: &Path) -> Server {
        let site = site("", 1);
        site.install(blocking);
        Server::host_at(site)
    }

    fn host_at(site: Site) -> Server {
        let host = site.start();
        Server::Host {
            address: host.address(),
            host,
            _site: site,
        }
    }

    /// The floor, with an event loop for each processor, as the host has.
    pub(crate) fn floor() -> Server {
        Server::own("--floor", None)
    }

    /// The tokio server, with a runtime for each processor and one plugin, which answers 0x02.
    pub(crate) fn tokio() -> Server {
        Server::own("--tokio", Some(site(CONFIGURATION, 1)))
    }

    /// The same with the blocking plugin as well.
    pub(crate) fn tokio_that_blocks(blocking: &Path) -> Server {
        let site = site(CONFIGURATION, 1);
        site.install(blocking);
        Server::own("--tokio", Some(site))
    }

    fn own(which: &str, site: Option<Site>) -> Server {
        let threads = std::thread::available_parallelism().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([which, &threads.to_string()])
            .args(site.iter().map(Site::configuration))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut address = String::new();
        stdout.read_line(&mut address).unwrap();
        Server::Own {
            address: address.trim().to_owned(),
            child,
            _stdout: stdout,
            _site: site,
        }
    }

    pub(crate) fn address(&self) -> &str {
        match self {
            Server::Host { address, .. } | Server::Own { address, .. } => address,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        match self {
            Server::Host { host, .. } => host.pid(),
            Server::Own { child, .. } => child.id(),
        }
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Server::Own { child, .. } = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A site with copies of submit-echo, each of which is a plugin of its own to the host.
fn site(configuration: &str, plugins: usize) -> Site {
    let name = |number: usize| format!("plugin-{number:04}");
    let tables = (0..plugins).map(|number| format!("[plugin.{}]\ncommands = [{}]\n", name(number), number + 2));
    let site = Site::new(&format!("{configuration}{}", tables.collect::<String>()));
    for number in 0..plugins {
        let file = format!("lib{}.so.1.1.0", name(number).replace('-', "_"));
        with_identity(echo(), &site.plugins().join(file), &name(number), "1.1.0");
    }
    site
}

/// submit-echo without its symbols: there are many copies to be digested.
fn echo() -> &'static Path {
    static ECHO: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = ECHO.get_or_init(|| {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("echo.so");
        stripped(&sample("submit-echo"), &path);
        (folder, path)
    });
    path
}
