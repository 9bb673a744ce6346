//! Decides what a running host has made of an installed file, by the host's status. Only what the host says of this content counts,
//! with the soname's link and the configuration as they are now: the status may be older than the installation. Pure.

use std::path::{Path, PathBuf};

use plugin_record::Refusal;
use semver::Version;

use crate::selection::idle::{Idle, Reason};
use crate::status::report::{FileReport, State};
use crate::status::snapshot::View;
use crate::unavailable::{Shortage, Unavailable};

/// An installed file as it lies in the plugin directory now.
#[derive(Clone, Debug)]
pub struct Placed<'a> {
    /// The plugin's name.
    pub plugin: &'a str,
    /// The file's real name.
    pub file: &'a str,
    /// Its soname.
    pub soname: &'a str,
    /// SHA-256 of its content, in hexadecimal.
    pub digest: &'a str,
    /// Whether the soname's link leads to it.
    pub is_linked: bool,
    /// SHA-256 of the configuration's text, in hexadecimal, if it could be read.
    pub configuration: Option<String>,
    /// What the soname's link says, if there is one, as the status has it.
    pub link: Option<PathBuf>,
}

/// What the host has made of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Nothing yet, for this reason.
    Pending(Pending),
    /// It serves, in the place of these other instances of its plugin that are alive.
    Serves(Vec<(Version, State)>),
    /// It would serve if its link led to it.
    NeedsLink,
    /// It has no fault, and does not serve for another reason than its link: the configuration keeps it out, or a regular file
    /// stands at its soname.
    KeptOut(Idle),
    /// The host does not take it.
    Refused(Vec<Refusal>),
}

/// Why there is no outcome yet.
#[derive(Clone, Debug, PartialEq)]
pub enum Pending {
    /// The host has not finished a look at the directory since.
    NotSeen,
    /// The machine lacks something, and the host tries again.
    Unavailable(Unavailable),
}

/// What the host has made of it, by its last status.
pub fn outcome(view: &View, placed: &Placed<'_>) -> Outcome {
    // What the host says by an older configuration may be otherwise by this one.
    if let (Some(read), Some(now)) = (&view.configuration_digest, &placed.configuration)
        && read != now
    {
        return Outcome::Pending(Pending::NotSeen);
    }
    let entry = |name: &str| {
        view.files
            .iter()
            .find(|report| report.file.as_path() == Path::new(name))
    };
    let link = entry(placed.soname).and_then(|report| report.link.as_ref());
    let Some(own) = entry(placed.file) else {
        return Outcome::Pending(Pending::NotSeen);
    };
    let is_own = own.digest.as_deref() == Some(placed.digest);
    // What the host itself has moved the link for serves before the host sees the link anew.
    let serves = is_own && own.state == State::Serving && own.refusals.is_empty() && placed.is_linked;
    if serves {
        return Outcome::Serves(others(view, placed));
    }
    if link != placed.link.as_ref() {
        return Outcome::Pending(Pending::NotSeen);
    }
    if let (State::Unavailable, Some(lack)) = (own.state, &own.unavailable) {
        return match lack.code {
            // It may be ours to give.
            Shortage::Link if !placed.is_linked => Outcome::NeedsLink,
            _ => Outcome::Pending(Pending::Unavailable(lack.clone())),
        };
    }
    if !is_own {
        return Outcome::Pending(Pending::NotSeen);
    }
    match own.state {
        // It serves with the configuration that it had before.
        State::Serving if !own.refusals.is_empty() => Outcome::Refused(own.refusals.clone()),
        State::Serving if !placed.is_linked && view_has_no_file_at(view, placed.soname) => Outcome::NeedsLink,
        State::Serving => Outcome::Serves(others(view, placed)),
        State::Refused => Outcome::Refused(own.refusals.clone()),
        State::Draining | State::Standby | State::Disabled => idle(view, own, placed),
        State::Candidate | State::Admitted | State::Unavailable => Outcome::Pending(Pending::NotSeen),
    }
}

