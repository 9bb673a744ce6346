//! Plugin directories that exist nowhere, for the tests of what is decided about them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use plugin_record::{Code, Refusal};

use super::candidate::Candidate;
use super::command_claims::{Plan, resolve};
use super::desired_version::{Desired, OtherContent, at_start, while_running};
use super::instance_key::InstanceKey;
use super::soname_state::{LinkState, Served, Sighting, Sonames};
use super::table_for::config_json;
use super::tried::Tried;
use crate::admission::admit::{Admitted, Refused};
use crate::admission::names::{LibraryName, real_name, soname};
use crate::config::Config;
use crate::directory::groups::Finding;
use crate::directory::survey::Survey;
use crate::directory::verdicts::Verdict;
use crate::files::identity::FileIdentity;

/// The folder that they would be.
const DIRECTORY: &str = "/plugins";

/// A reason for which a content failed.
pub(super) fn refusal() -> Refusal {
    Refusal::new(Code::LoadInit, "init", "a handler", "none", "# mend it")
}

/// A version of a plugin, with a content of its own.
pub(super) fn plugin(name: &str, version: &str, commands: &[u8]) -> Arc<Admitted> {
    content(name, version, commands, "")
}

/// The same with another content for each text.
pub(super) fn content(name: &str, version: &str, commands: &[u8], text: &str) -> Arc<Admitted> {
    let content = format!("{name} {version} {commands:?} {text}");
    let version = version.parse().expect("a version");
    Arc::new(Admitted::for_test(name, version, commands, content.as_bytes()))
}

fn finding(file_name: &str, link: Option<&str>, verdict: Verdict) -> Finding {
    Finding {
        path: Path::new(DIRECTORY).join(file_name),
        name: LibraryName::parse(file_name).expect("a plugin's name"),
        link: link.map(Into::into),
        verdict,
    }
}

/// A plugin's file under its real name.
pub(super) fn file(plugin: &Arc<Admitted>) -> Finding {
    finding(&real_name(plugin.record()), None, Ok(Arc::clone(plugin)))
}

/// The same under a name with a part less: a namesake of another package may have its real name.
pub(super) fn short_name(plugin: &Arc<Admitted>) -> Finding {
    let mut finding = file(plugin);
    finding.name.parts.truncate(2);
    finding.path = finding.path.with_file_name(finding.name.to_string());
    finding
}

/// The link at a plugin's soname.
pub(super) fn link(plugin: &Arc<Admitted>) -> Finding {
    let target = real_name(plugin.record());
    finding(&soname(plugin.record()), Some(&target), Ok(Arc::clone(plugin)))
}

/// A plugin's file at its soname, in place of a link.
pub(super) fn file_at_soname(plugin: &Arc<Admitted>) -> Finding {
    finding(&soname(plugin.record()), None, Ok(Arc::clone(plugin)))
}

/// The link at a plugin's soname, leading nowhere.
pub(super) fn dangling(plugin: &Arc<Admitted>) -> Finding {
    let refusal = Refusal::new(
        Code::LinkDangling,
        "link",
        "an existing file",
        "nothing",
        "# put it back",
    );
    let refused = Refused {
        record: None,
        digest: None,
        refusals: vec![refusal],
        differences: Vec::new(),
    };
    finding(&soname(plugin.record()), Some("gone"), Err(refused.into()))
}

/// A directory with these entries.
pub(super) fn directory(findings: impl IntoIterator<Item = Finding>) -> Survey {
    let mut findings: Vec<Finding> = findings.into_iter().collect();
    findings.sort_by(|one, other| one.path.cmp(&other.path));
    Survey::new(Path::new(DIRECTORY), findings, BTreeSet::new())
}

/// Who serves by a plan: soname and version.
pub(super) fn serving(plan: &Plan<'_>) -> Vec<(String, String)> {
    let of_claim = |claim: &super::command_claims::Claim<'_>| {
        let version = claim.admitted.record().version.to_string();
        (claim.candidate.soname.clone(), version)
    };
    let mut serving: Vec<_> = plan.claims.iter().map(of_claim).collect();
    serving.sort();
    serving
}

/// What a running host knows, and a clock that the test sets.
pub(super) struct RunningHost {
    pub(super) sonames: Sonames,
    pub(super) tried: Tried,
    pub(super) config: Config,
    pub(super) now: Instant,
    /// What stands at the names of files that serve: another number is another file.
    pub(super) file: u64,
}

impl RunningHost {
    /// A host that has started with this directory.
    pub(super) fn start(survey: &Survey, config: Config) -> RunningHost {
        let mut running = RunningHost {
            sonames: Sonames::default(),
            tried: Tried::default(),
            config,
            now: Instant::now(),
            file: 1,
        };
        let candidates = at_start(survey, &running.tried);
        running.serve(survey, &candidates);
        running
    }

    /// What should serve by what the directory is now.
    pub(super) fn desired(&mut self, survey: &Survey) -> Desired {
        let has = |name: &str| survey.findings.iter().any(|finding| finding.path.ends_with(name));
        let file = self.file;
        let see = |soname: &str, served: &Served| Sighting {
            is_present: has(soname),
            is_file_incomplete: false,
            file: served
                .file
                .as_deref()
                .filter(|file| has(file))
                .map(|_| FileIdentity::numbered(file)),
        };
        self.sonames.observe(see, self.now);
        while_running(survey, &self.sonames, &self.tried, &self.config)
    }

    /// The same, and then it serves: gives soname and version of all that do.
    pub(super) fn pass(&mut self, survey: &Survey) -> Vec<(String, String)> {
        self.pass_with(survey).0
    }

    /// The same, with what is not taken over.
    pub(super) fn pass_with(&mut self, survey: &Survey) -> (Vec<(String, String)>, Vec<OtherContent>) {
        self.tried.begin_pass();
        let Desired {
            candidates,
            other_contents,
        } = self.desired(survey);
        (self.serve(survey, &candidates), other_contents)
    }

    /// As the manager publishes it. A link that is taken is in the directory of the next pass.
    fn serve(&mut self, survey: &Survey, candidates: &[Candidate]) -> Vec<(String, String)> {
        let config = self.config.clone();
        let plan = resolve(candidates, survey, &config);
        let next = plan.claims.iter().map(|claim| {
            let candidate = &claim.candidate;
            let link = match candidate.takes_link {
                true => LinkState::Present,
                false => self.sonames.link(&candidate.soname),
            };
            let served = Served {
                admitted: Arc::clone(&claim.admitted),
                key: InstanceKey {
                    digest: claim.admitted.digest(),
                    config: config_json(claim.table),
                },
                commands: claim.commands.clone(),
                file: Some(real_name(claim.admitted.record())),
                is_linked: candidate.is_linked || candidate.takes_link,
                identity: Some(FileIdentity::numbered(self.file)),
            };
            (candidate.soname.clone(), served, link)
        });
        self.sonames = Sonames::after(next.collect::<Vec<_>>(), candidates);
        survey.groups.iter().for_each(|group| self.tried.note_judged(group));
        serving(&plan)
    }
}
