//! The handlers that are alive: one for each content and configuration, made once, kept while it may serve again, and shut
//! down once. Libraries stay for good.
//!
//! The lock is never held while a plugin's code runs, so that the end of the host does not wait for a plugin.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::admit::Admitted;
use super::hints::{Hint, Sender};
use super::load::Library;
use super::stage::Digest;
use super::{Code, Plugin, Refusal};
use crate::routes::{RouteTable, Routes};

/// What makes a handler: the library's content, and its configuration as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Of the library.
    pub digest: Digest,
    /// What its init is given.
    pub config: String,
}

/// All handlers, shared by the manager, which makes them, and whoever ends the host.
#[derive(Clone)]
pub struct Instances {
    state: Arc<Mutex<State>>,
    routes: Arc<Routes>,
    ended: Sender,
}

#[derive(Default)]
struct State {
    libraries: HashMap<Digest, Library>,
    live: Vec<Live>,
    /// The plugin whose library never came back from its start-up code.
    stuck: Option<String>,
    /// No handler is made any more.
    closed: bool,
}

struct Live {
    key: Key,
    /// None while it is being shut down.
    plugin: Option<Arc<Plugin>>,
}

impl Instances {
    /// None yet. `ended` is told when a handler has ended that was retired.
    pub fn new(ended: Sender) -> Instances {
        let routes = Arc::new(Routes::default());
        // What this registers for the thread can't be registered while a library's start-up code hangs, see `stuck`.
        drop(routes.load());
        Instances {
            state: Arc::default(),
            routes,
            ended,
        }
    }

    /// Where connections find out who answers what.
    pub fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// The handler of a key, if it is alive.
    pub fn get(&self, key: &Key) -> Option<Arc<Plugin>> {
        let state = self.lock();
        let live = state.live.iter().find(|live| live.key == *key)?;
        live.plugin.clone()
    }

    /// Whether a handler of this key is being shut down: there is never a second one beside it.
    pub fn is_ending(&self, key: &Key) -> bool {
        self.lock()
            .live
            .iter()
            .any(|live| live.key == *key && live.plugin.is_none())
    }

    /// Opens a library, the first time, and has it check a configuration.
    ///
    /// # Errors
    /// See [`Library::open`] and [`Library::check_config`].
    pub fn open(&self, admitted: &Arc<Admitted>, config: &str, timeout: Duration) -> Result<Library, Refusal> {
        let known = self.lock().libraries.get(&admitted.digest()).cloned();
        let library = match known {
            Some(library) => library,
            None => {
                let library = Library::open(Arc::clone(admitted), timeout).inspect_err(|refusal| {
                    if refusal.code == Code::LoadTimeout {
                        self.lock().stuck = Some(admitted.record().name.clone());
                    }
                })?;
                self.lock().libraries.insert(admitted.digest(), library.clone());
                library
            }
        };
        library.check_config(config.to_owned(), timeout)?;
        Ok(library)
    }

    /// The plugin whose library never came back from its start-up code, if there is one. It holds the dynamic linker's lock
    /// for good: no other library can be opened, and on glibc no thread can be started any more. Threads that run go on.
    pub fn stuck(&self) -> Option<String> {
        self.lock().stuck.clone()
    }

    /// Makes the handler of a key. `None` once the host ends.
    ///
    /// # Errors
    /// See [`Plugin::init`].
    pub fn init(
        &self,
        library: Library,
        key: &Key,
        data_dir: &Path,
        timeout: Duration,
    ) -> Option<Result<Arc<Plugin>, Refusal>> {
        if self.lock().closed {
            return None;
        }
        let plugin = match Plugin::init(library, key.config.clone(), data_dir, timeout) {
            Ok(plugin) => Arc::new(plugin),
            Err(refusal) => return Some(Err(refusal)),
        };
        let mut state = self.lock();
        if state.closed {
            drop(state);
            plugin.shutdown();
            return None;
        }
        state.live.push(Live {
            key: key.clone(),
            plugin: Some(Arc::clone(&plugin)),
        });
        Some(Ok(plugin))
    }

    /// Puts a route table in force; the one before comes back. Nothing happens once the host ends.
    pub fn publish(&self, table: RouteTable) -> Arc<RouteTable> {
        let state = self.lock();
        match state.closed {
            true => Arc::default(),
            false => self.routes.swap(Arc::new(table)),
        }
    }

    /// Every key that has a handler, ending ones aside.
    pub fn keys(&self) -> Vec<Key> {
        let state = self.lock();
        let alive = state.live.iter().filter(|live| live.plugin.is_some());
        alive.map(|live| live.key.clone()).collect()
    }

    /// Shuts a handler down, on a thread of its own, and forgets it; `reason` is for the log.
    pub fn retire(&self, key: Key, reason: &'static str) {
        let plugin = {
            let mut state = self.lock();
            let live = state.live.iter_mut().find(|live| live.key == key);
            live.and_then(|live| live.plugin.take())
        };
        let Some(plugin) = plugin else { return };
        let instances = self.clone();
        let retire = move || {
            plugin.shutdown();
            let (name, version) = (plugin.name().to_owned(), plugin.version().clone());
            drop(plugin);
            tracing::info!(plugin = name, %version, digest = %key.digest, reason, "retired");
            instances.lock().live.retain(|live| live.key != key);
            let _ = instances.ended.send(Hint::Ended);
        };
        let thread = std::thread::Builder::new().name("retire".to_owned());
        if let Err(error) = thread.spawn(retire) {
            tracing::error!(%error, "no thread to shut a plugin down");
        }
    }

    /// Takes every plugin out of the route table. No handler is made and no table published after that; whoever waits for
    /// hints is told.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.routes.store(Arc::default());
        let _ = self.ended.send(Hint::Ended);
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Closes, and calls the shutdown of every plugin, once each, all at once; waits for them until `deadline`.
    pub fn shutdown(&self, deadline: Instant) {
        self.close();
        let plugins: Vec<Arc<Plugin>> = {
            let mut state = self.lock();
            state.live.drain(..).filter_map(|live| live.plugin).collect()
        };
        let (done, finished) = mpsc::channel();
        let mut waiting: Vec<String> = Vec::new();
        for plugin in plugins {
            let (name, done) = (plugin.name().to_owned(), done.clone());
            let spawned = std::thread::Builder::new()
                .name(format!("shutdown {name}"))
                .spawn(move || {
                    plugin.shutdown();
                    let name = plugin.name().to_owned();
                    drop(plugin);
                    let _ = done.send(name);
                });
            match spawned {
                Ok(_) => waiting.push(name),
                Err(error) => tracing::error!(plugin = name, %error, "no thread to shut it down"),
            }
        }
        while !waiting.is_empty() {
            let left = deadline
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1));
            match finished.recv_timeout(left) {
                Ok(name) => {
                    let at = waiting.iter().position(|plugin| *plugin == name);
                    at.map(|at| waiting.remove(at));
                }
                Err(_) => {
                    tracing::error!(plugins = ?waiting, "shutdown did not return in time");
                    return;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; and if so, the handlers are still there.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
