//! Holds what the manager keeps from one pass to the next. Decides nothing.

use std::collections::HashMap;
use std::sync::Arc;

use plugin_record::{Record, Refusal};

use super::draining::Draining;
use crate::admission::stage::{Digest, Staging};
use crate::config::{Config, NextStart, Watched};
use crate::directory::survey::Survey;
use crate::directory::verdicts::{NotAdmitted, VerdictCache};
use crate::dispatch::routes::Routes;
use crate::files::stability::StabilityTracker;
use crate::process::async_runtime::AsyncRuntime;
use crate::runtime::instances::Instances;
use crate::runtime::load_check::LoadChecks;
use crate::runtime::side_effects::SideEffects;
use crate::selection::candidate::Candidate;
use crate::selection::desired_version::OtherContent;
use crate::selection::soname_state::Sonames;
use crate::selection::table_for::{FirstLines, Unasked};
use crate::selection::tried::Tried;
use crate::status::change::FileId;
use crate::status::publisher::Publisher;
use crate::status::report::PluginReport;
use crate::status::reported::Reported;
use crate::status::snapshot::Lack;
use crate::unavailable::{BackOff, Unavailable};

/// Makes what runs what should run.
pub(super) struct Manager {
    pub(super) config: Config,
    /// The file that it was read from.
    pub(super) watched: Watched,
    pub(super) next_start: NextStart,
    pub(super) instances: Instances,
    /// Where the packet path looks up which target answers a command.
    pub(super) routes: Arc<Routes>,
    /// What serves, and what has become of each soname's link.
    pub(super) sonames: Sonames,
    /// What has become of contents so far.
    pub(super) tried: Tried,
    /// The lines that tables speak for, by the last pass.
    pub(super) first_lines: FirstLines,
    pub(super) verdicts: VerdictCache,
    pub(super) stability: StabilityTracker,
    pub(super) draining: Vec<Draining>,
    pub(super) reported: Reported,
    /// What the machine could not give in this pass.
    pub(super) unavailable: Vec<Lack>,
    pub(super) back_off: BackOff,
    pub(super) decided: Decisions,
    /// Where it is told what serves and what does not.
    pub(super) status: Publisher,
    pub(super) side_effects: SideEffects,
    /// Where libraries are tried out.
    pub(super) children: LoadChecks,
    /// The control plane, and the word that it is time to stop.
    pub(super) runtime: AsyncRuntime,
    pub(super) staging: Arc<Staging>,
}

/// What the last pass decided.
#[derive(Default)]
pub(super) struct Decisions {
    /// What should serve of each soname.
    pub(super) candidates: Vec<Candidate>,
    /// What no table asks for.
    pub(super) unasked: Vec<(Candidate, Unasked)>,
    /// Why plugins do not serve, for reasons that are in no file.
    pub(super) unserved: Vec<PluginReport>,
    /// Newcomers that were turned away, and why.
    pub(super) turned_away: HashMap<Digest, Refusal>,
    /// Other contents under names that serve.
    pub(super) other_contents: Vec<OtherContent>,
}

impl Manager {
    /// Whether the host ends.
    pub(super) fn is_ending(&self) -> bool {
        self.runtime.is_stopping() || self.instances.is_closed()
    }

    /// Takes note of what the machine can't give now.
    pub(super) fn note_unavailable(&mut self, title: &str, plugin: Option<&Record>, reason: Unavailable) {
        self.unavailable.push(Lack {
            of: FileId {
                file: title.to_owned(),
                plugin: plugin.map(|record| record.name.clone()),
                version: plugin.map(|record| record.version.to_string()),
                digest: None,
            },
            unavailable: reason,
        });
    }

    /// Takes note of what kept files from being judged.
    pub(super) fn note_unjudged(&mut self, survey: &Survey) {
        for finding in &survey.findings {
            if let Err(NotAdmitted::Unavailable(reason)) = &finding.verdict {
                self.note_unavailable(&finding.path.display().to_string(), None, reason.clone());
            }
        }
    }
}
