//! The handlers that are alive: one for each content and configuration, made once, kept while it may serve again, and shut
//! down once. Libraries stay for good.
//!
//! The lock is never held while a plugin's code runs, so that the end of the host does not wait for a plugin. Which handlers
//! serve, and when one is shut down, is the manager's decision.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use plugin_record::Code;
use semver::Version;

use super::instance::Handler;
use super::library::Library;
use super::opening::{is_under_way, opens_once, warn_of_the_next};
use super::plugin::Plugin;
use super::retired::Retired;
use crate::admission::admit::Admitted;
use crate::admission::stage::Digest;
use crate::admission::static_tls::Room;
use crate::process::async_runtime::AsyncRuntime;
use crate::selection::instance_key::InstanceKey;
use crate::unavailable::{LoadError, Shortage, Unavailable};

/// All handlers, shared by the manager, which makes them, and whoever ends the host.
#[derive(Clone)]
pub struct Instances {
    state: Arc<Mutex<State>>,
    /// For who waits until handlers have ended.
    ended: Arc<Condvar>,
    on_change: Arc<dyn Fn(Option<Retired>) + Send + Sync>,
    pub(super) runtime: AsyncRuntime,
}

#[derive(Default)]
struct State {
    /// In the order in which they were opened.
    libraries: Vec<Library>,
    live: Vec<Live>,
    /// How many handlers there were.
    count: u64,
    /// The library whose start-up code runs, or never came back.
    opening: Option<String>,
    /// No handler is made any more.
    closed: bool,
}

/// One handler. Its number tells it from a later one of the same key.
struct Live {
    number: u64,
    key: InstanceKey,
    phase: Phase,
}

enum Phase {
    Alive(Arc<Plugin>),
    /// The plugin of that name and version is being shut down, since then.
    Ending((String, Version), Instant),
}

impl State {
    fn library(&self, digest: Digest) -> Option<&Library> {
        self.libraries
            .iter()
            .find(|library| library.admitted().digest() == digest)
    }

    /// What static TLS is left, by estimate.
    fn room(&self) -> Room {
        let admitted = self.libraries.iter().map(Library::admitted);
        Room::at_start().after(admitted.filter_map(|admitted| admitted.static_tls()))
    }
}

impl Live {
    fn plugin(&self) -> Option<&Arc<Plugin>> {
        match &self.phase {
            Phase::Alive(plugin) => Some(plugin),
            Phase::Ending(..) => None,
        }
    }
}

impl Instances {
    /// None yet. `on_change` is called when a handler has ended (with it, if it was retired), when a library came back late, and
    /// when these are closed; it must not block. When it is time to stop, no plugin's code is waited for any more.
    pub fn new(on_change: impl Fn(Option<Retired>) + Send + Sync + 'static, runtime: AsyncRuntime) -> Instances {
        Instances {
            state: Arc::default(),
            ended: Arc::default(),
            on_change: Arc::new(on_change),
            runtime,
        }
    }

    /// The handler of a key, if it is alive.
    pub fn get(&self, key: &InstanceKey) -> Option<Arc<Plugin>> {
        let state = self.lock();
        let live = state.live.iter().find(|live| live.key == *key)?;
        live.plugin().cloned()
    }

    /// Whether a handler of this key is being shut down: there is never a second one beside it.
    pub fn is_ending(&self, key: &InstanceKey) -> bool {
        let state = self.lock();
        state
            .live
            .iter()
            .any(|live| live.key == *key && live.plugin().is_none())
    }

    /// Whether a library is open.
    pub fn is_open(&self, digest: Digest) -> bool {
        self.lock().library(digest).is_some()
    }

    /// The libraries that are open and take static TLS, in the order in which they were opened.
    pub fn with_static_tls(&self) -> Vec<Arc<Admitted>> {
        let state = self.lock();
        let admitted = state.libraries.iter().map(Library::admitted);
        admitted
            .filter(|admitted| admitted.static_tls().is_some())
            .cloned()
            .collect()
    }

    /// What static TLS is left for further ones, by estimate.
    pub fn room(&self) -> Room {
        self.lock().room()
    }

