//! Decides whether a start may go on: what the configuration requires must serve. Logs why it does not; opens nothing.

use super::open::Ready;
use super::start_error::StartError;
use super::state::Manager;
use crate::config::Config;
use crate::directory::survey::Survey;
use crate::selection::command_claims::Plan;

impl Manager {
    /// Whether everything that is required is among what is ready so far; gives all reasons if not.
    ///
    /// # Errors
    /// When something is missing, or a library's start-up code never returned.
    pub(super) fn require(
        &mut self,
        config: &Config,
        ready: &[Ready<'_>],
        survey: &Survey,
        plan: &Plan<'_>,
    ) -> Result<(), StartError> {
        if let Some(plugin) = self.instances.stuck() {
            return Err(StartError::Stuck { plugin });
        }
        let with_table = ready.iter().filter(|ready| ready.claim.table.is_some());
        let good: Vec<&str> = with_table.map(|ready| ready.claim.candidate.plugin.as_str()).collect();
        let tables = config.plugin.iter();
        let required = tables.filter(|(_, table)| table.required && table.enabled);
        let missing: Vec<String> = required
            .map(|(name, _)| name.clone())
            .filter(|name| !good.contains(&name.as_str()))
            .collect();
        if missing.is_empty() || self.runtime.is_stopping() {
            return Ok(());
        }
        self.reported.files(survey, config, &self.status);
        self.reported.plan(plan, &self.status);
        // It may be no fault of theirs.
        self.note_unjudged(survey);
        let unavailable = std::mem::take(&mut self.unavailable);
        self.reported.unavailable(unavailable, &self.status);
        Err(StartError::Required { plugins: missing })
    }
}
