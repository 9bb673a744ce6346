//! Asks a running host what it is about, over its control socket. Decides which host that is, and how long it is waited for; what
//! is made of the answer is the command's part.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::server::STATUS;
use super::socket_path::{Candidate, SocketPath};
use crate::config::Config;
use crate::process::async_runtime::AsyncRuntime;
use crate::status::snapshot::Status;

/// How long a host may take to answer: its control plane never waits for plugins.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a host holds a request for a later status, and the time to answer it.
const POLL_TIMEOUT: Duration = Duration::from_secs(35);
/// Before a request that broke is made again.
const PAUSE: Duration = Duration::from_millis(50);
/// How large an answer may be, in bytes: what listens there may not be a host.
const MAX_ANSWER: usize = 256 * 1024 * 1024;

/// Why a host can't be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Something listens, and does not answer as a host does.
    #[error("the host at {} can't be asked: {found}", path.display())]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// What came instead.
        found: String,
    },
}

/// A host that runs.
#[derive(Debug)]
pub struct Client {
    runtime: AsyncRuntime,
    socket: Candidate,
}

impl Client {
    /// The host that runs with this configuration, and what it is about; none where there is none that this user can see.
    ///
    /// # Errors
    /// When one is there and does not answer.
    pub fn find(config: &Config, runtime: &AsyncRuntime) -> Result<Option<(Client, Status)>, ClientError> {
        for socket in SocketPath::candidates(config) {
            let client = Client {
                runtime: runtime.clone(),
                socket,
            };
            match client.now() {
                Ok(Some(status)) => return Ok(Some((client, status))),
                // What another user has there is no reason not to look further.
                Err(error) if !client.is_foreign() => return Err(error),
                Ok(None) | Err(_) => {}
            }
        }
        Ok(None)
    }

    /// Where it was found.
    pub fn socket(&self) -> &Path {
        &self.socket.path
    }

    /// Whether who asks is to stop.
    pub fn is_interrupted(&self) -> bool {
        self.runtime.is_stopping()
    }

    /// Whether it is another user's, which root alone asks.
    fn is_foreign(&self) -> bool {
        let own = rustix::process::geteuid().as_raw();
        self.socket.owner.is_some_and(|owner| owner != own)
    }

    /// Waits for a later status than this revision, some half a minute and `longest` at most; then gives what there is. None where
    /// the host has ended.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn after(&self, revision: u64, longest: Duration) -> Result<Option<Status>, ClientError> {
        let path = format!("{STATUS}?after={revision}");
        let later = async { timeout(longest.min(POLL_TIMEOUT), request(&self.socket, &path)).await };
        match self.runtime.wait(self.runtime.stop().run_until_cancelled(later)) {
            Some(Ok(Ok(answer))) => self.status(answer),
            // The time is over; or the host has ended in the middle of its answer; or who asks is to stop.
            Some(Ok(Err(_)) | Err(_)) | None => self.now(),
        }
    }

    /// What the host is about now. A process that ends closes its connections before its socket: what breaks is asked again.
    fn now(&self) -> Result<Option<Status>, ClientError> {
        let ask = async {
            loop {
                match request(&self.socket, STATUS).await {
                    Err(RequestError::Broken(_)) => sleep(PAUSE).await,
                    end => return end,
                }
            }
        };
        let answer = self.runtime.wait(async { timeout(TIMEOUT, ask).await });
        let answer = answer.map_err(|_| self.no_answer(format!("no answer within {TIMEOUT:?}")))?;
        self.status(answer.map_err(|error| self.no_answer(error.to_string()))?)
    }

    fn status(&self, answer: Option<Answer>) -> Result<Option<Status>, ClientError> {
        let Some(Answer { json, pid }) = answer else {
            return Ok(None);
        };
        let status = serde_json::from_slice::<Status>(&json);
        let mut status = status.map_err(|error| self.no_answer(format!("an answer of another version: {error}")))?;
        // As this process sees it: a signal goes to no process that somebody names.
        status.host.pid = pid.unwrap_or(status.host.pid);
        Ok(Some(status))
    }

    fn no_answer(&self, found: String) -> ClientError {
        ClientError::NoAnswer {
            path: self.socket.path.clone(),
            found,
        }
    }
}

/// What came, and from which process.
struct Answer {
    json: Bytes,
    pid: Option<u32>,
}

/// Why there is no answer to a request.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    /// The connection has ended too early.
    #[error("the connection was closed: {0}")]
    Broken(String),
    /// What came is no answer.
    #[error("{0}")]
    Other(String),
}

impl From<hyper::Error> for RequestError {
    fn from(error: hyper::Error) -> RequestError {
        match error.is_parse() || error.is_timeout() {
            true => RequestError::Other(error.to_string()),
            false => RequestError::Broken(error.to_string()),
        }
    }
}

/// The body of an answer; nothing where nobody listens, or this user may not ask.
async fn request(socket: &Candidate, path: &str) -> Result<Option<Answer>, RequestError> {
    let other = |error: &dyn Display| RequestError::Other(error.to_string());
    let stream = match UnixStream::connect(&socket.path).await {
        Ok(stream) => stream,
        Err(error) if is_nobody(&error) => return Ok(None),
        // Its backlog is full.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(RequestError::Broken(error.to_string())),
        Err(error) => return Err(other(&error)),
    };
    let peer = stream.peer_cred().map_err(|error| other(&error))?;
    if socket.owner.is_some_and(|owner| owner != peer.uid()) {
        return Err(RequestError::Other(format!("who listens there is user {}", peer.uid())));
    }
    let pid = peer
        .pid()
        .and_then(|pid| u32::try_from(pid).ok())
        .filter(|pid| *pid > 0);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get(path)
        .header(header::HOST, "localhost")
        .body(Empty::<Bytes>::new())
        .map_err(|error| other(&error))?;
    let response = sender.send_request(request).await?;
    let code = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(error) => RequestError::from(*error),
        Err(error) => other(&error),
    })?;
    let body = body.to_bytes();
    connection.abort();
    match code.is_success() {
        true => Ok(Some(Answer { json: body, pid })),
        false => Err(other(&format!("{code}: {}", String::from_utf8_lossy(&body)))),
    }
}

/// Whether an error means that there is no host to ask.
fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::NotADirectory
    )
}