/// Whether nothing but a link, or nothing, stands at a soname.
fn view_has_no_file_at(view: &View, soname: &str) -> bool {
    let mut files = view.files.iter();
    !files.any(|report| report.file.as_path() == Path::new(soname) && report.link.is_none())
}

fn idle(view: &View, own: &FileReport, placed: &Placed<'_>) -> Outcome {
    let pending = Outcome::Pending(Pending::NotSeen);
    let Some(idle) = own.idle.clone() else {
        return pending;
    };
    match idle.reason {
        // What failed is another version, for which the link stands, or would: this one was not tried.
        Reason::OtherVersion | Reason::LinkRemoved | Reason::SonameRefused | Reason::Failed if !placed.is_linked => {
            Outcome::NeedsLink
        }
        // It is deferred: it has its chance in the next pass.
        Reason::OtherVersion | Reason::LinkRemoved | Reason::SonameRefused | Reason::Failed => pending,
        Reason::ClaimLost => {
            let reasons: Vec<Refusal> = view.reasons(placed.plugin).cloned().collect();
            match reasons.is_empty() {
                true => Outcome::KeptOut(idle),
                false => Outcome::Refused(reasons),
            }
        }
        Reason::Disabled | Reason::NotDiscovered | Reason::OtherLine | Reason::SonameIsFile | Reason::PreRelease => {
            Outcome::KeptOut(idle)
        }
    }
}

/// The other instances of its plugin that are alive.
fn others(view: &View, placed: &Placed<'_>) -> Vec<(Version, State)> {
    let of_soname = view.instances.iter().filter(|instance| {
        instance.plugin == placed.plugin && instance.soname == placed.soname && instance.digest != placed.digest
    });
    of_soname
        .map(|instance| (instance.version.clone(), instance.state))
        .collect()
}

#[cfg(test)]
mod tests {
    use plugin_record::Code;

    use super::*;
    use crate::status::snapshot::InstanceStatus;

    const FILE: &str = "libx.so.1.1.0";
    const LINK: &str = "libx.so.1";
    const DIGEST: &str = "d1";

    fn report(state: State) -> FileReport {
        FileReport {
            plugin: Some("x".to_owned()),
            version: Some("1.1.0".to_owned()),
            digest: Some(DIGEST.to_owned()),
            state,
            ..FileReport::candidate(FILE.into())
        }
    }

    fn idle_for(reason: Reason) -> FileReport {
        let (text, cure) = (String::new(), String::new());
        FileReport {
            idle: Some(Idle { reason, text, cure }),
            ..report(State::Standby)
        }
    }

    /// The status of a directory with this file, whose link leads there.
    fn view(own: FileReport, link: Option<&str>) -> View {
        let link = link.map(|to| FileReport {
            link: Some(to.into()),
            ..FileReport::candidate(LINK.into())
        });
        View {
            files: link.into_iter().chain([own]).collect(),
            ..View::default()
        }
    }