    /// Opens a library, the first time, and has it check a configuration. `file` is its path, for what is told to people.
    ///
    /// # Errors
    /// See [`Library::open`] and [`Library::check_config`]; and what another library holds up, which never came back.
    pub fn open(
        &self,
        admitted: &Arc<Admitted>,
        file: &Path,
        config: &str,
        timeout: Duration,
    ) -> Result<Library, LoadError> {
        let known = self.lock().library(admitted.digest()).cloned();
        let library = match known {
            Some(library) => library,
            None => self.open_new(admitted, file, timeout)?,
        };
        library.check_config(config.to_owned(), timeout, &self.runtime)?;
        Ok(library)
    }

    /// A library that never comes back from its start-up code holds the dynamic linker's lock: nothing else can be opened,
    /// and on glibc no thread can be started, until it does.
    fn open_new(&self, admitted: &Arc<Admitted>, file: &Path, timeout: Duration) -> Result<Library, LoadError> {
        if let Some(other) = self.lock().opening.clone() {
            let found = format!("the start-up code of {other} has not returned");
            return Err(Unavailable::new(Shortage::Linker, "library", found).into());
        }
        let record = admitted.record();
        self.lock().opening = Some(format!("{} {}", record.name, record.version));
        let late = self.clone();
        let (file, room) = (file.to_owned(), self.room());
        let opened = Library::open(
            Arc::clone(admitted),
            file,
            room,
            timeout,
            &self.runtime,
            move |library| {
                late.came_back(library.ok());
                (late.on_change)(None);
            },
        );
        match &opened {
            Ok(library) => self.came_back(Some(library.clone())),
            Err(error) if is_under_way(error) => {}
            Err(_) => self.came_back(None),
        }
        // It opened well in another process. But that one may have had more static TLS.
        opened.map_err(|error| match error {
            LoadError::Refused(refusal) if refusal.code == Code::StaticTls => refusal.into(),
            LoadError::Refused(refusal) => opens_once(&refusal).into(),
            error => error,
        })
    }

    fn came_back(&self, library: Option<Library>) {
        let mut state = self.lock();
        state.opening = None;
        if let Some(library) = library {
            let admitted = Arc::clone(library.admitted());
            state.libraries.push(library);
            let room = state.room();
            drop(state);
            warn_of_the_next(&admitted, room);
        }
    }

    /// The library whose start-up code has not come back, if there is one.
    pub fn stuck(&self) -> Option<String> {
        self.lock().opening.clone()
    }

    /// Makes the handler of a key.
    ///
    /// # Errors
    /// See `Handler::init`; `Stopping` once the host ends.
    pub fn init(
        &self,
        library: Library,
        key: &InstanceKey,
        data_dir: &Path,
        timeout: Duration,
    ) -> Result<Arc<Plugin>, LoadError> {
        if self.lock().closed {
            return Err(LoadError::Stopping);
        }
        let handler = Handler::init(library, key.config.clone(), data_dir, timeout, &self.runtime)?;
        let plugin = Arc::new(Plugin::new(handler));
        let mut state = self.lock();
        if state.closed {
            drop(state);
            plugin.shutdown();
            return Err(LoadError::Stopping);
        }
        state.count += 1;
        let live = Live {
            number: state.count,
            key: key.clone(),
            phase: Phase::Alive(Arc::clone(&plugin)),
        };
        state.live.push(live);
        Ok(plugin)
    }

    /// Every handler that is alive, ending ones aside.
    pub fn alive(&self) -> Vec<(InstanceKey, Arc<Plugin>)> {
        let state = self.lock();
        let alive = state
            .live
            .iter()
            .filter_map(|live| Some((live.key.clone(), Arc::clone(live.plugin()?))));
        alive.collect()
    }

    /// How many calls are in flight, of each handler that has any.
    pub fn calls(&self) -> Vec<(String, Version, usize)> {
        let alive = self.alive().into_iter();
        let calls = alive.filter_map(|(_, plugin)| {
            let calls = plugin.in_flight();
            (calls > 0).then(|| (plugin.name().to_owned(), plugin.version().clone(), calls))
        });
        calls.collect()
    }

    /// Shuts a handler down, on a thread of its own, and forgets it; `reason` is for the log.
    ///
    /// # Errors
    /// When there is no thread: then it stays as it is.
    pub fn retire(&self, key: &InstanceKey, reason: &'static str) -> Result<(), Unavailable> {
        let number = self
            .lock()
            .live
            .iter()
            .find(|live| live.key == *key)
            .map(|live| live.number);
        number.map_or(Ok(()), |number| self.end(number, Some(reason)))
    }

