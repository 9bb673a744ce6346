//! What sets another crate's lock apart from what the host links and asks for, and in which order cargo can mend it. Pure.
//! What a host compares and what its policy lets through is plugin-record's to say.
//!
//! All of the lock counts, linked or not: aligning what a plugin does not link is harmless, and what it links depends on
//! features and targets, which are cargo's to resolve.

use std::collections::BTreeMap;

use plugin_record::lock::{Locked, Lockfile};
use plugin_record::{Counterpart, HostPackages, Identity, Line, Package, Policy, Record, quoted};
use semver::Version;

/// One `cargo update` that brings a package to the host's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) from: Version,
    pub(super) to: Version,
    spec: String,
}

/// A package that no `cargo update` makes like the host's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Apart {
    pub(super) name: String,
    pub(super) version: Version,
    /// Both sides, and what to do instead.
    pub(super) why: String,
}

#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) apart: Vec<Apart>,
    /// How many packages differ from the host's as its policy lets them.
    pub(super) accepted: usize,
}

impl Step {
    pub(super) fn arguments(&self) -> [String; 5] {
        let to = self.to.to_string();
        ["update".into(), "-p".into(), self.spec.clone(), "--precise".into(), to]
    }

    /// The command as a line for a shell.
    pub(super) fn command(&self) -> String {
        format!("cargo {}", self.arguments().map(|word| quoted(&word)).join(" "))
    }
}

impl Plan {
    pub(super) fn new(host: &Record, policy: &Policy, lock: &Lockfile) -> Plan {
        let mut plan = Plan::default();
        let host = HostPackages::of(host);
        // What needs a package goes before it: cargo moves along what a new version asks for exactly, and an older
        // dependency may be too old for what still needs a newer one.
        for theirs in dependencies_first(lock)
            .into_iter()
            .rev()
            .map(|index| &lock.packages[index])
        {
            let Some(counterpart) = other_than_here(&host, lock, theirs) else {
                continue;
            };
            if policy.accepts(&counterpart, &theirs.version) {
                plan.accepted += 1;
                continue;
            }
            let ours = counterpart.package;
            match other_content(ours, theirs) {
                Some(why) => plan.apart.push(Apart {
                    name: theirs.name.clone(),
                    version: theirs.version.clone(),
                    why,
                }),
                None => plan.steps.push(Step::new(ours, theirs, lock)),
            }
        }
        plan
    }
}

impl Step {
    fn new(ours: &Package, theirs: &Locked, lock: &Lockfile) -> Step {
        let (name, line) = (&theirs.name, Line::of(&theirs.version));
        let alike = |other: &&Locked| other.name == *name && Line::of(&other.version) == line;
        let spec = match (
            lock.packages.iter().filter(alike).count(),
            theirs.version.pre.is_empty(),
        ) {
            // The line and not the version: a command before this one may have moved it already.
            (1, true) => format!("{name}@{line}"),
            (1, false) => format!("{name}@{}", theirs.version),
            // From several sources.
            _ => format!(
                "{}#{name}@{}",
                theirs.source.as_deref().unwrap_or_default(),
                theirs.version
            ),
        };
        Step {
            name: name.clone(),
            from: theirs.version.clone(),
            to: ours.version.clone(),
            spec,
        }
    }
}

/// What the host links in the same line in another version or content, if it does.
fn other_than_here<'a>(host: &HostPackages<'a>, lock: &Lockfile, theirs: &Locked) -> Option<Counterpart<'a>> {
    let same = |ours: &Package| {
        ours.version == theirs.version
            && match (&ours.identity, theirs.source.as_deref()) {
                (Identity::Registry { checksum }, Some(_)) => checksum.is_some() && lock.checksum(theirs) == *checksum,
                (Identity::Git { revision }, Some(_)) => theirs.revision() == Some(revision),
                // A lock says nothing of a folder's content; the build's record will.
                (Identity::Path { .. }, source) => source.is_none(),
                (_, None) => false,
            }
    };
    let counterparts = host.counterparts(&theirs.name, &theirs.version);
    match counterparts.iter().any(|ours| same(ours.package)) {
        true => None,
        false => counterparts.first().copied(),
    }
}

/// Why cargo can't take the host's copy by its version alone; nothing if both are versions of one registry's package.
fn other_content(ours: &Package, theirs: &Locked) -> Option<String> {
    let from_registry = theirs.source.is_some() && theirs.revision().is_none();
    let cure = match &ours.identity {
        Identity::Registry { .. } if from_registry && ours.version != theirs.version => return None,
        Identity::Registry { .. } if from_registry => {
            "take it from the registry that the host takes it from".to_owned()
        }
        Identity::Registry { .. } => "take it from the registry: remove its [patch], path or git key".to_owned(),
        Identity::Git { revision } => format!("take it from git with `rev = \"{revision}\"`"),
        Identity::Path { .. } => "build with the same sources as the host".to_owned(),
    };
    let source = theirs.source.as_deref().unwrap_or("a folder");
    Some(format!(
        "host {} ({}), here {} ({source}); {cure}",
        ours.version, ours.identity, theirs.version
    ))
}

/// All packages of a lock, each behind what it depends on.
fn dependencies_first(lock: &Lockfile) -> Vec<usize> {
    fn visit(
        lock: &Lockfile,
        names: &BTreeMap<&str, Vec<usize>>,
        at: usize,
        seen: &mut [bool],
        order: &mut Vec<usize>,
    ) {
        // Development dependencies may form circles; where one is entered does not matter.
        if std::mem::replace(&mut seen[at], true) {
            return;
        }
        for dependency in &lock.packages[at].dependencies {
            let mut words = dependency.split(' ');
            let named = words.next().and_then(|name| names.get(name));
            let version = words.next();
            for &next in named.into_iter().flatten() {
                if version.is_none_or(|version| lock.packages[next].version.to_string() == version) {
                    visit(lock, names, next, seen, order);
                }
            }
        }
        order.push(at);
    }
    let mut names: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, package) in lock.packages.iter().enumerate() {
        names.entry(&package.name).or_default().push(index);
    }
    let (mut seen, mut order) = (vec![false; lock.packages.len()], Vec::new());
    for at in 0..lock.packages.len() {
        visit(lock, &names, at, &mut seen, &mut order);
    }
    order
}
