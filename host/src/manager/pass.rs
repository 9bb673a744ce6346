//! Runs one pass, from a survey to at most one new route table: plan, open, init, check that the result is still asked for,
//! link, publish. What fails is left out, and the pass plans again, in rounds; so a version that fails leaves the one that
//! serves alone. Does not decide when passes are made.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::open::{Opened, Ready};
use super::start_error::StartError;
use super::state::Manager;
use crate::config::Config;
use crate::directory::links;
use crate::directory::survey::Survey;
use crate::selection::candidate::Candidate;
use crate::selection::command_claims::{Plan, resolve};
use crate::selection::desired_version::{Desired, at_start, while_running};
use crate::selection::idle::Outcome;
use crate::selection::instance_key::InstanceKey;
use crate::selection::table_for::FirstLines;
use crate::status::change::{Change, VersionId};
use crate::status::report::PluginReport;

/// Which pass it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PassKind {
    /// The first one.
    Start,
    /// One of a host that runs: put in force only if it is still asked for.
    Running,
    /// The same after others that were not: put in force unless a link was moved that it would move.
    Last,
}

/// What a pass has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PassEnd {
    /// What should run runs; or the host ends.
    Done,
    /// What should run was changed while it was made ready.
    Changed {
        /// The configuration was, and is reread.
        is_reread: bool,
    },
}

/// What one round has come to.
enum Round<'a> {
    /// This is to be put in force.
    Ready(Decided<'a>),
    /// Something was left out: it is to be planned again.
    Again,
    /// The pass is over, and nothing is put in force.
    Over(PassEnd),
}

/// What should serve.
pub(super) struct Decided<'a> {
    pub(super) candidates: Vec<Candidate>,
    pub(super) plan: Plan<'a>,
    pub(super) ready: Vec<Ready<'a>>,
}

/// What the rounds of one pass have in common.
struct Rounds<'a> {
    survey: &'a Survey,
    config: &'a Config,
    kind: PassKind,
    /// How long the inits of this pass took.
    made: HashMap<InstanceKey, Duration>,
    /// Whether anything was opened, so that there was time for changes.
    took_time: bool,
}

impl Manager {
    /// Makes what runs what should run, by a survey.
    ///
    /// # Errors
    /// At the start, when what is required does not serve.
    pub(super) fn pass(&mut self, survey: &Survey, kind: PassKind) -> Result<PassEnd, StartError> {
        let config = self.config.clone();
        self.tried.begin_pass();
        self.decided.turned_away.clear();
        let mut rounds = Rounds {
            survey,
            config: &config,
            kind,
            made: HashMap::new(),
            took_time: false,
        };
        for _ in 0..self.most_rounds(survey) {
            match self.round(&mut rounds)? {
                Round::Ready(decided) => {
                    self.put_in_force(decided, &rounds);
                    return Ok(PassEnd::Done);
                }
                Round::Again => {}
                Round::Over(end) => return Ok(end),
            }
        }
        tracing::error!("what fails comes back in each round: nothing is changed now");
        self.stability.check_by(Instant::now() + self.back_off.wait());
        Ok(PassEnd::Done)
    }

    /// How many rounds there can be: each that is repeated has left out one content more, of those that lie there or serve.
    fn most_rounds(&self, survey: &Survey) -> usize {
        let files: usize = survey.groups.iter().map(|group| group.files().len()).sum();
        files + self.sonames.all_served().count() + 1
    }

