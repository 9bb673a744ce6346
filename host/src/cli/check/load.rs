//! `host check --load`: opens what was admitted in processes of their own, as a start would.

use std::sync::Arc;

use super::Admissions;
use crate::admission::admit::Admitted;
use crate::config::Config;
use crate::directory::survey::Survey;
use crate::process::async_runtime::AsyncRuntime;
use crate::runtime::load_check::{LoadCheck, LoadChecks, NoProgram, Output};
use crate::selection::candidate::Candidate;
use crate::selection::command_claims::Plan;
use crate::selection::desired_version::at_start;
use crate::selection::table_for::{TableFor, config_json};
use crate::selection::tried::Tried;
use crate::status::report::{Report, State};
use crate::unavailable::Unavailable;

/// Opens every content that is admitted, once; with the configuration that a start would give it, if it would.
pub(super) fn open(
    report: &mut Report,
    admitted: &Admissions,
    survey: &Survey,
    plan: &Plan<'_>,
    config: &Config,
) -> Result<(), NoProgram> {
    let mut trials: Vec<(Option<usize>, LoadCheck)> = Vec::new();
    for file in &report.files {
        let Some(admitted) = file.digest.as_ref().and_then(|digest| admitted.get(digest)) else {
            continue;
        };
        let digest = admitted.digest();
        if trials.iter().any(|(_, trial)| trial.admitted.digest() == digest) {
            continue;
        }
        let is_foreign = file.file.parent() != Some(&survey.directory);
        let claim = plan.claims.iter().position(|claim| claim.admitted.digest() == digest);
        let claim = claim.filter(|_| !is_foreign);
        let config = match claim {
            Some(at) => Some(config_json(plan.claims[at].table)),
            None if is_foreign => foreign_config(admitted, survey, config),
            None => None,
        };
        let trial = LoadCheck {
            admitted: Arc::clone(admitted),
            file: file.file.clone(),
            config,
        };
        trials.push((claim, trial));
    }
    // What a start would open, in its order, and all in one process, as there: what they take, of static TLS for one, they take
    // together. What no start would open beside it has a process of its own for that.
    trials.sort_by_key(|(claim, trial)| (claim.is_none(), *claim, trial.admitted.static_tls().is_some()));
    let together =
        |(claim, trial): &(Option<usize>, LoadCheck)| claim.is_some() || trial.admitted.static_tls().is_none();
    let of_start = trials.iter().take_while(|(claim, _)| claim.is_some()).count();
    let shared = trials.iter().take_while(|trial| together(trial)).count();
    let trials: Vec<LoadCheck> = trials.into_iter().map(|(_, trial)| trial).collect();
    let children = LoadChecks::here(Output::Shown)?;
    let runtime = AsyncRuntime::start();
    let run = |trials: &[LoadCheck]| match &runtime {
        Ok(runtime) => children.run(trials, &[], config.plugins.init_timeout, runtime),
        Err(error) => vec![Err(Unavailable::thread("load", error).into()); trials.len()],
    };
    let mut verdicts = run(&trials[..of_start]);
    verdicts.extend(run(&trials[of_start..shared]));
    trials[shared..].chunks(1).for_each(|trial| verdicts.extend(run(trial)));
    for (trial, verdict) in trials.iter().zip(&verdicts) {
        let digest = trial.admitted.digest().to_string();
        let files = report
            .files
            .iter_mut()
            .filter(|file| file.digest.as_ref() == Some(&digest));
        files
            .filter(|file| file.state != State::Refused)
            .for_each(|file| file.opened(verdict));
    }
    Ok(())
}

/// The configuration that a file from elsewhere would get where its table is for it: a file that no directory gives a place
/// is checked with what it would meet there.
fn foreign_config(admitted: &Arc<Admitted>, survey: &Survey, config: &Config) -> Option<String> {
    let candidates = at_start(survey, &Tried::default());
    let table = TableFor::of_newcomer(&Candidate::newcomer(admitted), &candidates, config);
    table.own().map(|table| config_json(Some(table)))
}
