//! Publishes what the host is about: each change makes a new [`Status`], which readers of other threads take or wait for. An
//! event is logged and kept in the same step, so that log and history can't differ. Never waits for a reader.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use super::audit_log;
use super::change::Change;
use super::history::History;
use super::snapshot::{HostStatus, Phase, Status, View};

/// The publishing end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Publisher {
    state: Arc<Mutex<State>>,
    sender: watch::Sender<Arc<Status>>,
}

#[derive(Debug)]
struct State {
    revision: u64,
    host: HostStatus,
    view: Arc<View>,
    history: History,
}

impl State {
    fn status(&self) -> Arc<Status> {
        Arc::new(Status {
            revision: self.revision,
            host: self.host.clone(),
            view: Arc::clone(&self.view),
            events: self.history.events(),
        })
    }
}

impl Publisher {
    /// For a host that starts; `configuration` is the absolute path of plugins.toml, if it is a file.
    pub fn new(configuration: Option<String>) -> Publisher {
        let state = State {
            revision: 0,
            host: HostStatus {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id(),
                user: rustix::process::geteuid().as_raw(),
                started: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
                phase: Phase::Starting,
                listen: None,
                configuration,
            },
            view: Arc::default(),
            history: History::default(),
        };
        let (sender, _) = watch::channel(state.status());
        Publisher {
            state: Arc::new(Mutex::new(state)),
            sender,
        }
    }

    /// For readers.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Status>> {
        self.sender.subscribe()
    }

    /// Logs an event and keeps it.
    pub fn record(&self, change: Change) {
        self.update(|state| {
            audit_log::log(&change); // it never waits; so both have one order
            state.history.add(change, SystemTime::now());
            true
        });
    }

    /// What was served and refused when that was told last.
    pub fn last_view(&self) -> Arc<View> {
        Arc::clone(&self.lock().view)
    }

    /// What is served and refused now.
    pub fn view(&self, view: View) {
        self.update(|state| {
            let is_news = *state.view != view;
            if is_news {
                state.view = Arc::new(view);
            }
            is_news
        });
    }

    /// Peers can connect from now on.
    pub fn listening(&self, address: String) {
        self.update(|state| {
            state.host.listen = Some(address);
            state.host.phase = Phase::Serving;
            true
        });
    }

    /// The host ends.
    pub fn stopping(&self) {
        self.update(|state| {
            state.host.phase = Phase::Stopping;
            true
        });
    }

    fn update(&self, change: impl FnOnce(&mut State) -> bool) {
        let mut state = self.lock();
        if change(&mut state) {
            state.revision += 1;
            self.sender.send_replace(state.status());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
