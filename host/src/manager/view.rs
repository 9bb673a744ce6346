//! Tells what is served and refused now, as the [`View`] that the status shows: by the last survey and by what the last pass
//! decided. Decides nothing.

use std::path::{Path, PathBuf};

use plugin_record::{Record, printable};

use super::state::Manager;
use crate::admission::admit::Admitted;
use crate::admission::names;
use crate::admission::stage::Digest;
use crate::admission::static_tls;
use crate::directory::survey::Survey;
use crate::selection::idle::{Outcome, Reason};
use crate::selection::instance_key::InstanceKey;
use crate::selection::unserved::other_content;
use crate::status::report::{FileReport, MisnamedReport, State};
use crate::status::snapshot::{InstanceStatus, Lack, StaticTlsStatus, View};
use crate::unavailable::Unavailable;

impl Manager {
    /// What is served and refused now.
    pub(super) fn view(&self, survey: &Survey) -> View {
        let outcome = Outcome {
            survey,
            candidates: &self.decided.candidates,
            tried: &self.tried,
            unasked: &self.decided.unasked,
        };
        View {
            directory: printable(survey.directory.display().to_string()),
            directory_error: None,
            watch: self.config.plugins.watch,
            configuration_digest: self.watched.digest().map(str::to_owned),
            configuration_error: self.watched.error().map(str::to_owned),
            instances: self.instances_by_state(),
            files: self.files(survey, outcome),
            plugins: self.decided.unserved.clone(),
            unversioned: survey.unversioned.iter().map(|file| shown(file)).collect(),
            misnamed: survey.misnamed.iter().map(MisnamedReport::new).collect(),
            unavailable: self.unavailable.clone(),
            unsettled: survey.unsettled + self.sonames.undecided(),
            static_tls: StaticTlsStatus {
                room: Some(self.instances.room()),
                tunables: static_tls::tunables(),
                held_by: self
                    .instances
                    .with_static_tls()
                    .iter()
                    .map(|admitted| admitted.digest().to_string())
                    .collect(),
            },
        }
    }

    /// The same where the plugin directory can't be read: of files what was seen last.
    pub(super) fn view_without_survey(&self, last: &View, error: &str) -> View {
        View {
            directory_error: Some(printable(error.to_owned())),
            watch: self.config.plugins.watch,
            configuration_digest: self.watched.digest().map(str::to_owned),
            configuration_error: self.watched.error().map(str::to_owned),
            instances: self.instances_by_state(),
            ..last.clone()
        }
    }

    /// Those that serve, then the others.
    fn instances_by_state(&self) -> Vec<InstanceStatus> {
        let serving = self.sonames.all_served().map(|(soname, served)| InstanceStatus {
            plugin: served.plugin().to_owned(),
            soname: soname.to_owned(),
            version: served.admitted.record().version.clone(),
            digest: served.key.digest.to_string(),
            state: State::Serving,
            commands: served.commands.clone(),
            file: served.file.clone(),
        });
        let alive = self.instances.alive().into_iter();
        let others = alive.filter(|(key, _)| self.state_of(key) != State::Serving);
        let others = others.map(|(key, plugin)| InstanceStatus {
            plugin: plugin.name().to_owned(),
            soname: names::soname(plugin.admitted().record()),
            version: plugin.version().clone(),
            digest: key.digest.to_string(),
            state: self.state_of(&key),
            commands: Vec::new(),
            file: self.tried.names_of(key.digest).next().map(str::to_owned),
        });
        serving.chain(others).collect()
    }

    /// What an instance that is alive does.
    pub(super) fn state_of(&self, key: &InstanceKey) -> State {
        if self.sonames.all_served().any(|(_, served)| served.key == *key) {
            State::Serving
        } else if self.draining.iter().any(|draining| draining.key == *key) {
            State::Draining
        } else {
            State::Standby
        }
    }

    fn files(&self, survey: &Survey, outcome: Outcome<'_>) -> Vec<FileReport> {
        let mut files: Vec<FileReport> = Vec::new();
        for finding in &survey.findings {
            let mut report = FileReport::new(file_name(&finding.path), finding.link.clone(), &finding.verdict);
            if let Ok(admitted) = &finding.verdict {
                self.place(&mut report, admitted, outcome);
            }
            files.push(report);
        }
        for name in &survey.undecided {
            let path = Path::new(name);
            if !files.iter().any(|file| file.file == path) {
                files.push(FileReport::candidate(path.to_owned()));
            }
        }
        files.sort_by(|one, other| one.file.cmp(&other.file));
        files
    }

    /// What has become of an admitted file.
    fn place(&self, report: &mut FileReport, admitted: &Admitted, outcome: Outcome<'_>) {
        let (record, digest) = (admitted.record(), admitted.digest());
        let served = self.sonames.served(&names::soname(record));
        // Whatever names and links lead to it.
        let others = &self.decided.other_contents;
        let other = others.iter().find(|other| other.found == digest);
        if let Some(served) = served.filter(|served| served.key.digest == digest) {
            report.state = State::Serving;
            report.commands = served.commands.clone();
            // It serves with the configuration that it had before.
            report.refusals.extend(self.tried.failure(digest).cloned());
        } else if let Some(other) = other {
            let running = other.running.to_string();
            report.refuse(&[other_content(&other.file, &running, &other.found.to_string())]);
        } else if let Some(refusal) = self
            .tried
            .failure(digest)
            .or_else(|| self.decided.turned_away.get(&digest))
        {
            report.refuse(std::slice::from_ref(refusal));
        } else if let Some(lack) = self.lack(record) {
            report.unavailable(lack);
        } else {
            let idle = outcome.why(admitted, served.map(|served| &*served.admitted));
            report.state = match idle.reason {
                Reason::Disabled => State::Disabled,
                _ if self.is_draining(digest) => State::Draining,
                _ => State::Standby,
            };
            report.idle = Some(idle);
        }
    }

    fn is_draining(&self, digest: Digest) -> bool {
        self.draining.iter().any(|draining| draining.key.digest == digest)
    }

    /// What the machine lacks for a version, if it was deferred for that.
    fn lack(&self, record: &Record) -> Option<&Unavailable> {
        let version = record.version.to_string();
        let is_of =
            |lack: &&Lack| lack.of.plugin.as_ref() == Some(&record.name) && lack.of.version.as_ref() == Some(&version);
        self.unavailable.iter().find(is_of).map(|lack| &lack.unavailable)
    }
}

fn file_name(path: &Path) -> PathBuf {
    path.file_name().map(PathBuf::from).unwrap_or_default()
}

fn shown(path: &Path) -> String {
    printable(file_name(path).display().to_string())
}