    fn placed(link: Option<&str>) -> Placed<'static> {
        Placed {
            plugin: "x",
            file: FILE,
            soname: LINK,
            digest: DIGEST,
            is_linked: link == Some(FILE),
            configuration: None,
            link: link.map(PathBuf::from),
        }
    }

    fn refusal() -> Refusal {
        Refusal::new(Code::LoadInit, "init", "a handler", "none", "# mend it")
    }

    /// The outcome where status and directory agree.
    fn of(own: FileReport, link: Option<&str>) -> Outcome {
        outcome(&view(own, link), &placed(link))
    }

    const PENDING: Outcome = Outcome::Pending(Pending::NotSeen);

    #[test]
    fn what_the_host_says_of_other_content_or_another_link_is_no_outcome() {
        assert_eq!(outcome(&View::default(), &placed(None)), PENDING);
        let mut other = report(State::Refused);
        other.digest = Some("d0".to_owned());
        assert_eq!(of(other, None), PENDING);
        let mut refused = report(State::Refused);
        refused.refusals = vec![refusal()];
        let old = view(refused.clone(), Some("libx.so.1.0.0"));
        assert_eq!(outcome(&old, &placed(Some(FILE))), PENDING, "its link was moved since");
        assert_eq!(of(refused, Some(FILE)), Outcome::Refused(vec![refusal()]));
        assert_eq!(of(report(State::Candidate), None), PENDING);
        let mut edited = view(report(State::Serving), Some(FILE));
        edited.configuration_digest = Some("before".to_owned());
        let mut placed = placed(Some(FILE));
        placed.configuration = Some("now".to_owned());
        assert_eq!(outcome(&edited, &placed), PENDING, "the host has not read it yet");
    }

    #[test]
    fn it_serves_where_the_link_leads_to_it_also_before_the_host_has_seen_the_link() {
        let mut serving = view(report(State::Serving), Some("libx.so.1.0.0"));
        serving.instances.push(InstanceStatus {
            plugin: "x".to_owned(),
            soname: LINK.to_owned(),
            version: Version::new(1, 0, 0),
            digest: "d0".to_owned(),
            state: State::Draining,
            commands: Vec::new(),
            file: None,
        });
        let others = vec![(Version::new(1, 0, 0), State::Draining)];
        assert_eq!(outcome(&serving, &placed(Some(FILE))), Outcome::Serves(others));
        assert_eq!(
            of(report(State::Serving), None),
            Outcome::NeedsLink,
            "the next start would not know"
        );
        let mut at_soname = view(report(State::Serving), None);
        at_soname.files.push(FileReport::candidate(LINK.into()));
        assert_eq!(
            outcome(&at_soname, &placed(None)),
            Outcome::Serves(Vec::new()),
            "a file is no link"
        );
        let mut before = report(State::Serving);
        before.refusals = vec![refusal()];
        assert_eq!(
            of(before, Some(FILE)),
            Outcome::Refused(vec![refusal()]),
            "of its configuration"
        );
    }

    #[test]
    fn only_what_waits_for_its_link_needs_it() {
        for reason in [Reason::OtherVersion, Reason::LinkRemoved, Reason::SonameRefused] {
            assert_eq!(
                of(idle_for(reason), Some("libx.so.1.0.0")),
                Outcome::NeedsLink,
                "{reason:?}"
            );
            assert_eq!(of(idle_for(reason), Some(FILE)), PENDING, "{reason:?}");
        }
        for reason in [
            Reason::Disabled,
            Reason::OtherLine,
            Reason::NotDiscovered,
            Reason::SonameIsFile,
        ] {
            assert!(matches!(of(idle_for(reason), None), Outcome::KeptOut(_)), "{reason:?}");
        }
        let lost = view(idle_for(Reason::ClaimLost), None);
        assert!(matches!(outcome(&lost, &placed(None)), Outcome::KeptOut(_)));
        let plugins = vec![crate::status::report::PluginReport {
            plugin: "x".to_owned(),
            soname: None,
            refusal: refusal(),
        }];
        let lost = View { plugins, ..lost };
        assert_eq!(outcome(&lost, &placed(None)), Outcome::Refused(vec![refusal()]));
    }

    #[test]
    fn what_the_machine_lacks_is_waited_for_but_the_link_may_be_ours_to_give() {
        let lacks = |code| {
            let lack = Unavailable::new(code, "it", "none");
            let mut report = report(State::Unavailable);
            report.unavailable = Some(lack.clone());
            (report, Outcome::Pending(Pending::Unavailable(lack)))
        };
        let (report, waits) = lacks(Shortage::Link);
        assert_eq!(of(report.clone(), None), Outcome::NeedsLink);
        assert_eq!(of(report, Some(FILE)), waits);
        let (mut report, waits) = lacks(Shortage::Memory);
        report.digest = None; // it could not be read
        assert_eq!(of(report, None), waits);
    }
}
