//! A start is all or nothing for what is required: exit 78 with the whole report before the port is opened, and nothing
//! left running. What is optional is reported, and the rest serves. What serves when all is well
//! is in `claims`, what a broken plugins.toml says in `configuration`.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;
use tests::crates::{journal, life};
use tests::files::{fifo, with_identity, with_record};
use tests::host::{Site, fatal, show};

/// The subject of the tests. Every other plugin here is the same library under another name.
const SUBJECT: &str = "start-b";
/// Healthy, and initialised before the subject.
const BYSTANDER: &str = "start-a";

struct Case {
    name: &'static str,
    /// Lines of the subject's table.
    table: &'static str,
    /// What is done to the site, where the subject lies ready.
    spoil: fn(&Site),
    code: &'static str,
    /// What the refusal says, among others.
    says: &'static str,
    /// Whether the bystander's init has run when the host finds out.
    after_init: bool,
}

const CASES: &[Case] = &[
    Case {
        name: "there is no file",
        table: "",
        spoil: |site| fs::remove_file(file_of(site, SUBJECT)).unwrap(),
        code: "plugin-missing",
        says: "libstart_b.so.*",
        after_init: false,
    },
    Case {
        name: "there is no file of that line",
        table: "version = \"2\"",
        spoil: |_| {},
        code: "plugin-missing",
        says: "libstart_b.so.2",
        after_init: false,
    },
    Case {
        name: "its file is refused",
        table: "",
        spoil: |site| fs::set_permissions(file_of(site, SUBJECT), Permissions::from_mode(0o666)).unwrap(),
        code: "file-mode",
        says: "0666",
        after_init: false,
    },
    Case {
        name: "a bystander's table has its command",
        table: "commands = [0x10]",
        spoil: |_| {},
        code: "command-taken",
        says: "start-a (libstart_a.so.1)",
        after_init: false,
    },
    Case {
        name: "an unknown key",
        table: "config.colour = 1",
        spoil: |_| {},
        code: "load-config",
        says: "unknown field `colour`",
        after_init: false,
    },
    Case {
        name: "an ill-typed key",
        table: "config.number = \"many\"",
        spoil: |_| {},
        code: "load-config",
        says: "number: invalid type: string \"many\"",
        after_init: false,
    },
    Case {
        name: "init fails",
        table: "config.fail = true",
        spoil: |_| {},
        code: "load-init",
        says: "told to fail",
        after_init: true,
    },
    Case {
        name: "init panics",
        table: "config.panic = true",
        spoil: |_| {},
        code: "load-init",
        says: "told to panic",
        after_init: true,
    },
];

#[test]
fn without_a_required_plugin_the_host_does_not_start() {
    for case in CASES {
        let site = case.site("required = true", "127.0.0.1:0");
        let (status, log) = site.spawn(&[]).wait();
        assert!(
            !log.iter().any(|event| event["message"] == "listening"),
            "{}",
            case.name
        );
        assert_eq!(status.code(), Some(78), "{}:\n{}", case.name, show(&log));
        case.assert_refused(&log);
        let last = "required plugins do not serve: start-b";
        assert_eq!(fatal(&log), last, "{}:\n{}", case.name, show(&log));
        let lived: &[&str] = if case.after_init {
            &["init", "shutdown", "drop"]
        } else {
            &[]
        };
        assert_eq!(
            life(&site.plugins(), BYSTANDER),
            lived,
            "{}:\n{}",
            case.name,
            show(&log)
        );
    }
}

#[test]
fn without_an_optional_plugin_the_rest_serves() {
    for case in CASES {
        let site = case.site("required = false", "127.0.0.1:0");
        let host = site.spawn(&[]);
        let mut client = host.connect();
        assert_eq!(client.submit(0x10, b"").result, 0, "{}", case.name);
        assert_eq!(client.submit(0x11, b"").result, 0xF0, "{}", case.name);
        case.assert_refused(&host.stop());
    }
}

#[test]
fn a_shutdown_that_hangs_does_not_keep_a_failed_start_from_ending() {
    let site = Site::new(
        "server.drain_timeout = \"50ms\"\n[plugin.start-a]\nconfig.hang_at_end = true\n\
         [plugin.start-b]\nrequired = true\nconfig.fail = true\n",
    );
    put(&site, BYSTANDER, "1.0.0", &[0x10]);
    put(&site, SUBJECT, "1.0.0", &[0x11]);
    let (status, log) = site.spawn(&[]).wait();
    assert_eq!(status.code(), Some(78), "{}", show(&log));
    assert_eq!(life(&site.plugins(), BYSTANDER), ["init", "shutdown"]);
    let late = log
        .iter()
        .find(|event| event["message"] == "shutdown did not return in time");
    assert!(
        late.is_some_and(|event| event["plugin"] == "start-a" && event["version"] == "1.0.0"),
        "{}",
        show(&log)
    );
}

