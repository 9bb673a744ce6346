//! The host as a process: started on a configuration of its own, watched through its JSON log, stopped by a signal.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::cargo::{host_binary, run, succeed, text};
use crate::client::Client;
use crate::log::Log;

/// How long anything may take before a test gives up; nothing is expected to take nearly as long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a configuration and a plugin directory, and everything that a host of its own needs.
pub struct Site {
    folder: TempDir,
    /// The host's binary, where it is not the repository's.
    pub binary: Option<PathBuf>,
}

impl Default for Site {
    fn default() -> Site {
        Site::new("")
    }
}

impl Site {
    /// A site whose plugins.toml has these lines; the port is a free one unless they say otherwise.
    pub fn new(configuration: &str) -> Site {
        let site = Site {
            folder: TempDir::new().unwrap(),
            binary: None,
        };
        fs::create_dir(site.plugins()).unwrap();
        fs::create_dir(site.path().join("run")).unwrap();
        site.configure(configuration);
        site
    }

    /// A site with these plugins installed.
    #[track_caller]
    pub fn with(configuration: &str, plugins: &[&Path]) -> Site {
        let site = Site::new(configuration);
        plugins.iter().for_each(|plugin| site.install(plugin));
        site
    }

    /// Replaces the configuration.
    pub fn configure(&self, configuration: &str) {
        let listen = if configuration.contains("listen =") {
            ""
        } else {
            "server.listen = \"127.0.0.1:0\"\n"
        };
        fs::write(self.configuration(), format!("{listen}{configuration}")).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The plugin directory.
    pub fn plugins(&self) -> PathBuf {
        self.path().join("plugins")
    }

    /// plugins.toml.
    pub fn configuration(&self) -> PathBuf {
        self.path().join("plugins.toml")
    }

    /// A `host` command whose staging directory lies in this site.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.binary.as_deref().unwrap_or_else(|| host_binary()));
        command
            .current_dir(self.path())
            .env("XDG_RUNTIME_DIR", self.path().join("run"));
        command
            .env_remove("RUST_LOG")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null());
        command
    }

    /// Runs `host ARGUMENTS` to its end.
    pub fn host(&self, arguments: &[&str]) -> Output {
        run(self.command().args(arguments))
    }

    /// Runs `host ARGUMENTS --plugins plugins.toml` to its end; gives exit code, standard output and standard error.
    pub fn with_configuration(&self, arguments: &[&str]) -> (i32, String, String) {
        let configuration = self.configuration();
        let output = run(self.command().args(arguments).arg("--plugins").arg(configuration));
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    /// `host check --json`: exit code and report.
    pub fn check(&self, files: &[&Path]) -> (i32, Value) {
        let files: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
        let (code, stdout, stderr) = self.with_configuration(&[&["check", "--json"], files.as_slice()].concat());
        let report = serde_json::from_str(&stdout);
        (
            code,
            report.unwrap_or_else(|error| panic!("{error}: {stdout}\n{stderr}")),
        )
    }

    /// What `host ARGUMENTS --json` prints; it must succeed.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = succeed(self.command().args(arguments).arg("--json"));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)))
    }

    /// A library's record, as `host inspect` tells it.
    #[track_caller]
    pub fn inspect(&self, library: &Path) -> Value {
        self.json(&["inspect", library.to_str().unwrap()])
    }

    /// `host install FILE`, which must succeed.
    #[track_caller]
    pub fn install(&self, file: &Path) {
        let (code, stdout, stderr) = self.with_configuration(&["install", file.to_str().unwrap()]);
        assert_eq!(code, 0, "install {}:\n{stdout}{stderr}", file.display());
    }

    /// Puts a file into the plugin directory under a name, by a plain copy.
    pub fn copy(&self, file: &Path, name: &str) -> PathBuf {
        let target = self.plugins().join(name);
        fs::copy(file, &target).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        target
    }

    /// What the link of this name in the plugin directory says, if there is one.
    pub fn link(&self, soname: &str) -> Option<String> {
        let target = fs::read_link(self.plugins().join(soname)).ok()?;
        Some(target.to_str().unwrap().to_owned())
    }

    /// Starts the host and waits until it listens.
    #[track_caller]
    pub fn start(&self) -> Host {
        let host = self.spawn(&[]);
        host.wait_for("listening");
        host
    }

    /// Starts the host as a shell would after some commands of its own, limits for example; waits for nothing.
    pub fn spawn_after(&self, commands: &str) -> Host {
        let plain = self.command();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("{commands}; exec \"$0\" \"$@\"")])
            .arg(plain.get_program())
            .args(["--log-format", "json", "--plugins"])
            .arg(self.configuration())
            .current_dir(self.path());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.stdin(Stdio::null());
        Host::spawn(shell)
    }

    /// Starts the host where these commands have mounted something that nobody else sees; waits for nothing. `None`,
    /// and says so, where that is not allowed.
    pub fn spawn_with_mounts(&self, commands: &str) -> Option<Host> {
        let trial = Command::new("unshare").args(["-rm", "sh", "-c", commands]).output();
        if !trial.as_ref().is_ok_and(|trial| trial.status.success()) {
            eprintln!("SKIPPED: no mounts of our own: {trial:?}");
            return None;
        }
        let inner = format!("{commands} && exec \"$0\" \"$@\"");
        Some(self.spawn_after(&format!("exec unshare -rm sh -c '{inner}' \"$0\" \"$@\"")))
    }

    /// Starts the host with further environment; waits for nothing.
    pub fn spawn(&self, environment: &[(&str, &str)]) -> Host {
        self.spawn_changed(|command| {
            command.envs(environment.iter().copied());
        })
    }

    /// Starts the host by a command that is changed first; waits for nothing.
    pub fn spawn_changed(&self, change: impl FnOnce(&mut Command)) -> Host {
        let mut command = self.command();
        command
            .args(["--log-format", "json", "--plugins"])
            .arg(self.configuration());
        change(&mut command);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        Host::spawn(command)
    }
}

