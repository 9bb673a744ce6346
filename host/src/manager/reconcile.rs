//! One look's outcome: settles who should serve, has it opened and initialised, settles again without what fails, and looks
//! once more before it is put in force, for that may have taken its time.

use std::collections::HashMap;

use super::open::Opened;
use super::{Applied, Manager, StartError};
use crate::admission::stage::Digest;
use crate::config::Config;
use crate::directory::survey::Survey;
use crate::selection::command_claims::{Candidate, Claim, Plan, Unwanted, settle_among};
use crate::selection::desired_version::wishes;
use crate::selection::idle::Outcome;

impl Manager {
    /// Makes what runs what should run.
    pub(super) fn apply(&mut self, survey: &Survey, is_start: bool) -> Result<Applied, StartError> {
        let config = self.config.clone();
        self.known.held_back.clear();
        let mut made = HashMap::new();
        let mut took_time = false;
        let (sonames, plan, ready) = loop {
            let (sonames, others) = match is_start {
                true => (self.as_they_stand(survey), Vec::new()),
                false => wishes(survey, &self.known, &config),
            };
            self.told.other_contents(&survey.directory, others);
            self.known.removed = sonames
                .iter()
                .filter(|soname| matches!(soname.wanted, Err(Unwanted::Removed)))
                .map(|soname| soname.soname.clone())
                .collect();
            let mut plan = settle_among(&sonames, survey, &config);
            if self.hold_back_losers(&sonames, &plan) {
                continue;
            }
            let claims = std::mem::take(&mut plan.claims);
            let Opened { mut ready, is_complete } = self.open_all(claims, survey, &config);
            took_time |= ready.iter().any(|ready| self.instances.get(&ready.key).is_none()) || !is_complete;
            if self.stop.is_set() || self.instances.is_closed() {
                return Ok(Applied::Published);
            }
            if is_start {
                if let Some(plugin) = self.instances.stuck() {
                    return Err(StartError::Stuck { plugin });
                }
                self.require(&config, ready.iter().map(|ready| &ready.claim), survey, &plan)?;
            }
            let is_complete = is_complete && self.init_all(&ready, &config, &mut made);
            if self.stop.is_set() || self.instances.is_closed() {
                return Ok(Applied::Published);
            }
            if !is_complete {
                continue;
            }
            if is_start {
                self.require(&config, ready.iter().map(|ready| &ready.claim), survey, &plan)?;
            } else if let Some(outdated) = self.outdated(survey, &sonames, took_time) {
                return Ok(outdated);
            }
            if self.link_all(survey, &mut ready, is_start) {
                break (sonames, plan, ready);
            }
        };
        self.told.plan(&plan);
        let failed = self.known.failed.union(&self.known.held_back).copied().collect();
        let outcome = Outcome {
            failed: &failed,
            survey,
            sonames: &sonames,
            unasked: &plan.unasked,
        };
        self.publish(outcome, ready, &made, is_start);
        let served = &self.known.served;
        let serving = |soname: &str| served.get(soname).map(|served| &*served.admitted);
        self.told.idle(outcome, is_start, serving);
        self.remember(survey);
        Ok(Applied::Published)
    }

    /// Whether what should serve was changed while it was made ready. A link that was moved or removed meanwhile is the
    /// operator's word on what had come by then: none of it is new any more.
    fn outdated(&mut self, survey: &Survey, sonames: &[Candidate], took_time: bool) -> Option<Applied> {
        let moved: Vec<&Candidate> = sonames
            .iter()
            .filter(|soname| soname.takes_link && !is_link_as_surveyed(survey, &soname.soname))
            .collect();
        for group in survey
            .groups
            .iter()
            .filter(|group| moved.iter().any(|moved| moved.soname == group.soname))
        {
            let files = group.files().iter();
            self.known
                .judged
                .extend(files.map(|(name, admitted)| (name.to_string(), admitted.digest())));
        }
        if !moved.is_empty() {
            return Some(Applied::Outdated { reread: false });
        }
        if !took_time {
            return None;
        }
        if self.reread(false) {
            return Some(Applied::Outdated { reread: true });
        }
        let fresh = self.survey()?;
        self.forgive(&fresh);
        let (now, _) = wishes(&fresh, &self.known, &self.config);
        let is_same = now.len() == sonames.len() && now.iter().zip(sonames).all(|(now, then)| now.is_same(then));
        (!is_same).then_some(Applied::Outdated { reread: false })
    }

    /// What a start would serve, less what has failed.
    fn as_they_stand(&self, survey: &Survey) -> Vec<Candidate> {
        let mut sonames: Vec<Candidate> = survey.groups.iter().map(|group| group.candidate()).collect();
        for soname in &mut sonames {
            if soname.wanted.as_ref().is_ok_and(|wanted| {
                self.known.failed.contains(&wanted.digest()) || self.known.held_back.contains(&wanted.digest())
            }) {
                soname.wanted = Err(Unwanted::Failed);
            }
        }
        sonames
    }

    /// A newcomer that does not get its commands is turned away, and what serves goes on.
    fn hold_back_losers(&mut self, sonames: &[Candidate], plan: &Plan<'_>) -> bool {
        let lost = |soname: &Candidate| plan.unserved.iter().any(|unserved| unserved.is_of(soname));
        let losers = sonames
            .iter()
            .filter(|soname| soname.takes_link && self.known.served.contains_key(&soname.soname) && lost(soname));
        let losers: Vec<Digest> = losers
            .filter_map(|loser| loser.wanted.as_ref().ok().map(|admitted| admitted.digest()))
            .collect();
        self.told.turned_away(plan, &losers, sonames);
        self.known.held_back.extend(losers.iter().copied());
        !losers.is_empty()
    }

    /// Whether everything that is required is among the claims that are still good; tells all reasons if not.
    fn require<'a, 'b: 'a>(
        &mut self,
        config: &Config,
        good: impl Iterator<Item = &'a Claim<'b>>,
        survey: &Survey,
        plan: &Plan<'_>,
    ) -> Result<(), StartError> {
        let good: Vec<&str> = good
            .filter(|claim| claim.table.is_some())
            .map(|claim| claim.candidate.plugin.as_str())
            .collect();
        let required = config
            .plugin
            .iter()
            .filter(|(_, table)| table.required && table.enabled);
        let missing: Vec<String> = required
            .map(|(name, _)| name.clone())
            .filter(|name| !good.contains(&name.as_str()))
            .collect();
        if missing.is_empty() || self.stop.is_set() {
            return Ok(());
        }
        self.told.report(survey, config);
        self.told.plan(plan);
        // It may be no fault of theirs.
        self.lack_verdicts(survey);
        let lacks = std::mem::take(&mut self.lacks);
        self.told.lacks(lacks);
        Err(StartError::Required { plugins: missing })
    }
}

/// Whether the link at a soname is still as it was surveyed.
fn is_link_as_surveyed(survey: &Survey, soname: &str) -> bool {
    if survey.undecided.contains(soname) {
        return true; // where it led was not seen
    }
    let now = std::fs::read_link(survey.directory.join(soname)).ok();
    now.as_deref() == survey.link(soname)
}
