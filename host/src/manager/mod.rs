//! Decides what runs: one look after another at the plugin directory and the configuration, each ending in at most one new
//! route table. The first look is the start, and every later one does the same with more to go by.
//!
//! A look has two phases: everything that should serve is opened and its configuration checked, then handlers are made,
//! then one route table is published. What fails is left out, and it is settled again who serves; so a failed newcomer
//! leaves the version that serves alone.

mod drain;
pub mod events;
pub mod install;
mod links;
mod open;
mod publish;
mod reconcile;
mod start;
mod watcher;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use plugin_record::Record;

use crate::admission::stage::Staging;
use crate::config::{Config, NextStart, Watched};
use crate::directory::survey::{Survey, survey_again};
use crate::directory::verdicts::{Memory, NotAdmitted};
use crate::dispatch::routes::Routes;
use crate::files::stability::{SETTLE, Settling};
use crate::process::stop::Stop;
use crate::runtime::instances::Instances;
use crate::runtime::load_check::Trials;
use crate::runtime::side_effects::SideEffects;
use crate::selection::desired_version::{Identity, Known};
use crate::status::audit::refusals::{Lacking, Told};
use crate::status::serving_file::Serving;
use crate::unavailable::{BackOff, Lack, Unavailable, is_of_machine};
use drain::Leaving;
use events::{Heard, Hints, Places};
pub use start::{Running, StartError, read, start};

struct Manager {
    config: Config,
    /// The file that it was read from.
    watched: Watched,
    next_start: NextStart,
    instances: Instances,
    routes: Arc<Routes>,
    known: Known,
    memory: Memory,
    settling: Settling,
    /// Since when links are gone, by soname.
    gone: HashMap<String, Instant>,
    leaving: Vec<Leaving>,
    told: Told,
    /// What the machine lacked when it was last looked.
    lacks: Vec<Lacking>,
    back_off: BackOff,
    /// Whether `host check` can read what serves now.
    is_serving_told: bool,
    side_effects: SideEffects,
    /// Where libraries are tried out.
    children: Trials,
    stop: Stop,
    staging: Arc<Staging>,
}

/// What a look has come to.
enum Applied {
    /// What should run runs.
    Published,
    /// What should run was changed while it was made ready.
    Outdated {
        /// The configuration was, and is reread.
        reread: bool,
    },
}

impl Manager {
    /// Looks whenever there is a reason to, until the host ends.
    fn follow(mut self, mut hints: Hints) {
        tracing::info!(directory = %self.config.plugins.dir.display(), "following");
        loop {
            let is_watching = self.config.plugins.watch;
            let places = is_watching.then(|| Places::new(&self.config.plugins.dir, &self.watched));
            // It may start a thread, and wait for it: not while start-up code holds the dynamic linker's lock.
            let is_free = self.instances.stuck().is_none();
            let is_unheard = is_free && hints.watch(places, self.config.plugins.poll, &mut self.settling);
            let now = Instant::now();
            let poll = is_watching.then(|| {
                if is_unheard {
                    now
                } else {
                    now + self.config.plugins.poll
                }
            });
            let look = [poll, self.settling.again()].into_iter().flatten().min();
            let drain = self.drain_again(now);
            let deadline = [look, drain].into_iter().flatten().min();
            let heard = hints.wait(deadline, &mut self.settling);
            if self.stop.is_set() || self.instances.is_closed() {
                return;
            }
            let is_time = look.is_some_and(|look| Instant::now() >= look);
            if self.drain() || heard.is_reason || is_time {
                self.look(&heard);
            } else if let Some(look) = look {
                self.settling.look_again(look);
            }
        }
    }

    fn look(&mut self, heard: &Heard) {
        let mut reread = self.reread(heard.reload);
        // Again as long as the operator changes his mind meanwhile: the last word counts.
        let survey = loop {
            self.lacks.clear();
            let Some(survey) = self.survey() else { return };
            self.told.report(&survey, &self.config);
            self.forgive(&survey);
            // Nothing is required of a host that runs.
            match self.apply(&survey, false) {
                Ok(Applied::Outdated { reread: again }) => reread |= again,
                _ => break survey,
            }
        };
        self.retire(&survey);
        self.finish(&survey);
        if reread {
            let unsettled = survey.unsettled + self.known.may_come_back.len();
            tracing::info!(unsettled, "configuration reread");
        }
    }