    /// Begins the end of a handler that is alive. Without a `reason` the log hears of it only when it does not succeed.
    fn end(&self, number: u64, reason: Option<&'static str>) -> Result<(), Unavailable> {
        let Some((plugin, digest)) = self.begin_to_end(number) else {
            return Ok(());
        };
        // In a place of their own, so that it is still there if no thread takes it out.
        let place = Arc::new(Mutex::new(Some(plugin)));
        let (taken, instances) = (Arc::clone(&place), self.clone());
        let end = move || {
            let mut retired = None;
            let plugin = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(plugin) = plugin {
                plugin.shutdown();
                let (name, version) = (plugin.name().to_owned(), plugin.version().clone());
                drop(plugin);
                retired = reason.map(|reason| Retired {
                    id: (name, version, digest),
                    reason,
                });
            }
            instances.lock().live.retain(|live| live.number != number);
            instances.ended.notify_all();
            (instances.on_change)(retired);
        };
        let thread = std::thread::Builder::new().name("shutdown".to_owned()).spawn(end);
        thread.map(drop).map_err(|error| {
            let plugin = place.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut state = self.lock();
            let live = state.live.iter_mut().find(|live| live.number == number);
            if let (Some(live), Some(plugin)) = (live, plugin) {
                live.phase = Phase::Alive(plugin);
            }
            Unavailable::thread("shutdown", &error)
        })
    }

    fn begin_to_end(&self, number: u64) -> Option<(Arc<Plugin>, Digest)> {
        let mut state = self.lock();
        let live = state.live.iter_mut().find(|live| live.number == number)?;
        let plugin = Arc::clone(live.plugin()?);
        live.phase = Phase::Ending((plugin.name().to_owned(), plugin.version().clone()), Instant::now());
        Some((plugin, live.key.digest))
    }

    /// Gives up on shutdowns that take longer than `timeout`: their keys may have a handler again. Gives when to ask again,
    /// if any is under way.
    pub fn give_up_endings(&self, timeout: Duration) -> Option<Instant> {
        let now = Instant::now();
        let mut again: Option<Instant> = None;
        self.lock().live.retain(|live| {
            let Phase::Ending((plugin, version), since) = &live.phase else {
                return true;
            };
            let due = *since + timeout;
            if due <= now {
                tracing::error!(plugin, %version, digest = %live.key.digest, "its shutdown does not return, given up");
                return false;
            }
            again = Some(again.map_or(due, |again| again.min(due)));
            true
        });
        again
    }

    /// Removes the private copies of libraries that are open and that nothing leads to any more; those that take static TLS
    /// stay, for the processes that try others out.
    pub fn discard_copies(&self, is_needed: impl Fn(Digest) -> bool) {
        let state = self.lock();
        let others = state
            .libraries
            .iter()
            .filter(|library| library.admitted().static_tls().is_none());
        for library in others {
            let digest = library.admitted().digest();
            let is_live = state.live.iter().any(|live| live.key.digest == digest);
            if !is_live && !is_needed(digest) {
                library.admitted().staged().discard();
            }
        }
    }

    /// No handler is made after that.
    pub fn close(&self) {
        self.lock().closed = true;
        (self.on_change)(None);
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Closes, and calls the shutdown of every plugin, once each, all at once; waits for them, and for those that were under
    /// way, until `deadline`.
    pub fn shutdown(&self, deadline: Instant) {
        self.close();
        let numbers: Vec<u64> = self.lock().live.iter().map(|live| live.number).collect();
        for number in numbers {
            if let Err(lack) = self.end(number, None) {
                let state = self.lock();
                let live = state.live.iter().find(|live| live.number == number);
                let plugin = live.and_then(Live::plugin);
                tracing::error!(
                    plugin = plugin.map(|plugin| plugin.name()),
                    version = plugin.map(|plugin| tracing::field::display(plugin.version())),
                    found = lack.found,
                    "no thread to shut a plugin down"
                );
            }
        }
        let left = deadline
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(1));
        let is_ending = |live: &Live| live.plugin().is_none();
        let waited = self
            .ended
            .wait_timeout_while(self.lock(), left, |state| state.live.iter().any(is_ending));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        for live in &state.live {
            if let Phase::Ending((plugin, version), _) = &live.phase {
                tracing::error!(plugin, %version, "shutdown did not return in time");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; and if so, the handlers are still there.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
