//! Holds what the manager keeps from one pass to the next. Decides nothing.

use std::sync::Arc;

use plugin_record::Record;

use super::draining::Draining;
use crate::admission::stage::Staging;
use crate::config::{Config, NextStart, Watched};
use crate::directory::survey::Survey;
use crate::directory::verdicts::{NotAdmitted, VerdictCache};
use crate::dispatch::routes::Routes;
use crate::files::stability::StabilityTracker;
use crate::process::async_runtime::AsyncRuntime;
use crate::runtime::instances::Instances;
use crate::runtime::load_check::LoadChecks;
use crate::runtime::side_effects::SideEffects;
use crate::selection::soname_state::Sonames;
use crate::selection::table_for::FirstLines;
use crate::selection::tried::Tried;
use crate::status::audit_log::refusals::{Reported, UnavailableFor};
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
    pub(super) unavailable: Vec<UnavailableFor>,
    pub(super) back_off: BackOff,
    /// Whether `host check` can read what serves now.
    pub(super) is_serving_file_current: bool,
    pub(super) side_effects: SideEffects,
    /// Where libraries are tried out.
    pub(super) children: LoadChecks,
    /// The control plane, and the word that it is time to stop.
    pub(super) runtime: AsyncRuntime,
    pub(super) staging: Arc<Staging>,
}

impl Manager {
    /// Whether the host ends.
    pub(super) fn is_ending(&self) -> bool {
        self.runtime.is_stopping() || self.instances.is_closed()
    }

    /// Takes note of what the machine can't give now.
    pub(super) fn note_unavailable(&mut self, title: &str, plugin: Option<&Record>, reason: Unavailable) {
        self.unavailable.push(UnavailableFor {
            title: title.to_owned(),
            plugin: plugin.map(|record| (record.name.clone(), record.version.clone())),
            reason,
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