    /// What the directory offers now. A directory that is gone is damage, no wish: what serves goes on.
    fn survey(&mut self) -> Option<Survey> {
        match self.staging.renew() {
            Ok(false) => {}
            Ok(true) => {
                tracing::warn!(directory = %self.staging.directory().display(), "the staging directory was removed, made anew");
                self.memory.forget();
                self.is_serving_told = false;
            }
            Err(error) => self.lack(
                "staging",
                None,
                Unavailable::new(Lack::Staging, "private copies", error.to_string()),
            ),
        }
        let survey = survey_again(&self.config, &self.staging, &mut self.memory, Some(&mut self.settling));
        survey
            .inspect_err(|error| {
                self.told.directory(&self.config.plugins.dir, error);
                if is_of_machine(error) {
                    self.settling.look_again(Instant::now() + self.back_off.wait());
                }
            })
            .ok()
    }

    /// Takes note of what the machine can't give now.
    fn lack(&mut self, title: &str, plugin: Option<&Record>, lack: Unavailable) {
        self.lacks.push(Lacking {
            title: title.to_owned(),
            plugin: plugin.map(|record| (record.name.clone(), record.version.clone())),
            lack,
        });
    }

    /// Takes note of what kept files from being judged.
    fn lack_verdicts(&mut self, survey: &Survey) {
        for finding in &survey.findings {
            if let Err(NotAdmitted::Unavailable(lack)) = &finding.verdict {
                self.lack(&finding.path.display().to_string(), None, lack.clone());
            }
        }
    }

    /// The end of a look: tells `host check` what serves and the log what is lacking, and has it tried again.
    fn finish(&mut self, survey: &Survey) {
        self.lack_verdicts(survey);
        if !self.is_serving_told {
            match Serving::write(&self.staging, &survey.directory, &self.known.served, &self.instances) {
                Ok(()) => self.is_serving_told = true,
                Err(error) => {
                    let lack = Unavailable::staging(&self.staging.directory(), &error);
                    self.lack("what serves, for `host check`", None, lack);
                }
            }
        }
        let lacks = std::mem::take(&mut self.lacks);
        match lacks.is_empty() {
            true => self.back_off.reset(),
            false => self.settling.look_again(Instant::now() + self.back_off.wait()),
        }
        self.told.lacks(lacks);
    }

    /// Rereads the configuration if its file has changed or somebody asks for it; tells whether it did.
    fn reread(&mut self, asked: bool) -> bool {
        let Some(config) = self.watched.reread(asked, &self.config, &mut self.settling) else {
            return false;
        };
        for key in self.next_start.news(&self.config, &config) {
            tracing::warn!(key, "takes effect at the next start");
        }
        if config.policy != self.config.policy {
            self.memory.judge_again();
        }
        self.config = config.taken_over(&self.config);
        // What failed may have failed for what was changed.
        self.known.failed.clear();
        true
    }

    /// A link that is gone may be on its way back (`ln -sfn` removes it first): it is taken away once it stays away.
    fn forgive(&mut self, survey: &Survey) {
        let now = Instant::now();
        self.known.may_come_back.clear();
        self.known.brought_again.clear();
        let present = |soname: &str| {
            survey.in_doubt.contains(soname) || survey.findings.iter().any(|finding| finding.path.ends_with(soname))
        };
        let served: Vec<String> = self.known.served.keys().cloned().collect();
        self.gone
            .retain(|soname, _| served.contains(soname) && !present(soname));
        for soname in served.into_iter().filter(|soname| !present(soname)) {
            let since = *self.gone.entry(soname.clone()).or_insert(now);
            let served = self.known.served.get(&soname);
            let file = served.and_then(|served| served.file.as_ref());
            let there_now = file.and_then(|file| identity(&survey.directory.join(file)));
            let is_growing = file.is_some_and(|file| {
                survey.in_doubt.contains(file) && !survey.findings.iter().any(|finding| finding.path.ends_with(file))
            });
            if is_growing {
                self.known.may_come_back.insert(soname); // its end will be heard
            } else if there_now.is_some() && there_now != served.and_then(|served| served.identity) {
                self.known.brought_again.insert(soname);
            } else if now < since + SETTLE {
                self.settling.look_again(since + SETTLE);
                self.known.may_come_back.insert(soname);
            }
        }
    }
}

/// Which file this is, whatever it is named and whatever is in it. Inode numbers are used again, so with its birth, where
/// the file system tells that.
fn identity(file: &Path) -> Option<Identity> {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.ino(), metadata.created().ok()))
}
