//! Takes the control socket's path and listens there. Decides what it means that the path can't be had: by default the host
//! serves without the socket and says so; a path that the configuration names is an error.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio::sync::watch;

use super::server;
use super::socket_path::SocketPath;
use crate::config::Config;
use crate::files::private_directory::{NotPrivate, make_private};
use crate::net::ListenError;
use crate::net::socket_file::SocketFile;
use crate::process::async_runtime::AsyncRuntime;
use crate::status::snapshot::Status;

/// How many clients the kernel may hold for us.
const BACKLOG: i32 = 128;
const KEY: &str = "admin.socket";

/// A control socket that is ours. Its file is removed when this is dropped.
pub struct ControlSocket {
    _file: SocketFile,
}

impl ControlSocket {
    /// Listens, and answers from `status` until the runtime stops. None where there is to be no socket, or its default path can't
    /// be had.
    ///
    /// # Errors
    /// When the configuration names a path that can't be had.
    pub fn open(
        config: &Config,
        status: watch::Receiver<Arc<Status>>,
        runtime: &AsyncRuntime,
    ) -> Result<Option<ControlSocket>, ListenError> {
        let (path, is_configured) = match SocketPath::of(config) {
            SocketPath::Nowhere => return Ok(None),
            SocketPath::Configured(path) => (path, true),
            SocketPath::Default(path) => (path, false),
        };
        match listen(&path, is_configured, status, runtime) {
            Ok(socket) => {
                tracing::debug!(socket = %path.display(), "control socket open");
                Ok(Some(socket))
            }
            Err(error) if is_configured => Err(error),
            Err(error) => {
                tracing::warn!(%error, "no control socket: no command can ask this host what runs");
                Ok(None)
            }
        }
    }
}

fn listen(
    path: &Path,
    is_configured: bool,
    status: watch::Receiver<Arc<Status>>,
    runtime: &AsyncRuntime,
) -> Result<ControlSocket, ListenError> {
    if let (false, Some(directory)) = (is_configured, path.parent()) {
        make_private(directory).map_err(|reason| unusable(path, directory, reason))?;
    }
    let (socket, file) = SocketFile::bind(path, KEY)?;
    socket.listen(BACKLOG).map_err(|error| file.unusable(error))?;
    let listener = std::os::unix::net::UnixListener::from(OwnedFd::from(socket));
    let listener = runtime.wait(async { UnixListener::from_std(listener) });
    let listener = listener.map_err(|error| file.unusable(error))?;
    runtime.spawn(
        "control socket",
        server::serve(listener, status, runtime.stop().clone()),
    );
    Ok(ControlSocket { _file: file })
}

fn unusable(path: &Path, directory: &Path, reason: NotPrivate) -> ListenError {
    let error = match reason {
        NotPrivate::Unusable(error) => error,
        NotPrivate::NoDirectory(found) => io::Error::other(format!("expected a directory, found {found}")),
        NotPrivate::Others { found, mode } => io::Error::other(format!(
            "expected a directory of this user with mode 0700, found mode {mode:04o} and user {found}"
        )),
    };
    ListenError::Unix {
        key: KEY,
        path: path.to_owned(),
        place: directory.display().to_string(),
        error,
    }
}
