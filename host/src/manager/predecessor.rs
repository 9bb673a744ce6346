//! Decides whether an init may have failed for what another version of its plugin holds, which is alive beside it: an address, or a
//! lock. An upgrade makes the newcomer while its predecessor serves, so both need what only one can have. Pure: by the words that
//! the plugin has given as its reason, for nothing else of it crosses.

use plugin_record::{Code, Refusal};
use rustix::io::Errno;
use semver::Version;

use crate::status::report::State;

/// Another version of the plugin that is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Predecessor {
    pub(super) version: Version,
    /// [`State::Serving`], [`State::Draining`] or [`State::Standby`].
    pub(super) state: State,
}

/// What a reason says is taken: words of it in lower case, and errors whose number Rust puts behind the system's words.
const TAKEN: [(&str, &[&str], &[Errno]); 2] = [
    (
        "the address",
        &["address already in use", "address in use", "addrinuse"],
        &[Errno::ADDRINUSE],
    ),
    (
        "the lock",
        &[
            "resource temporarily unavailable",
            "would block",
            "wouldblock",
            "is locked",
            "already locked",
        ],
        &[Errno::WOULDBLOCK],
    ),
];

/// Adds to a failed init's cure that it may be the predecessor's doing, if it may.
pub(super) fn with_predecessor(mut refusal: Refusal, plugin: &str, predecessors: &[Predecessor]) -> Refusal {
    let Some(taken) = taken(&refusal) else {
        return refusal;
    };
    // The one that serves is not let go without need; it is the one that most likely holds it.
    let of_state = |state| predecessors.iter().find(move |predecessor| predecessor.state == state);
    let states = [State::Serving, State::Draining, State::Standby];
    let Some(Predecessor { version, state }) = states.into_iter().find_map(of_state) else {
        return refusal;
    };
    let shut_down = "take that version's file away, which shuts it down, then send SIGHUP to the host";
    let (state, what_helps) = match state {
        State::Draining => ("is draining", shut_down),
        State::Standby => ("waits in standby", shut_down),
        _ => (
            "serves meanwhile",
            "let the plugin share it or wait for it after init; or take the plugin away (remove its link), send SIGHUP to the \
             host and install again, with a gap in service",
        ),
    };
    refusal.cure = format!("# {taken} may be held by {plugin} {version}, which {state}: {what_helps}");
    refusal
}

/// What the reason says is taken.
fn taken(refusal: &Refusal) -> Option<&'static str> {
    if refusal.code != Code::LoadInit {
        return None;
    }
    let reason = refusal.plugin.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    let has_number = |errors: &[Errno]| {
        let mut numbers = errors
            .iter()
            .map(|error| format!("(os error {})", error.raw_os_error()));
        numbers.any(|number| reason.contains(&number))
    };
    let found = TAKEN
        .iter()
        .find(|(_, words, errors)| says(words) || has_number(errors));
    found.map(|(taken, ..)| *taken)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn failed(reason: &str) -> Refusal {
        Refusal::new(Code::LoadInit, "init", "a handler", reason, "# mend it")
    }

    fn predecessor(version: &str, state: State) -> Predecessor {
        let version = version.parse().expect("a version");
        Predecessor { version, state }
    }

    #[test]
    fn what_one_alone_can_have_may_be_the_predecessor_s() {
        let serving = [predecessor("1.0.0", State::Serving)];
        let of_system = |errno: Errno| io::Error::from(errno).to_string();
        for reason in [
            &*of_system(Errno::ADDRINUSE),
            &of_system(Errno::WOULDBLOCK),
            "127.0.0.1:9000: Address already in use",
            "database is locked",
            "lock acquisition failed because the operation would block",
        ] {
            let cure = with_predecessor(failed(reason), "x", &serving).cure;
            assert!(cure.starts_with("# ") && cure.contains("x 1.0.0"), "{reason}: {cure}");
        }
        for reason in ["no such table: users", "told to fail", &of_system(Errno::ACCESS)] {
            assert_eq!(
                with_predecessor(failed(reason), "x", &serving).cure,
                "# mend it",
                "{reason}"
            );
        }
    }

    #[test]
    fn it_is_the_one_that_serves_and_none_where_none_is_alive() {
        let taken = || failed("database is locked");
        assert_eq!(with_predecessor(taken(), "x", &[]).cure, "# mend it");
        let all = [
            predecessor("1.0.0", State::Standby),
            predecessor("1.1.0", State::Draining),
            predecessor("1.2.0", State::Serving),
        ];
        for (alive, named) in [(&all[..1], "1.0.0"), (&all[..2], "1.1.0"), (&all, "1.2.0")] {
            let cure = with_predecessor(taken(), "x", alive).cure;
            assert!(cure.contains(named), "{cure}");
        }
        let other = Refusal::new(
            Code::LoadTimeout,
            "init",
            "an answer",
            "database is locked",
            "# mend it",
        );
        assert_eq!(with_predecessor(other, "x", &all).cure, "# mend it");
    }
}
