//! `host align CRATE_DIR`: what brings another crate's Cargo.lock to the host's versions, as far as the host's policy asks for
//! them. It edits no file itself: cargo does, told by a person or by `--apply`.
//!
//! What it prints without `--apply` is a script for a shell. Its order suits most locks, but only cargo knows the
//! requirements between versions: a command that fails may work after the others, and `--apply` tries so.

mod plan;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, bail};
use clap::Args;
use plugin_record::lock::Lockfile;
use plugin_record::{Compiler, Policy, quoted};

use super::failure::Failure;
use super::output;
use crate::admission::host_record::host_record;
use crate::config::Config;
use plan::{Plan, Step};

#[derive(Debug, Args)]
pub(super) struct Align {
    /// The crate's folder.
    crate_dir: PathBuf,
    /// The configuration file: its policy; without it, the default one.
    #[arg(long, value_name = "FILE")]
    plugins: Option<PathBuf>,
    /// Run the commands there, instead of printing them.
    #[arg(long)]
    apply: bool,
}

/// Packages that stay apart: name, version, and why.
type Apart = Vec<(String, String, String)>;

impl Align {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let policy = match &self.plugins {
            Some(path) => Config::read(path)?.policy,
            None => Policy::default(),
        };
        let lock = self.lock()?;
        let plan = Plan::new(host_record(), &policy, &read(&lock)?);
        let (plan, failed) = match self.apply {
            true => self.apply(plan, &policy, &lock)?,
            false => {
                self.print(&plan)?;
                (plan, Apart::new())
            }
        };
        if plan.accepted > 0 {
            output::line(&format!("# the policy accepts other differences: {}", plan.accepted))?;
        }
        let described = plan
            .apart
            .into_iter()
            .map(|apart| (apart.name, apart.version.to_string(), apart.why));
        let apart: Apart = described.chain(failed).collect();
        let good = self.report(&apart)?;
        self.compiler()?;
        Ok(if good { super::GOOD } else { super::FAILED })
    }

    /// The lock that counts for the crate: its workspace's.
    fn lock(&self) -> anyhow::Result<PathBuf> {
        let output = self.ask("cargo", &["locate-project", "--workspace", "--message-format", "plain"])?;
        let manifest = String::from_utf8(output.stdout)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{} is no crate's folder: {}", self.crate_dir.display(), said.trim());
        }
        Ok(Path::new(manifest.trim_end()).with_file_name("Cargo.lock"))
    }

    fn print(&self, plan: &Plan) -> Result<(), Failure> {
        if plan.steps.is_empty() {
            return output::line("# no version to change");
        }
        output::line(&format!("cd {}", quoted(&self.crate_dir.display().to_string())))?;
        for step in &plan.steps {
            output::line(&format!("{} # {} here", step.command(), step.from))?;
        }
        Ok(())
    }

    /// Runs all steps, and those that failed again after the others, until nothing changes any more. Gives what is left.
    fn apply(&self, mut plan: Plan, policy: &Policy, lock: &Path) -> Result<(Plan, Apart), Failure> {
        if plan.steps.is_empty() {
            output::line("# no version to change")?;
        }
        let mut failed = Vec::new();
        // Two packages may push each other back and forth; a step for each is enough where there is a way.
        for _ in 0..=plan.steps.len() {
            failed.clear();
            for step in &plan.steps {
                let output = self.ask("cargo", &step.arguments())?;
                match output.status.success() {
                    true => output::line(&format!("{} # done, was {}", step.command(), step.from))?,
                    false => failed.push((step.clone(), reason(&output))),
                }
            }
            let next = Plan::new(host_record(), policy, &read(lock)?);
            let stuck = next.steps == plan.steps;
            plan = next;
            if stuck || plan.steps.is_empty() {
                break;
            }
        }
        let left = plan.steps.iter().map(|step| {
            let said = failed
                .iter()
                .find(|(tried, _)| tried.name == step.name && tried.to == step.to);
            let said = said.map_or("another package needs what is here", |(_, said)| said);
            (step.name.clone(), step.from.to_string(), blocked(step, said))
        });
        let left = left.collect();
        Ok((plan, left))
    }

    /// Says what stays apart; whether that leaves the crate able to fit.
    fn report(&self, apart: &Apart) -> Result<bool, Failure> {
        if apart.is_empty() {
            return Ok(true);
        }
        let linked = self.linked();
        let mut good = true;
        for (name, version, why) in apart {
            let counts = linked
                .as_ref()
                .is_none_or(|linked| linked.contains(&format!("{name} v{version}")));
            good &= !counts;
            let verdict = match counts {
                true => "can't be aligned",
                false => "not linked, so it may differ",
            };
            // A line break in a lock's text must not end the comment.
            let line = format!("# {verdict}: {name} {version}: {why}").replace(char::is_control, " ");
            output::line(&line)?;
        }
        Ok(good)
    }

    /// What the crate links, as `NAME vVERSION`; nothing where cargo can't tell, and then everything counts as linked.
    fn linked(&self) -> Option<BTreeSet<String>> {
        let target = &host_record().target;
        let tree = [
            "tree",
            "--locked",
            "--edges",
            "normal,no-proc-macro",
            "--target",
            target,
        ];
        let output = self
            .ask("cargo", &[&tree[..], &["--prefix", "none", "--format", "{p}"]].concat())
            .ok()
            .filter(|output| output.status.success())?;
        let text = String::from_utf8(output.stdout).ok()?;
        let two_words = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        Some(text.lines().map(two_words).collect())
    }

    /// Says which compiler to build with. That is for each build to choose, so it does not decide the exit code.
    fn compiler(&self) -> Result<(), Failure> {
        let ours = &host_record().compiler;
        let asked = self
            .ask("rustc", &["-vV"])
            .ok()
            .filter(|output| output.status.success());
        let theirs = asked.and_then(|output| Compiler::parse(&String::from_utf8(output.stdout).ok()?));
        let here = match &theirs {
            Some(theirs) if ours.is_same(theirs) => {
                return output::line(&format!("# compiler: {}, as the host", ours.version_line));
            }
            Some(theirs) => theirs.version_line.clone(),
            None => "none that could be asked".to_owned(),
        };
        let build = match ours.toolchain() {
            Some(toolchain) => format!("cargo +{toolchain} build --release"),
            None => "cargo build --release, with the host's compiler".to_owned(),
        };
        let file = match self.toolchain_file() {
            Some(file) => format!(" (from {})", file.display()),
            None => String::new(),
        };
        output::line(&format!(
            "# compiler: host {}, here {here}{file}; build with: {build}",
            ours.version_line
        ))
    }

    /// The nearest file that names a toolchain. Source of the names and their order: the rustup book, "Overrides".
    fn toolchain_file(&self) -> Option<PathBuf> {
        let folder = self.crate_dir.canonicalize().ok()?;
        let files = |folder: &Path| ["rust-toolchain", "rust-toolchain.toml"].map(|name| folder.join(name));
        folder.ancestors().flat_map(files).find(|file| file.is_file())
    }

    /// Runs a tool in the crate's folder, where rustup finds the crate's toolchain.
    fn ask(&self, program: &str, arguments: &[impl AsRef<std::ffi::OsStr>]) -> anyhow::Result<Output> {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.crate_dir);
        command
            .output()
            .with_context(|| format!("can't run {program} in {}", self.crate_dir.display()))
    }
}

fn read(lock: &Path) -> anyhow::Result<Lockfile> {
    let text = std::fs::read_to_string(lock)
        .with_context(|| format!("can't read {}; `cargo generate-lockfile` makes it", lock.display()))?;
    Lockfile::parse(&text).with_context(|| format!("{} is no lock file", lock.display()))
}

fn blocked(step: &Step, said: &str) -> String {
    format!("the host has {}, cargo says: {said}", step.to)
}

/// What cargo says in a failure, as one line.
fn reason(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let from = said.find("error: ").map_or(0, |at| at + "error: ".len());
    said[from..].split_whitespace().collect::<Vec<_>>().join(" ")
}