#[test]
fn the_report_is_whole() {
    let site = Site::new(
        "[plugin.start-a]\nrequired = true\nconfig.colour = 1\n[plugin.start-b]\nconfig.fail = true\n\
         [plugin.start-c]\nrequired = true\n[plugin.start-d]\nconfig.number = -1\n",
    );
    put(&site, "start-a", "1.0.0", &[0x10]);
    put(&site, "start-b", "1.0.0", &[0x11]);
    put(&site, "start-d", "1.0.0", &[0x12]);
    fs::write(site.plugins().join("libstart_e.so.1"), "a text").unwrap();
    let (status, log) = site.spawn(&[]).wait();
    assert_eq!(status.code(), Some(78), "{}", show(&log));
    // start-b would fail in its init, to which it does not come.
    let expected = ["file-format", "load-config", "load-config", "plugin-missing"];
    let mut codes: Vec<&str> = log.iter().filter_map(|event| event["code"].as_str()).collect();
    codes.sort_unstable();
    assert_eq!(codes, expected, "{}", show(&log));
    let last = "required plugins do not serve: start-a, start-c";
    assert_eq!(fatal(&log), last, "{}", show(&log));
}

#[test]
fn an_init_that_does_not_return_is_given_up() {
    let site = Site::default();
    let pipe = fifo(&site.path().join("pipe"));
    put(&site, SUBJECT, "1.0.0", &[0x11]);
    let configure = |required| {
        site.configure(&format!(
            "plugins.init_timeout = \"2s\"\n[plugin.start-b]\nrequired = {required}\nconfig.pipe = {pipe:?}\n"
        ));
    };
    configure(true);
    let (status, log) = site.spawn(&[]).wait();
    assert_eq!(status.code(), Some(78), "{}", show(&log));
    refusal(&log, "load-timeout", SUBJECT);

    configure(false);
    let host = site.start();
    refusal(&host.log(), "load-timeout", SUBJECT);
    assert_eq!(host.connect().submit(0x11, b"").result, 0xF0);
    // A handler that comes too late is shut down, and serves nothing.
    fs::write(&pipe, "go on").unwrap();
    host.wait_for("shut down");
    assert_eq!(host.connect().submit(0x11, b"").result, 0xF0);
    host.stop();
    let life = life(&site.plugins(), SUBJECT);
    assert_eq!(life[..3], ["init", "init", "shutdown"], "{life:?}");
}

#[test]
fn a_port_that_is_in_use_is_named_before_any_plugin_is_initialised() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let site = Site::new(&format!("server.listen = {address:?}\n"));
    put(&site, "start-a", "1.0.0", &[0x10]);
    let (status, log) = site.spawn(&[]).wait();
    assert_eq!(status.code(), Some(78), "{}", show(&log));
    assert!(
        fatal(&log).contains(&format!("can't listen on {address}")),
        "{}",
        show(&log)
    );
    assert_eq!(life(&site.plugins(), "start-a"), [""; 0]);
}

impl Case {
    /// A site with the bystander on 0x10 and the subject on 0x11, spoiled.
    fn site(&self, required: &str, listen: &str) -> Site {
        let site = Site::new(&format!(
            "server.listen = {listen:?}\nplugins.discover = false\n[plugin.start-a]\n[plugin.start-b]\n{required}\n{}\n",
            self.table
        ));
        put(&site, BYSTANDER, "1.0.0", &[0x10]);
        put(&site, SUBJECT, "1.0.0", &[0x11]);
        (self.spoil)(&site);
        site
    }

    fn assert_refused(&self, log: &[Value]) {
        let refusal = log.iter().find(|event| event["code"] == self.code);
        let refusal = refusal.unwrap_or_else(|| panic!("{}: no {}:\n{}", self.name, self.code, show(log)));
        let text = refusal.to_string().replace("\\\"", "\"");
        assert!(text.contains(self.says), "{}: {text}", self.name);
        assert_eq!(refusal["plugin"], SUBJECT, "{}", self.name);
    }
}

/// Puts a [`journal`] plugin of that name, version and commands under its real name into the plugin directory.
pub(crate) fn put(site: &Site, name: &str, version: &str, commands: &[u8]) -> PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| journal("start-x").library());
    let stem = name.replace('-', "_");
    let file = site.plugins().join(format!("lib{stem}.so.{version}"));
    with_identity(library, &file, name, version);
    with_record(&file.clone(), &file, |record| record.commands = commands.to_vec());
    file
}

fn file_of(site: &Site, name: &str) -> PathBuf {
    site.plugins().join(format!("lib{}.so.1.0.0", name.replace('-', "_")))
}

#[track_caller]
pub(crate) fn refusal(log: &[Value], code: &str, plugin: &str) -> Value {
    let mut refusals = log
        .iter()
        .filter(|event| event["code"] == code && event["plugin"] == plugin);
    refusals
        .next()
        .unwrap_or_else(|| panic!("no {code} of {plugin}:\n{}", show(log)))
        .clone()
}
