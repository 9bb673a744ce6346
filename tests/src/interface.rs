//! Copies of the repository whose plugin-api is another version: the interface as it will be, or as it must not be.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cargo::{cargo, root, scratch, succeed, target};
use crate::crates::write;

/// What is changed: a file of the repository, a text in it, and what stands in its place.
pub type Change = (&'static str, &'static str, &'static str);

/// A sixth function, with a default for hosts that meet a plugin without it; the host logs what it gives.
pub const SIXTH_FUNCTION: &[Change] = &[
    (
        "plugin-api/src/abi.rs",
        "    pub release: unsafe extern \"C\" fn(Instance) -> RResult<(), RString>,\n}\n",
        "    pub release: unsafe extern \"C\" fn(Instance) -> RResult<(), RString>,\n    \
             /// A number.\n    #[sabi(missing_field(with = default_number))]\n    \
             pub number: extern \"C\" fn() -> u32,\n}\n\
         fn default_number() -> extern \"C\" fn() -> u32 {\n    \
             extern \"C\" fn number() -> u32 {\n        7\n    }\n    number\n}\n",
    ),
    (
        "plugin-api/src/export.rs",
        "        release: release::<H>,\n",
        "        release: release::<H>,\n        number,\n",
    ),
    (
        "plugin-api/src/export.rs",
        "fn path(",
        "extern \"C\" fn number() -> u32 {\n    11\n}\n\nfn path(",
    ),
    (
        "host/src/runtime/instance.rs",
        "        let handle_batch = library.module().handle_batch();\n",
        "        let handle_batch = library.module().handle_batch();\n        \
             tracing::info!(plugin = record_name(&library), number = library.module().number()(), \"number\");\n",
    ),
    (
        "host/src/runtime/instance.rs",
        "/// What the plugin's acks are matched with",
        "fn record_name(library: &Library) -> String {\n    library.record().name.clone()\n}\n\n\
         /// What the plugin's acks are matched with",
    ),
];

/// A field that crosses has another type.
pub const OTHER_TYPE: &[Change] = &[
    (
        "plugin-api/src/abi.rs",
        "    max_level: u8,\n    log:",
        "    max_level: u32,\n    log:",
    ),
    (
        "plugin-api/src/abi.rs",
        "HostLog { state, max_level, log }",
        "HostLog { state, max_level: max_level.into(), log }",
    ),
    (
        "plugin-api/src/abi.rs",
        "        self.max_level\n",
        "        self.max_level as u8\n",
    ),
];

/// A copy of the repository, of that name, with these changes and this version of plugin-api.
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
    let all: Vec<_> = versions.into_iter().chain(changes.iter().copied()).collect();
    let mut left = all.len();
    let mut files = vec![PathBuf::from("Cargo.toml")];
    files.extend(
        ["host", "plugin-api"]
            .iter()
            .flat_map(|folder| listed(Path::new(folder))),
    );
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

/// The files of a folder of the repository, by their paths in it.
fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap());
    entries
        .flat_map(|entry| {
            let path = folder.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => listed(&path),
                false => vec![path],
            }
        })
        .collect()
}