    fn round<'a>(&mut self, rounds: &mut Rounds<'a>) -> Result<Round<'a>, StartError> {
        let (survey, config) = (rounds.survey, rounds.config);
        let is_start = rounds.kind == PassKind::Start;
        let Some((candidates, mut plan)) = self.plan(rounds) else {
            return Ok(Round::Again);
        };
        let claims = std::mem::take(&mut plan.claims);
        let Opened { mut ready, is_complete } = self.open_all(claims, survey, config);
        rounds.took_time |= !is_complete || ready.iter().any(|ready| self.instances.get(&ready.key).is_none());
        if self.is_ending() {
            return Ok(Round::Over(PassEnd::Done));
        }
        if is_start {
            self.require(config, &ready, survey, &plan)?;
        }
        let is_complete = is_complete && self.init_all(&ready, config, &mut rounds.made);
        if self.is_ending() {
            return Ok(Round::Over(PassEnd::Done));
        }
        if !is_complete {
            return Ok(Round::Again);
        }
        if is_start {
            self.require(config, &ready, survey, &plan)?;
        } else if let Some(is_reread) = self.changed_meanwhile(rounds, &candidates) {
            return Ok(Round::Over(PassEnd::Changed { is_reread }));
        }
        Ok(match self.link_all(survey, &mut ready, is_start) {
            false => Round::Again,
            true => Round::Ready(Decided {
                candidates,
                plan,
                ready,
            }),
        })
    }

    /// What should serve, and who gets which command; nothing where newcomers lose theirs, and the pass is to plan again.
    fn plan<'a>(&mut self, rounds: &Rounds<'a>) -> Option<(Vec<Candidate>, Plan<'a>)> {
        let survey = rounds.survey;
        let Desired {
            candidates,
            other_contents,
        } = match rounds.kind {
            PassKind::Start => Desired {
                candidates: at_start(survey, &self.tried),
                other_contents: Vec::new(),
            },
            PassKind::Running | PassKind::Last => while_running(survey, &self.sonames, &self.tried, rounds.config),
        };
        self.reported
            .other_contents(&survey.directory, &other_contents, &self.status);
        self.decided.other_contents = other_contents;
        let plan = resolve(&candidates, survey, rounds.config);
        (!self.defer_losers(&candidates, &plan)).then_some((candidates, plan))
    }

    /// A newcomer that does not get its commands is turned away, and what serves goes on. Returns whether there was one.
    fn defer_losers(&mut self, candidates: &[Candidate], plan: &Plan<'_>) -> bool {
        let losers = plan.losing_newcomers(candidates, &self.sonames);
        self.reported.turned_away(plan, &losers, candidates, &self.status);
        losers.iter().for_each(|loser| self.tried.defer(*loser));
        for unserved in &plan.unserved {
            let candidate = candidates.iter().find(|candidate| unserved.is_of(candidate));
            let digest = candidate
                .and_then(Candidate::digest)
                .filter(|digest| losers.contains(digest));
            self.decided
                .turned_away
                .extend(digest.map(|digest| (digest, unserved.refusal.clone())));
        }
        !losers.is_empty()
    }

    /// Whether what should serve was changed while it was made ready; if so, whether the configuration was, and is reread. A
    /// link that was moved or removed meanwhile is the operator's word on what had come by then: none of it is new any more.
    fn changed_meanwhile(&mut self, rounds: &Rounds<'_>, candidates: &[Candidate]) -> Option<bool> {
        let survey = rounds.survey;
        let moved: Vec<&Candidate> = candidates
            .iter()
            .filter(|candidate| candidate.takes_link && !is_link_as_surveyed(survey, &candidate.soname))
            .collect();
        let groups = survey.groups.iter();
        groups
            .filter(|group| moved.iter().any(|moved| moved.soname == group.soname))
            .for_each(|group| self.tried.note_all(group));
        if !moved.is_empty() {
            return Some(false);
        }
        if !rounds.took_time || rounds.kind == PassKind::Last {
            return None;
        }
        if self.reread(false) {
            return Some(true);
        }
        let fresh = self.survey()?;
        self.observe_links(&fresh);
        let now = while_running(&fresh, &self.sonames, &self.tried, &self.config).candidates;
        let is_same = now.len() == candidates.len() && now.iter().zip(candidates).all(|(now, then)| now.is_same(then));
        (!is_same).then_some(false)
    }

    /// Puts in force what was decided, says so, and takes note of what lay there.
    fn put_in_force(&mut self, decided: Decided<'_>, rounds: &Rounds<'_>) {
        let (survey, is_start) = (rounds.survey, rounds.kind == PassKind::Start);
        let Decided {
            candidates,
            plan,
            ready,
        } = decided;
        self.reported.plan(&plan, &self.status);
        self.decided.unserved = plan.unserved.iter().map(PluginReport::from).collect();
        let removed = self.publish(survey, &candidates, ready, &rounds.made, is_start);
        let outcome = Outcome {
            survey,
            candidates: &candidates,
            tried: &self.tried,
            unasked: &plan.unasked,
        };
        for (soname, before) in &removed {
            let serves = self.sonames.served(soname).map(|now| &*now.admitted);
            let why = outcome.why(&before.admitted, serves);
            self.status.record(Change::Removed {
                id: VersionId::of(before),
                soname: soname.clone(),
                reason: why.text,
            });
        }
        let sonames = &self.sonames;
        let serving = |soname: &str| sonames.served(soname).map(|served| &*served.admitted);
        self.reported.idle(outcome, is_start, serving, &self.status);
        survey.groups.iter().for_each(|group| self.tried.note_judged(group));
        self.first_lines = FirstLines::of(&candidates);
        self.decided.candidates = candidates;
        self.decided.unasked = plan.unasked;
    }
}

/// Whether the link at a soname is still as it was surveyed.
fn is_link_as_surveyed(survey: &Survey, soname: &str) -> bool {
    if survey.undecided.contains(soname) {
        return true; // where it led was not seen
    }
    let now = links::target(&survey.directory.join(soname));
    now.as_deref() == survey.link(soname)
}