/// A running host. Killed when dropped.
pub struct Host {
    child: Child,
    log: Arc<Log>,
    /// Where its control socket is, if it is in its default place.
    pub(crate) runtime_directory: PathBuf,
    /// The same, once it was found.
    pub(crate) control_socket: Mutex<Option<PathBuf>>,
}

impl Host {
    /// Runs this command, which becomes a host with a JSON log; waits for nothing.
    pub fn spawn(mut command: Command) -> Host {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let log = Log::read(child.stderr.take().unwrap());
        let mut environment = command.get_envs();
        let runtime_directory = environment.find(|(name, _)| *name == "XDG_RUNTIME_DIR");
        Host {
            child,
            log,
            runtime_directory: runtime_directory.and_then(|(_, path)| path).unwrap_or_default().into(),
            control_socket: Mutex::default(),
        }
    }

    /// Whether its log has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.log.so_far().1
    }

    /// The process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// One of the sizes in `/proc/PID/status`, in bytes: `VmHWM` is the most memory it ever had, `VmPeak` the most
    /// addresses.
    #[track_caller]
    pub fn memory(&self, size: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(size)?.strip_prefix(':'));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kilobytes.unwrap_or_else(|| panic!("no {size} in\n{status}")) * 1024
    }

    /// Whether its log is read. What it logs meanwhile fills the pipe, then its queue, then is lost.
    pub fn read_log(&self, is_read: bool) {
        self.log.leave(!is_read);
    }

    /// Everything logged so far.
    pub fn log(&self) -> Vec<Value> {
        self.log.so_far().0
    }

    /// The events so far with this message.
    pub fn events(&self, message: &str) -> Vec<Value> {
        self.log()
            .into_iter()
            .filter(|event| event["message"] == message)
            .collect()
    }

    /// Waits for an event with this message.
    #[track_caller]
    pub fn wait_for(&self, message: &str) -> Value {
        self.wait_for_nth(message, 1)
    }

    /// Waits until there are so many events with this message; gives the last of them.
    #[track_caller]
    pub fn wait_for_nth(&self, message: &str, count: usize) -> Value {
        self.wait_until(&format!("{message}, {count} times"), |log| {
            let mut events = log.iter().filter(|event| event["message"] == message);
            events.nth(count - 1).cloned()
        })
    }

    /// Waits for an event with this message and this value of a field: of a plugin, a version, a code.
    #[track_caller]
    pub fn wait_for_where(&self, message: &str, key: &str, value: &str) -> Value {
        self.wait_until(&format!("{message} with {key} {value}"), |log| {
            let is_it = |event: &&Value| event["message"] == message && event[key] == value;
            log.iter().find(is_it).cloned()
        })
    }

    /// Waits until the log gives something.
    #[track_caller]
    pub fn wait_until<T>(&self, what: &str, mut find: impl FnMut(&[Value]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().unwrap();
        loop {
            if let Some(found) = find(&lines.0) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && !lines.1,
                "no {what:?} in the log:\n{}",
                show(&lines.0)
            );
            lines = self.log.changed.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// The address that it listens on.
    #[track_caller]
    pub fn address(&self) -> String {
        self.wait_for("listening")["address"].as_str().unwrap().to_owned()
    }

    /// A new connection.
    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::connect(&self.address())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; gives the status and the whole log.
    #[track_caller]
    pub fn wait(mut self) -> (ExitStatus, Vec<Value>) {
        let log = self.wait_until_closed();
        (self.child.wait().unwrap(), log)
    }

    /// Stops it with SIGTERM; it must exit with 0. Gives the whole log.
    #[track_caller]
    pub fn stop(self) -> Vec<Value> {
        self.signal(Signal::TERM);
        let (status, log) = self.wait();
        assert!(status.success(), "{status}:\n{}", show(&log));
        log
    }

    #[track_caller]
    fn wait_until_closed(&self) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().unwrap();
        while !lines.1 {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the host does not end:\n{}", show(&lines.0));
            lines = self.log.changed.wait_timeout(lines, left).unwrap().0;
        }
        lines.0.clone()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A log as text.
pub fn show(log: &[Value]) -> String {
    log.iter().map(|event| format!("{event}\n")).collect()
}

/// The last line of a log, which says why a host ended.
pub fn fatal(log: &[Value]) -> &str {
    let last = log.last().filter(|event| event["level"] == "ERROR");
    last.and_then(|event| event["message"].as_str()).unwrap_or_default()
}

/// How many events with this message there were: lines, and those that other lines say were left out.
pub fn happened(log: &[Value], message: &str) -> u64 {
    let lines = log.iter().filter(|event| event["message"] == message).count() as u64;
    let left_out = log.iter().filter(|event| event["like"] == message);
    lines + left_out.filter_map(|event| event["lines"].as_u64()).sum::<u64>()
}
