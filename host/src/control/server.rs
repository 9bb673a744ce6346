//! Serves the control socket: HTTP over a Unix socket, for the host's user and root alone. Decides who may ask, how many at once
//! and for how long; what there is to tell is the status'. A client that reads nothing, sends nothing or sends rubbish costs its
//! own connection and no other thread's time; where there are too many, the one that came first makes room.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::logging::{LEFT_OUT, RateLimit};
use crate::process::descriptors::end_if_gone;
use crate::status::snapshot::Status;

/// The path of the status.
pub const STATUS: &str = "/api/status";
/// How many clients there are at once: each holds a descriptor and, while it reads slowly, a status. One more takes the place of
/// the one that came first, for who connects and does nothing must keep nobody out.
const MOST_CLIENTS: usize = 32;
/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request for a later status is held.
const LONGEST_POLL: Duration = Duration::from_secs(30);
/// How long a client may be connected; more than one long poll and the time to read its answer.
const LONGEST_CONNECTION: Duration = Duration::from_secs(60);
/// How large a request may be, head and all, in bytes.
const MAX_REQUEST: usize = 16 * 1024;
/// The pause after a connection could not be accepted, mostly for want of descriptors.
const PAUSE: Duration = Duration::from_millis(200);
/// How often it looks whether it still listens: no event reports a listener that foreign code has closed.
const LOOK: Duration = Duration::from_secs(1);

const OTHER_USER: &str = "a client of the control socket is another user's, closed";
static OTHER_USER_LIMIT: LazyLock<RateLimit> =
    LazyLock::new(|| RateLimit::new(|lines| tracing::warn!(lines, like = OTHER_USER, "{LEFT_OUT}")));

/// What requests are answered from.
struct Source {
    status: watch::Receiver<Arc<Status>>,
    /// The last status as JSON, with its revision: many clients share one copy.
    json: Mutex<Option<(u64, Bytes)>>,
}

/// Serves until it is time to stop, or the socket's file is not there any more, which it looks for now and then.
pub async fn serve(
    listener: &UnixListener,
    status: watch::Receiver<Arc<Status>>,
    stop: &CancellationToken,
    is_there: impl Fn() -> bool,
) {
    let source = Arc::new(Source {
        status,
        json: Mutex::default(),
    });
    let router = Router::new()
        .route(STATUS, get(show))
        .method_not_allowed_fallback(|| async { error(StatusCode::METHOD_NOT_ALLOWED, "expected GET") })
        .fallback(|| async { error(StatusCode::NOT_FOUND, "there is GET /api/status") })
        .with_state(source);
    let mut clients = Clients::default();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
            () = sleep(LOOK) => {
                still_listens(listener);
                match is_there() {
                    true => continue,
                    false => return,
                }
            }
        };
        match accepted {
            Ok((stream, _)) if is_allowed(&stream) => {
                clients.make_room(MOST_CLIENTS - 1);
                let client = tokio::spawn(answer(stream, router.clone(), stop.clone()));
                clients.connected.push_back(client.abort_handle());
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "no client of the control socket can be accepted, trying again");
                clients.make_room(clients.connected.len().saturating_sub(1));
                sleep(PAUSE).await;
                end_if_gone(&error); // after the pause: who knows which plugin's doing it is says so first
            }
        }
    }
}

/// Those that are connected, in the order in which they came.
#[derive(Default)]
struct Clients {
    connected: VecDeque<AbortHandle>,
}

impl Clients {
    /// Closes those that came first, until there are no more than `most`.
    fn make_room(&mut self, most: usize) {
        self.connected.retain(|client| !client.is_finished());
        while self.connected.len() > most
            && let Some(first) = self.connected.pop_front()
        {
            first.abort();
        }
    }
}

/// Ends the process where the listener is not there any more: no command could ask it what runs.
fn still_listens(listener: &UnixListener) {
    match rustix::net::sockopt::socket_acceptconn(listener) {
        Ok(true) => {}
        Ok(false) => end_if_gone(&rustix::io::Errno::NOTSOCK.into()), // another socket has its number by now
        Err(error) => end_if_gone(&io::Error::from(error)),
    }
}

/// Whether the process at the other end is the host's user's, or root's: the file's mode says so already, unless somebody has
/// changed it.
fn is_allowed(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let uid = stream.peer_cred().map(|peer| peer.uid());
    match uid {
        Ok(uid) if uid == own || uid == 0 => true,
        Ok(uid) => {
            if OTHER_USER_LIMIT.admits() {
                tracing::warn!(user = uid, "{OTHER_USER}");
            }
            false
        }
        Err(_) => false, // gone already
    }
}

/// Answers one client's requests.
async fn answer(stream: UnixStream, router: Router, stop: CancellationToken) {
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_REQUEST);
    let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let whole = async {
        tokio::select! {
            outcome = &mut connection => return outcome,
            () = stop.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    };
    // What a client breaks is its own connection.
    if let Ok(Err(error)) = timeout(LONGEST_CONNECTION, whole).await {
        tracing::debug!(%error, "a client of the control socket was closed");
    }
}

#[derive(Debug, Deserialize)]
struct After {
    /// The revision that the client has; a later one is waited for.
    after: Option<u64>,
}

/// `GET /api/status[?after=REVISION]`: the status, with `after` a later one than that if there is one within some time.
async fn show(State(source): State<Arc<Source>>, query: Result<Query<After>, QueryRejection>) -> Response {
    let after = match query {
        Ok(Query(After { after })) => after,
        Err(fault) => return error(fault.status(), &fault.body_text()),
    };
    let mut receiver = source.status.clone();
    if let Some(after) = after {
        // Without a later one it is the same again.
        let _ = timeout(LONGEST_POLL, receiver.wait_for(|status| status.revision > after)).await;
    }
    let status = Arc::clone(&receiver.borrow_and_update());
    match source.json(&status) {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(fault) => error(StatusCode::INTERNAL_SERVER_ERROR, &fault.to_string()),
    }
}

impl Source {
    fn json(&self, status: &Status) -> serde_json::Result<Bytes> {
        let mut kept = self.json.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((revision, json)) = &*kept
            && *revision == status.revision
        {
            return Ok(json.clone());
        }
        let json = Bytes::from(serde_json::to_vec(status)?);
        *kept = Some((status.revision, json.clone()));
        Ok(json)
    }
}

fn error(code: StatusCode, text: &str) -> Response {
    (code, Json(serde_json::json!({ "error": text }))).into_response()
}
