//! Collects what a pass starts from: what the directory offers now, what has become of the links of what serves, and what the
//! configuration asks for. Reads, and decides nothing about what serves.

use std::time::Instant;

use plugin_record::printable;

use super::state::Manager;
use crate::config::Reread;
use crate::directory::survey::{Survey, survey_again};
use crate::files::identity::FileIdentity;
use crate::selection::soname_state::{Served, Sighting};
use crate::status::change::Change;
use crate::unavailable::{Shortage, Unavailable, is_of_machine};

impl Manager {
    /// What the directory offers now. A directory that is gone is damage, and no decision: what serves goes on.
    pub(super) fn survey(&mut self) -> Option<Survey> {
        match self.staging.renew() {
            Ok(false) => {}
            Ok(true) => {
                let directory = printable(self.staging.directory().display().to_string());
                self.status.record(Change::StagingRenewed { directory });
                self.verdicts.forget();
            }
            Err(error) => self.note_unavailable(
                "staging",
                None,
                Unavailable::new(Shortage::Staging, "private copies", error.to_string()),
            ),
        }
        let survey = survey_again(
            &self.config,
            &self.staging,
            &mut self.verdicts,
            Some(&mut self.stability),
        );
        survey
            .inspect_err(|error| {
                self.reported.directory(&self.config.plugins.dir, error, &self.status);
                if is_of_machine(error) {
                    self.stability.check_by(Instant::now() + self.back_off.wait());
                }
            })
            .ok()
    }

    /// Takes note of what has become of the links of what serves; has another pass made when those that may come back would be
    /// gone for good.
    pub(super) fn observe_links(&mut self, survey: &Survey) {
        let is_found = |name: &str| survey.findings.iter().any(|finding| finding.path.ends_with(name));
        let see = |soname: &str, served: &Served| {
            let is_present = survey.in_doubt.contains(soname) || is_found(soname);
            // Only a link that is missing makes a difference.
            let file = served.file.as_deref().filter(|_| !is_present);
            Sighting {
                is_present,
                is_file_incomplete: file.is_some_and(|file| survey.in_doubt.contains(file) && !is_found(file)),
                file: file.and_then(|file| FileIdentity::of(&survey.directory.join(file))),
            }
        };
        self.sonames.observe(see, Instant::now());
        if let Some(due) = self.sonames.due() {
            self.stability.check_by(due);
        }
    }

    /// Rereads the configuration if its file has changed or the operator asks for it; returns whether it did.
    pub(super) fn reread(&mut self, asked: bool) -> bool {
        let config = match self.watched.reread(asked, &self.config, &mut self.stability) {
            Reread::Nothing => return false,
            Reread::Refused(error) => {
                self.status.record(Change::ConfigurationRefused { error });
                return false;
            }
            Reread::Usable(config) => *config,
        };
        for key in self.next_start.news(&self.config, &config) {
            let key = key.to_owned();
            self.status.record(Change::NextStart { key });
        }
        if config.policy != self.config.policy {
            self.verdicts.invalidate();
        }
        self.config = config.taken_over(&self.config);
        // What failed may have failed for what was changed.
        self.tried.forget_failures();
        true
    }
}
