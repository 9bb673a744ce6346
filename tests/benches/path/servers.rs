//! The servers that are measured: the host with a number of plugins, and the floor.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use tests::cargo::sample;
use tests::files::{stripped, with_identity};
use tests::host::{Host, Site};

/// A server that runs until it is dropped.
pub(crate) enum Server {
    Host {
        address: String,
        host: Host,
        _site: Site,
    },
    Floor {
        address: String,
        child: Child,
        _stdout: BufReader<ChildStdout>,
    },
}

impl Server {
    /// The host at its defaults, with as many plugins, which answer 0x02 and onwards, one command each.
    pub(crate) fn host(plugins: usize) -> Server {
        let site = site(plugins);
        let host = site.start();
        Server::Host {
            address: host.address(),
            host,
            _site: site,
        }
    }

    /// The floor, with an event loop for each processor, as the host has.
    pub(crate) fn floor() -> Server {
        let loops = std::thread::available_parallelism().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--floor", &loops.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut address = String::new();
        stdout.read_line(&mut address).unwrap();
        Server::Floor {
            address: address.trim().to_owned(),
            child,
            _stdout: stdout,
        }
    }

    pub(crate) fn address(&self) -> &str {
        match self {
            Server::Host { address, .. } | Server::Floor { address, .. } => address,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        match self {
            Server::Host { host, .. } => host.pid(),
            Server::Floor { child, .. } => child.id(),
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
        if let Server::Floor { child, .. } = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A site with copies of submit-echo, each of which is a plugin of its own to the host.
fn site(plugins: usize) -> Site {
    let name = |number: usize| format!("plugin-{number:04}");
    let tables = (0..plugins).map(|number| format!("[plugin.{}]\ncommands = [{}]\n", name(number), number + 2));
    let site = Site::new(&tables.collect::<String>());
    for number in 0..plugins {
        let file = format!("lib{}.so.1.1.0", name(number).replace('-', "_"));
        with_identity(echo(), &site.plugins().join(file), &name(number), "1.1.0");
    }
    site
}

/// submit-echo without its symbols: there are many copies to be digested.
fn echo() -> &'static std::path::Path {
    static ECHO: OnceLock<(tempfile::TempDir, std::path::PathBuf)> = OnceLock::new();
    let (_, path) = ECHO.get_or_init(|| {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("echo.so");
        stripped(&sample("submit-echo"), &path);
        (folder, path)
    });
    path
}
