//! Decides where the control socket of a host is: where `admin.socket` says, else under a name that is made from plugins.toml's
//! path in a directory of the user's own; so `--plugins FILE` finds the host that runs with FILE.

use std::fmt::Write;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
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

    /// Where this user may find hosts with this configuration: its own socket first, also where its host was started in another
    /// environment, as services are. Root looks at those of all users.
    pub fn candidates(config: &Config) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = Vec::new();
        match SocketPath::of(config) {
            SocketPath::Nowhere => return candidates,
            // A host that was started before the configuration named it has the default one.
            SocketPath::Configured(path) => candidates.push(Candidate { path, owner: None }),
            SocketPath::Default(_) => {}
        }
        let Some(name) = name(config) else { return candidates };
        let user = rustix::process::geteuid();
        let uid = user.as_raw();
        let temporary = [std::env::temp_dir(), PathBuf::from("/tmp")];
        let of_users: Vec<PathBuf> = match user.is_root() {
            true => entries(Path::new(OF_USERS)).collect(),
            false => vec![Path::new(OF_USERS).join(uid.to_string())],
        };
        let mut directories = vec![runtime_directory().join(format!("{DIRECTORY}{uid}"))];
        for parent in of_users.iter().chain(&temporary) {
            match user.is_root() {
                true => directories.extend(entries(parent)),
                false => directories.push(parent.join(format!("{DIRECTORY}{uid}"))),
            }
        }
        for directory in directories {
            let path = directory.join(&name);
            if let Some(owner) = owner(&directory)
                && !candidates.iter().any(|candidate| candidate.path == path)
            {
                let owner = Some(owner);
                candidates.push(Candidate { path, owner });
            }
        }
        candidates
    }
}

/// Where a host may answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The socket's path.
    pub path: PathBuf,
    /// The user whose host it must be; none where the configuration names the path.
    pub owner: Option<u32>,
}

/// The user that a directory of control sockets is for: the one in its name, to whom it must belong alone, for anybody may make
/// a directory of that name.
fn owner(directory: &Path) -> Option<u32> {
    let name = directory.file_name()?.to_str()?;
    let owner: u32 = name.strip_prefix(DIRECTORY)?.parse().ok()?;
    let metadata = fs::symlink_metadata(directory).ok()?;
    let is_private = metadata.is_dir() && metadata.uid() == owner && metadata.mode() & 0o777 == 0o700;
    is_private.then_some(owner)
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
