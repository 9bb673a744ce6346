//! Decides where the control socket of a host is: where `admin.socket` says, else under a name that is made from plugins.toml's
//! path in a directory of the user's own; so `--plugins FILE` finds the host that runs with FILE.

use std::fmt::Write;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::{AdminSocket, Config};
use crate::files::private_directory::runtime_directory;

/// Where runtime directories of users are, on systems with systemd or elogind.
const OF_USERS: &str = "/run/user";
/// How the directory of a user's control sockets begins; the user's number follows.
const DIRECTORY: &str = "host-control-";

/// Where the socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketPath {
    /// There is to be none.
    Nowhere,
    /// The configuration names it.
    Configured(PathBuf),
    /// By default here, in a directory of the user's own.
    Default(PathBuf),
}

impl SocketPath {
    /// Where a host with this configuration, run by this user, has its socket.
    pub fn of(config: &Config) -> SocketPath {
        match (&config.admin.socket, name(config)) {
            (AdminSocket::None, _) | (AdminSocket::Default, None) => SocketPath::Nowhere,
            (AdminSocket::At(path), _) => SocketPath::Configured(path.clone()),
            (AdminSocket::Default, Some(name)) => {
                let uid = rustix::process::geteuid().as_raw();
                let directory = runtime_directory().join(format!("{DIRECTORY}{uid}"));
                SocketPath::Default(std::path::absolute(&directory).unwrap_or(directory).join(name))
            }
        }
    }

    /// Where this user may find hosts with this configuration: its own socket first. Root looks at those of all users.
    pub fn candidates(config: &Config) -> Vec<PathBuf> {
        let own = match SocketPath::of(config) {
            SocketPath::Nowhere => return Vec::new(),
            SocketPath::Configured(path) => return vec![path],
            SocketPath::Default(path) => path,
        };
        let mut candidates = vec![own];
        if let (true, Some(name)) = (rustix::process::geteuid().is_root(), name(config)) {
            let mut parents: Vec<PathBuf> = entries(Path::new(OF_USERS)).collect();
            parents.push(std::env::temp_dir());
            let sockets = parents.iter().flat_map(|parent| entries(parent));
            let of_hosts = sockets.filter(|path| {
                let name = path.file_name().unwrap_or_default();
                name.as_bytes().starts_with(DIRECTORY.as_bytes())
            });
            for path in of_hosts.map(|directory| directory.join(&name)) {
                if !candidates.contains(&path) && path.exists() {
                    candidates.push(path);
                }
            }
        }
        candidates
    }
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

/// The socket's name; none for a configuration that is no file. Links on the way to the file's folder make no difference; the
/// file itself may be a link that is moved with each new configuration.
fn name(config: &Config) -> Option<String> {
    let file = config.source.file.as_ref()?;
    let folder = file.parent().and_then(|folder| folder.canonicalize().ok());
    let path = folder.zip(file.file_name()).map(|(folder, name)| folder.join(name));
    let path = path.as_ref().unwrap_or(file);
    let digest = Sha256::digest(path.as_os_str().as_bytes());
    let mut name = String::new();
    for byte in digest.iter().take(8) {
        let _ = write!(name, "{byte:02x}"); // writing to a string can't fail
    }
    Some(format!("{name}.sock"))
}
