//! Decides when passes are made and how many: until one ends with what is asked for by then. Does not decide what a pass
//! does, which is `pass`'s part.

use std::time::Instant;

use super::events::{Event, Events, Places, Request};
use super::pass::{PassEnd, PassKind};
use super::state::Manager;
use crate::directory::survey::Survey;
use crate::status::change::Change;

/// How many passes there are at most before what was made ready is put in force. So often the operator may change his mind
/// meanwhile; a directory that never stops changing must keep nothing from serving, and no handler from draining.
const MOST_PASSES: u32 = 8;

impl Manager {
    /// Reconciles whenever there is a reason to, until the host ends.
    pub(super) fn follow(mut self, mut events: Events) {
        tracing::info!(directory = %self.config.plugins.dir.display(), "following");
        loop {
            let poll = self.next_poll(&mut events);
            let reconcile = [poll, self.stability.next_check()].into_iter().flatten().min();
            let drain = self.drain_again(Instant::now());
            let deadline = [reconcile, drain].into_iter().flatten().min();
            let news = events.next(deadline, &mut self.stability, &self.runtime);
            if self.is_ending() {
                let last = news.into_iter().chain(events.close());
                last.for_each(|event| self.note_retired(event));
                return;
            }
            let mut is_time = reconcile.is_some_and(|at| Instant::now() >= at);
            let mut replies = Vec::new();
            for event in news {
                is_time |= !matches!(event, Event::Due);
                match event {
                    Event::Request(Request::Reload(reply)) => replies.push(reply),
                    event => self.note_retired(event),
                }
            }
            if self.drain() || is_time {
                self.reconcile(!replies.is_empty());
                for reply in replies {
                    let _ = reply.send(()); // the answer may not be wanted
                }
            } else if let Some(at) = reconcile {
                self.stability.check_by(at);
            }
        }
    }

    fn note_retired(&self, event: Event) {
        if let Event::InstanceEnded(Some(retired)) = event {
            self.status.record(retired.into());
        }
    }

    /// Watches what is to be watched. Gives when to make a pass without an event: at once where something is watched anew, for
    /// no event reported what had changed before.
    fn next_poll(&mut self, events: &mut Events) -> Option<Instant> {
        let is_watching = self.config.plugins.watch;
        let places = is_watching.then(|| Places::new(&self.config.plugins.dir, &self.watched));
        // It may start a thread, and wait for it: not while start-up code holds the dynamic linker's lock.
        let is_free = self.instances.stuck().is_none();
        let is_unheard = is_free && events.watch(places, self.config.plugins.poll, &mut self.stability);
        let now = Instant::now();
        is_watching.then(|| match is_unheard {
            true => now,
            false => now + self.config.plugins.poll,
        })
    }

    /// Makes what runs what should run.
    fn reconcile(&mut self, is_asked: bool) {
        let mut is_reread = self.reread(is_asked);
        let Some((survey, reread_meanwhile)) = self.passes() else {
            let error = self.reported.directory_error().unwrap_or_default();
            self.status
                .view(self.view_without_survey(&self.status.last_view(), error));
            return;
        };
        is_reread |= reread_meanwhile;
        self.retire(&survey);
        self.finish(&survey);
        if is_reread {
            let unsettled = survey.unsettled + self.sonames.undecided();
            self.status.record(Change::ConfigurationReread { unsettled });
        }
    }

    /// Passes until one puts in force what is asked for by then: the operator's last word counts. Gives the last survey, and
    /// whether the configuration was reread meanwhile; nothing where the directory can't be read.
    fn passes(&mut self) -> Option<(Survey, bool)> {
        let mut is_reread = false;
        let mut last = None;
        for left in (0..MOST_PASSES).rev() {
            self.unavailable.clear();
            let survey = self.survey()?;
            self.reported.files(&survey, &self.config, &self.status);
            self.observe_links(&survey);
            let kind = match left {
                0 => PassKind::Last,
                _ => PassKind::Running,
            };
            // Nothing is required of a host that runs.
            let end = self.pass(&survey, kind);
            last = Some(survey);
            match end {
                Ok(PassEnd::Changed { is_reread: again }) => is_reread |= again,
                _ if left > 0 => break,
                _ => {}
            }
            if left == 0 {
                self.stability.check_by(Instant::now()); // what has changed meanwhile comes next
            }
        }
        last.map(|survey| (survey, is_reread))
    }

    /// The end of a pass: publishes what is served and refused now, tells what is unavailable, and has it tried again.
    pub(super) fn finish(&mut self, survey: &Survey) {
        self.note_unjudged(survey);
        self.status.view(self.view(survey));
        let unavailable = std::mem::take(&mut self.unavailable);
        match unavailable.is_empty() {
            true => self.back_off.reset(),
            false => self.stability.check_by(Instant::now() + self.back_off.wait()),
        }
        self.reported.unavailable(unavailable, &self.status);
    }
}
