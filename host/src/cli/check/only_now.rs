//! Decides which reasons the host that runs has and a start would not: why something does not serve now, for `host check`. Pure.

use std::path::Path;

use plugin_record::Refusal;

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
            let is_of_plugin = report.plugins.iter().any(|plugin| plugin.refusal == *refusal);
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
    let is_next = |lack: &&Lack| report.files.iter().any(|file| has_lack(file, lack));
    all.extend(lacks.filter(|lack| !is_next(lack)).map(OnlyNow::Unavailable));
    all
}

/// Whether a start would lack the same for a file.
fn has_lack(file: &FileReport, lack: &Lack) -> bool {
    let code = file.unavailable.as_ref().map(|unavailable| unavailable.code);
    let is_version = lack.of.plugin.is_some() && file.plugin == lack.of.plugin && file.version == lack.of.version;
    code == Some(lack.unavailable.code) && (is_version || file.file == Path::new(&lack.of.file))
}

#[cfg(test)]
mod tests {
    use plugin_record::Code;

    use super::*;
    use crate::status::change::FileId;
    use crate::status::report::PluginReport;
    use crate::unavailable::{Shortage, Unavailable};

    fn file(name: &str) -> FileReport {
        FileReport {
            plugin: Some(name.to_owned()),
            version: Some("1.0.0".to_owned()),
            ..FileReport::candidate(format!("lib{name}.so.1.0.0").into())
        }
    }

    fn report(files: Vec<FileReport>, plugins: Vec<PluginReport>) -> Report {
        Report {
            files,
            plugins,
            unversioned: Vec::new(),
            misnamed: Vec::new(),
        }
    }

    #[test]
    fn a_lack_is_hidden_by_the_same_of_the_same_file_alone() {
        let memory = Unavailable::new(Shortage::Memory, "copy", "none");
        let of = FileId::from(&file("one"));
        let unavailable = memory.clone();
        let view = View {
            unavailable: vec![Lack { of, unavailable }],
            ..View::default()
        };
        for (name, left) in [("one", 0), ("other", 1)] {
            let mut next = file(name);
            next.unavailable(&memory);
            assert_eq!(only_now(&view, &report(vec![next], Vec::new())).len(), left, "{name}");
        }
    }

    #[test]
    fn a_refusal_is_hidden_by_the_same_refusal_alone() {
        let refusal = |found: &str| {
            Refusal::new(
                Code::CommandTaken,
                "command 0x02",
                "x serves it",
                found,
                "# take another",
            )
        };
        let mut refused = file("one");
        refused.refuse(&[refusal("1.0.0 claims it")]);
        let view = View {
            files: vec![refused],
            ..View::default()
        };
        for (found, left) in [("1.0.0 claims it", 0), ("1.1.0 claims it", 1)] {
            let plugin = PluginReport {
                plugin: "one".to_owned(),
                soname: None,
                refusal: refusal(found),
            };
            assert_eq!(
                only_now(&view, &report(Vec::new(), vec![plugin])).len(),
                left,
                "{found}"
            );
        }
    }
}
