//! Compares two records: does a plugin fit a host? Pure, and the same for a host that finds a file and for a build that
//! is told of a host, so that both say the same.
//!
//! Cures are lines for a shell where there is a command; what else there is to know follows behind a `#`.

use crate::dependencies::differences;
use crate::refusal::quoted;
use crate::{Code, CompilerPolicy, Line, Policy, Record, Refusal};

/// What sets a plugin's record apart from a host's.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// What the policy does not let through.
    pub refusals: Vec<Refusal>,
    /// What it does.
    pub accepted: Vec<Refusal>,
}

/// Compares compiler, ABI and dependencies.
pub fn compare(host: &Record, plugin: &Record, policy: &Policy) -> Comparison {
    let mut comparison = Comparison::default();
    let compiler = compiler(host, plugin);
    match policy.compiler {
        CompilerPolicy::Exact => comparison.refusals.extend(compiler),
        CompilerPolicy::Any => comparison.accepted.extend(compiler),
    }
    comparison.refusals.extend(abi(host, plugin));
    for difference in differences(host, plugin) {
        match difference.is_accepted(policy) {
            true => comparison.accepted.push(difference.refusal(policy)),
            false => comparison.refusals.push(difference.refusal(policy)),
        }
    }
    comparison
}

fn compiler(host: &Record, plugin: &Record) -> Option<Refusal> {
    let (ours, theirs) = (&host.compiler, &plugin.compiler);
    if ours.is_same(theirs) {
        return None;
    }
    let with = match ours.toolchain() {
        Some(_) if ours.channel == "stable" => String::new(),
        // Of another channel rustup has the newest under this name.
        _ => format!(" with the host's compiler, {};", ours.version_line),
    };
    let describe = |compiler: &crate::Compiler| match &compiler.commit {
        // Two builds of one release differ in nothing else.
        Some(commit) if ours.version_line == theirs.version_line => format!("{}, {commit}", compiler.version_line),
        _ => compiler.version_line.clone(),
    };
    Some(Refusal::new(
        Code::Compiler,
        "compiler",
        describe(ours),
        describe(theirs),
        format!(
            "{} #{with} or accept it: `compiler = \"any\"` under [policy]; what crosses is C ABI, and its layout is checked \
             when the library is opened",
            build_command(host, &plugin.name)
        ),
    ))
}

/// The command that builds a plugin with the host's compiler, as far as rustup knows that by name: not a distribution's.
pub fn build_command(host: &Record, plugin: &str) -> String {
    let toolchain = host
        .compiler
        .toolchain()
        .map(|toolchain| format!("+{toolchain} "))
        .unwrap_or_default();
    format!("cargo {toolchain}build --release -p {}", quoted(plugin))
}

fn abi(host: &Record, plugin: &Record) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let name = quoted(&plugin.name);
    if (&host.target, host.pointer_width) != (&plugin.target, plugin.pointer_width) {
        let describe = |record: &Record| format!("{} ({}-bit pointers)", record.target, record.pointer_width);
        refusals.push(Refusal::new(
            Code::AbiTarget,
            "target",
            describe(host),
            describe(plugin),
            format!("cargo build --release -p {name} --target {}", quoted(&host.target)),
        ));
    }
    if plugin.panic != "unwind" {
        refusals.push(Refusal::new(
            Code::AbiPanic,
            "panic strategy",
            "unwind",
            &plugin.panic,
            format!(
                "cargo build --release -p {name} # after removing `panic = \"abort\"` from the profile in Cargo.toml"
            ),
        ));
    }
    // Both come with the host's sources: plugin-api is in no registry, and abi_stable is its dependency, not the author's.
    for (code, package, why) in [
        (
            Code::AbiPluginApi,
            "plugin-api",
            "what a registry has under these names is somebody else's",
        ),
        (Code::AbiStable, "abi_stable", "plugin-api brings abi_stable"),
    ] {
        let version = |record: &Record| record.package(package).map(|package| package.version.clone());
        let (ours, theirs) = (version(host), version(plugin));
        let line = |version: &Option<semver::Version>| version.as_ref().map(Line::of);
        if theirs.is_some() && line(&ours) == line(&theirs) {
            continue;
        }
        let text = |version: Option<semver::Version>| version.map_or("none".to_owned(), |version| version.to_string());
        let (expected, cure) = match &ours {
            Some(ours) => {
                let line = Line::of(ours);
                let cure = format!(
                    "cargo build --release -p {name} # after taking plugin-api and plugin-build from the sources of this host{}, \
                     by path or git in Cargo.toml: {why}",
                    host.package("plugin-api")
                        .map(|api| format!(" (version {})", api.version))
                        .unwrap_or_default()
                );
                (format!("{ours} (any of line {line})"), cure)
            }
            None => ("none".to_owned(), "# rebuild the host".to_owned()),
        };
        refusals.push(Refusal::new(code, package, expected, text(theirs), cure));
    }
    refusals
}
