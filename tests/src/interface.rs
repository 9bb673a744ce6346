//! Copies of the repository whose plugin-api is another version: the interface as it will be, or as it must not be.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cargo::{cargo, root, scratch, succeed, target};
use crate::crates::write;

/// What is changed: a file of the repository, a text in it, and what stands in its place.
pub type Change = (&'static str, String, String);

/// The structs that cross, each by its last line.
const STRUCTS: [(&str, &str); 16] = [
    ("batch.rs", "        pub(super) room: usize,\n    }"),
    ("batch.rs", "        pub command: u64,\n    }"),
    ("connection.rs", "        pub identity: Text<'a>,\n    }"),
    ("connection.rs", "        pub name: Bytes<'a>,\n    }"),
    (
        "init.rs",
        "        #[sabi(last_prefix_field)]\n        pub config: Text<'a>,\n    }",
    ),
    ("init.rs", "        pub services: Lent<'static, Services>,\n    }"),
    (
        "log.rs",
        "        log: unsafe extern \"C\" fn(state: *const (), event: Lent<'_, LogEvent<'_>>),\n    }",
    ),
    ("log.rs", "        pub about: Many<'a, LogField<'a>>,\n    }"),
    ("log.rs", "        text: Text<'a>,\n    }"),
    (
        "module.rs",
        "        pub level_changed: Option<extern \"C\" fn(max_level: usize)>,\n    }",
    ),
    ("module.rs", "        pub bytes: Bytes<'a>,\n    }"),
    (
        "services.rs",
        "        pub connections: Lent<'static, Connections>,\n    }",
    ),
    ("services.rs", "    pub struct Metrics: MetricsRef, MetricsFirst {}"),
    (
        "services.rs",
        "    pub struct Completions: CompletionsRef, CompletionsFirst {}",
    ),
    (
        "services.rs",
        "    pub struct Connections: ConnectionsRef, ConnectionsFirst {}",
    ),
    (
        "sink.rs",
        "        pub fail: unsafe extern \"C\" fn(state: *mut (), reason: Text<'_>) -> usize,\n    }",
    ),
];

/// Where they are made, by a text behind which there is room for one more field, and its number.
const MADE: [(&str, &str, u64); 19] = [
    ("host/src/runtime/library.rs", "CheckArgs { config: config.into()", 101),
    ("host/src/runtime/instance.rs", "services: library.services()", 102),
    (
        "host/src/runtime/library.rs",
        "connections: Lent::new(&Connections {})",
        103,
    ),
    ("host/src/runtime/library.rs", "Metrics {", 104),
    ("host/src/runtime/library.rs", "Completions {", 105),
    ("host/src/runtime/library.rs", "&Connections {", 106),
    ("plugin-api/src/abi/log.rs", "Log { state, max_level, log", 107),
    (
        "plugin-api/src/abi/batch.rs",
        "            state,\n            room",
        108,
    ),
    (
        "host/src/runtime/instance.rs",
        "            push,\n            fail",
        109,
    ),
    (
        "host/src/net/connection/batches.rs",
        "command: packet.command.into()",
        110,
    ),
    ("host/src/net/connection/info.rs", "identity: \"\".into()", 111),
    ("plugin-api/src/abi/connection.rs", "name: Bytes::EMPTY", 112),
    ("plugin-api/src/export.rs", "level_changed: None", 113),
    ("plugin-api/src/abi/log.rs", "about: Many::new(&[])", 114),
    ("plugin-api/src/abi/log.rs", "text: text.into()", 115),
    // Of no host or plugin: for the tests of authors.
    ("plugin-api/src/abi/connection.rs", "name: path.into()", 0),
    ("plugin-api/src/connection.rs", "identity: Text::from_str(identity)", 0),
    ("plugin-api/src/connection.rs", "identity: Text::from_str(\"\")", 0),
    ("plugin-api/src/connection.rs", "name: Bytes::EMPTY", 0),
];

/// Where one side says in the log what it sees of the other one's fields, before these texts.
const SEEN: [(&str, &str, &str); 5] = [
    (
        "plugin-api/src/export.rs",
        "    prepare_hook();\n    in_call(|| answer(guard(|| parse_config",
        "    CHECKED.get_or_init(|| args.more());\n",
    ),
    (
        "plugin-api/src/export.rs",
        "    let data_dir = OsStr::from_bytes(",
        "    let services = args.services;
    let (metrics, completions, connections) = (services.metrics, services.completions, services.connections);
    let tables = [metrics.more(), completions.more(), connections.more(), services.log.more()];
    report(&format!(\"init saw {:?}\", (CHECKED.get(), args.more(), services.more(), tables)));\n",
    ),
    (
        "plugin-api/src/export.rs",
        "    // SAFETY: the batch is for this call",
        "    let connection = batch.connection;
    let submits: Vec<Option<u64>> = batch.submits.iter().map(|submit| submit.more()).collect();
    let ends = [connection.more(), connection.peer.more(), connection.listener.more()];
    report(&format!(\"a batch saw {:?}\", (batch.more(), batch.sink.more(), submits, ends)));\n",
    ),
    (
        "host/src/runtime/instance.rs",
        "        let handle_batch = library.module().handle_batch;\n",
        "        tracing::info!(plugin = library.record().name, seen = ?library.module().more(), \"module\");\n",
    ),
    (
        "host/src/runtime/plugin_log.rs",
        "        let level = event.level",
        "        let about: Vec<Option<u64>> = event.about.iter().map(|about| about.more()).collect();
        tracing::info!(version = %self.version, of = self.own_crate, seen = ?(event.more(), about), \"event\");\n",
    ),
];

/// The next minor version: every struct that crosses has a field more.
pub fn next_minor() -> Vec<Change> {
    let later = " later {\n        /// A number.\n        pub more: u64,\n    }";
    let structs = STRUCTS.map(|(file, end)| {
        let file = Box::leak(format!("plugin-api/src/abi/{file}").into_boxed_str());
        (&*file, end.to_owned(), format!("{end}{later}"))
    });
    let made = MADE.map(|(file, end, number)| {
        let comma = if end.ends_with('{') { "" } else { "," };
        (file, end.to_owned(), format!("{end}{comma} more: {number}"))
    });
    let seen = SEEN.map(|(file, before, said)| (file, before.to_owned(), format!("{said}{before}")));
    let place = "static LOG: ";
    let checked = "static CHECKED: std::sync::OnceLock<Option<u64>> = std::sync::OnceLock::new();\n";
    let checked = (
        "plugin-api/src/export.rs",
        place.to_owned(),
        format!("{checked}{place}"),
    );
    structs.into_iter().chain(made).chain(seen).chain([checked]).collect()
}

/// A field of the elements of a list that crosses has another type.
pub fn other_type() -> Vec<Change> {
    let command = |number: &str| format!("        pub command: {number},\n");
    vec![("plugin-api/src/abi/batch.rs", command("u64"), command("i64"))]
}

/// A copy of the repository, of that name, with these changes and this version of plugin-api.
// Long: one copy, and all that makes it another version.
#[track_caller]
pub fn repository(name: &str, version: &str, changes: &[Change]) -> PathBuf {
    let copy = scratch().join("repositories").join(name);
    let requirement = "plugin-api = { path = \"plugin-api\", version = \"1.0.0\" }";
    let raised = requirement.replace("1.0.0", version);
    let own_version = format!("version = {version:?}\n");
    let members = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = members.lines().find(|line| line.starts_with("members = ")).unwrap();
    // The binary has a name of its own: it is built beside the repository's, so that both share what they depend on.
    let binary = format!(
        "autobins = false\n[[bin]]\nname = {:?}\npath = \"src/main.rs\"\n\n",
        format!("host-{name}")
    );
    // All packages have a version of their own: for cargo they would be the repository's otherwise, as they are built beside
    // it, and an edit of the repository's would go unnoticed afterwards.
    let workspace_version = "[workspace.package]\nversion = \"1.0.0\"";
    let copy_version = workspace_version.replace("1.0.0", &format!("1.0.0+{name}"));
    let versions = [
        ("Cargo.toml", requirement, &*raised),
        ("Cargo.toml", workspace_version, &*copy_version),
        (
            "Cargo.toml",
            members,
            "members = [\"host\", \"host/bench\", \"host/wire\", \"plugin-api\", \"plugin-api/record\", \"plugin-api/build\"]",
        ),
        ("plugin-api/Cargo.toml", "version.workspace = true\n", &*own_version),
        (
            "host/Cargo.toml",
            "[dependencies]\n",
            &*format!("{binary}[dependencies]\n"),
        ),
    ];
    let changes = changes.iter().map(|(file, from, to)| (*file, &**from, &**to));
    let all: Vec<_> = versions.into_iter().chain(changes).collect();
    let mut left = all.len();
    let mut files = vec![PathBuf::from("Cargo.toml")];
    files.extend(
        ["host", "plugin-api"]
            .iter()
            .flat_map(|folder| listed(root(), Path::new(folder))),
    );
    // What an earlier copy had and the repository has no more.
    for folder in ["host", "plugin-api"]
        .iter()
        .filter(|folder| copy.join(folder).exists())
    {
        let gone = listed(&copy, Path::new(folder)).into_iter();
        gone.filter(|file| !files.contains(file))
            .for_each(|file| fs::remove_file(copy.join(file)).unwrap());
    }
    for file in files {
        let mut text = fs::read_to_string(root().join(&file)).unwrap();
        for (_, from, to) in all.iter().filter(|(path, ..)| Path::new(path) == file) {
            assert!(text.contains(from), "{}: no {from:?}", file.display());
            text = text.replacen(from, to, 1);
            left -= 1;
        }
        write(&copy.join(file), &text);
    }
    assert_eq!(left, 0, "a change of a file that is not there");
    if !copy.join("Cargo.lock").exists() {
        fs::copy(root().join("Cargo.lock"), copy.join("Cargo.lock")).unwrap();
    }
    copy
}

/// The host of a copy, as a debug build.
#[track_caller]
pub fn host_of(repository: &Path) -> PathBuf {
    let binary = format!("host-{}", repository.file_name().unwrap().to_str().unwrap());
    let mut build = cargo();
    build.current_dir(repository).env("CARGO_TARGET_DIR", target());
    succeed(build.args(["build", "--package", "host", "--bin", &binary]));
    target().join("debug").join(binary)
}

/// The files of a folder of a repository, by their paths in it.
fn listed(repository: &Path, folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(repository.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap());
    entries
        .flat_map(|entry| {
            let path = folder.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => listed(repository, &path),
                false => vec![path],
            }
        })
        .collect()
}
