//! Decides which reasons the host that runs has and a start would not: why something does not serve now, for `host check`. Pure.

use plugin_record::Refusal;

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::selection::idle::Idle;
use crate::status::report::{FileReport, Report, State};
use crate::status::snapshot::{Lack, View};

/// Why something does not serve in the host that runs, where a start would have no such reason.
pub(super) enum OnlyNow<'a> {
    Refused(&'a FileReport, &'a Refusal),
    Unavailable(&'a Lack),
    Idle(&'a FileReport, &'a Idle),
}

impl<'a> OnlyNow<'a> {
    /// Whether it is no more than a decision of the operator's.
    pub(super) fn is_harmless(&self) -> bool {
        matches!(self, OnlyNow::Idle(..))
    }

    /// The file that it is about, if it is about one.
    pub(super) fn file(&self) -> Option<&'a FileReport> {
        match self {
            OnlyNow::Refused(file, _) | OnlyNow::Idle(file, _) => Some(file),
            OnlyNow::Unavailable(_) => None,
        }
    }

    /// Prints what would mend it.
    pub(super) fn print_cure(&self) -> Result<(), Failure> {
        match self {
            OnlyNow::Refused(file, refusal) => output::cures(&file.title(), [*refusal]),
            OnlyNow::Unavailable(lack) => {
                output::line(&format!("what {} needs:\n  {}", lack.of.file, lack.unavailable.cure))
            }
            OnlyNow::Idle(file, idle) => output::line(&format!(
                "{} does not serve now: {}\n    {}",
                file.title(),
                idle.text,
                idle.cure
            )),
        }
    }
}

/// What a host that runs refuses, lacks, or leaves out, and a start would not.
pub(super) fn only_now<'a>(view: &'a View, report: &Report) -> Vec<OnlyNow<'a>> {
    let next = |file: &FileReport| {
        let name = file.file.file_name();
        report
            .files
            .iter()
            .find(|other| other.file.file_name() == name && other.digest == file.digest)
    };
    let mut all = Vec::new();
    for file in view.files.iter().filter(|file| file.link.is_none()) {
        let next = next(file);
        for refusal in &file.refusals {
            let is_next = next.is_some_and(|next| next.refusals.contains(refusal));
            let is_of_plugin = report
                .plugins
                .iter()
                .any(|plugin| plugin.refusal.code == refusal.code && Some(&plugin.plugin) == file.plugin.as_ref());
            if !is_next && !is_of_plugin {
                all.push(OnlyNow::Refused(file, refusal));
            }
        }
        if let (Some(idle), Some(next)) = (&file.idle, next)
            && next.state == State::Serving
        {
            all.push(OnlyNow::Idle(file, idle));
        }
    }
    let lacks = view.unavailable.iter();
    let is_next = |lack: &&Lack| {
        let mut files = report.files.iter().filter_map(|file| file.unavailable.as_ref());
        files.any(|unavailable| unavailable.code == lack.unavailable.code)
    };
    all.extend(lacks.filter(|lack| !is_next(lack)).map(OnlyNow::Unavailable));
    all
}
