//! Takes the control socket's path and listens there. Decides what it means that the path can't be had: by default the host
//! serves without the socket and says so; a path that the configuration names is an error.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

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
/// Before a path that can't be had is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// A control socket that is ours. Its file is removed when this is dropped.
pub struct ControlSocket {
    file: Arc<Mutex<Option<SocketFile>>>,
    end: CancellationToken,
}

/// Where it is, and whether the configuration says so.
struct Place {
    path: PathBuf,
    is_configured: bool,
}

impl ControlSocket {
    /// Listens, and answers from `status` until this is dropped: also while the host ends. None where there is to be no socket. A
    /// default path that can't be had is tried again, as another host may have it until it has ended; and so is one whose file is
    /// removed, as a runtime directory goes with its user's last logout.
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
        let place = Place { path, is_configured };
        let (listener, file) = match runtime.wait(async { place.listen() }) {
            Ok((listener, file)) => (Some(listener), Some(file)),
            Err(error) if is_configured => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "no control socket yet: no command can ask this host what runs; it is tried again");
                (None, None)
            }
        };
        if listener.is_some() {
            tracing::debug!(socket = %place.path.display(), "control socket open");
        }
        let (file, end) = (Arc::new(Mutex::new(file)), CancellationToken::new());
        let task = serve(place, listener, Arc::clone(&file), status, end.clone());
        runtime.spawn("control socket", task);
        Ok(Some(ControlSocket { file, end }))
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.end.cancel();
        lock(&self.file).take();
    }
}

impl Place {
    /// Takes the path and listens there.
    fn listen(&self) -> Result<(UnixListener, SocketFile), ListenError> {
        let path = &self.path;
        if let (false, Some(directory)) = (self.is_configured, path.parent()) {
            make_private(directory).map_err(|reason| unusable(path, directory, reason))?;
        }
        let (socket, file) = SocketFile::bind(path, KEY)?;
        socket.listen(BACKLOG).map_err(|error| file.unusable(error))?;
        let listener = std::os::unix::net::UnixListener::from(OwnedFd::from(socket));
        let listener = UnixListener::from_std(listener).map_err(|error| file.unusable(error))?;
        Ok((listener, file))
    }
}

/// Serves until the end, at a new socket where the file of the one before is gone, or there is none yet.
async fn serve(
    place: Place,
    mut listener: Option<UnixListener>,
    file: Arc<Mutex<Option<SocketFile>>>,
    status: watch::Receiver<Arc<Status>>,
    end: CancellationToken,
) {
    let is_there = || lock(&file).as_ref().is_some_and(SocketFile::is_there);
    loop {
        match &listener {
            Some(listener) => server::serve(listener, status.clone(), &end, is_there).await,
            None => drop(end.run_until_cancelled(sleep(AGAIN)).await),
        }
        if end.is_cancelled() {
            return;
        }
        // The old lock goes first: both have one name.
        lock(&file).take();
        listener = match place.listen() {
            Ok((new, taken)) => {
                *lock(&file) = Some(taken);
                tracing::info!(socket = %place.path.display(), "the control socket is open now");
                Some(new)
            }
            Err(error) => {
                tracing::debug!(%error, "the control socket can't be had yet");
                None
            }
        };
    }
}

fn lock(file: &Mutex<Option<SocketFile>>) -> MutexGuard<'_, Option<SocketFile>> {
    // Nothing panics while it is held.
    file.lock().unwrap_or_else(PoisonError::into_inner)
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
