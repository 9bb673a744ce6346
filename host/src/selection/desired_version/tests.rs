//! Which version of a soname serves, case by case, without a file.

use std::time::Duration;

use super::super::fixtures::{
    RunningHost, content, dangling, directory, file, file_at_soname, link, plugin, refusal, short_name,
};
use super::*;
use crate::files::stability::STABLE_FOR;

/// Version and whether it takes the link; of the one soname there is.
fn started(survey: &Survey) -> (Result<String, NoVersion>, bool) {
    started_without(survey, &Tried::default())
}

fn started_without(survey: &Survey, tried: &Tried) -> (Result<String, NoVersion>, bool) {
    let candidates = at_start(survey, tried);
    let [candidate] = candidates.as_slice() else {
        panic!("one soname: {candidates:?}")
    };
    let version = candidate
        .desired
        .as_ref()
        .map(|admitted| admitted.record().version.to_string());
    (version.map_err(|why| *why), candidate.takes_link)
}

fn serves(version: &str) -> Vec<(String, String)> {
    vec![("libx.so.1".to_owned(), version.to_owned())]
}

#[test]
fn at_start_the_link_decides_or_else_the_highest_release() {
    let [old, new, pre] = ["1.0.0", "1.2.0", "1.3.0-rc.1"].map(|version| plugin("x", version, &[2]));
    let all = || [&old, &new, &pre].map(file);
    assert_eq!(started(&directory(all())), (Ok("1.2.0".to_owned()), true));
    for linked in [&old, &new, &pre] {
        let version = linked.record().version.to_string();
        let survey = directory(all().into_iter().chain([link(linked)]));
        assert_eq!(started(&survey), (Ok(version), false), "also a pre-release");
    }
    let survey = directory([file(&new), file_at_soname(&old)]);
    assert_eq!(started(&survey), (Ok("1.0.0".to_owned()), false));
}

#[test]
fn at_start_nothing_serves_in_place_of_a_refused_link_a_lone_pre_release_or_what_failed() {
    let (old, pre) = (plugin("x", "1.0.0", &[2]), plugin("x", "1.1.0-rc.1", &[2]));
    let survey = directory([file(&old), dangling(&old)]);
    assert_eq!(started(&survey), (Err(NoVersion::Refused), false));
    assert_eq!(started(&directory([file(&pre)])), (Err(NoVersion::PreReleases), true));
    let mut tried = Tried::default();
    tried.fail(old.digest(), refusal());
    let survey = directory([file(&old)]);
    assert_eq!(started_without(&survey, &tried), (Err(NoVersion::Failed), true));
}

#[test]
fn a_newcomer_takes_over_if_it_is_higher_and_a_release() {
    let [old, mid, new, pre] = ["1.0.0", "1.1.0", "1.2.0", "1.3.0-rc.1"].map(|version| plugin("x", version, &[2]));
    let mut host = RunningHost::start(&directory([file(&mid), link(&mid)]), Config::default());
    let lower = [file(&old), file(&mid), link(&mid)];
    assert_eq!(host.pass(&directory(lower)), serves("1.1.0"));
    let higher = directory([file(&mid), file(&new), file(&pre), link(&mid)]);
    let candidates = host.desired(&higher).candidates;
    assert_eq!(candidates[0].digest(), Some(new.digest()));
    assert!(candidates[0].takes_link);
    assert_eq!(host.pass(&higher), serves("1.2.0"));
}

#[test]
fn a_link_moved_by_hand_is_obeyed_and_what_lay_there_is_not_new() {
    let [old, new] = ["1.0.0", "1.1.0"].map(|version| plugin("x", version, &[2]));
    let both = |linked| directory([file(&old), file(&new), link(linked)]);
    let mut host = RunningHost::start(&both(&new), Config::default());
    assert_eq!(host.pass(&both(&old)), serves("1.0.0"));
    // The new one goes and comes again: the roll-back stands.
    assert_eq!(host.pass(&directory([file(&old), link(&old)])), serves("1.0.0"));
    assert_eq!(host.pass(&both(&old)), serves("1.0.0"));
    assert_eq!(host.pass(&both(&new)), serves("1.1.0"));
}

#[test]
fn a_missing_link_may_come_back_and_is_a_removal_if_it_does_not() {
    let [old, new] = ["1.0.0", "1.1.0"].map(|version| plugin("x", version, &[2]));
    let with_link = || directory([file(&old), link(&old)]);
    let without = || directory([file(&old)]);
    let mut host = RunningHost::start(&with_link(), Config::default());
    assert_eq!(host.pass(&without()), serves("1.0.0"));
    host.now += STABLE_FOR / 2;
    assert_eq!(host.pass(&with_link()), serves("1.0.0"), "it came back");
    host.now += STABLE_FOR;
    assert_eq!(host.pass(&without()), serves("1.0.0"), "it is missing anew");
    host.now += STABLE_FOR;
    assert_eq!(host.pass(&without()), []);
    host.now += Duration::from_secs(3600);
    assert_eq!(host.pass(&without()), [], "it stays away");
    // A newcomer that fails changes nothing, also when it goes.
    let newcomer = directory([file(&old), file(&new)]);
    assert_eq!(host.desired(&newcomer).candidates[0].digest(), Some(new.digest()));
    host.tried.fail(new.digest(), refusal());
    assert_eq!(host.pass(&newcomer), []);
    assert_eq!(host.pass(&without()), []);
    host.tried.forget_failures();
    assert_eq!(host.pass(&newcomer), serves("1.1.0"));
}

#[test]
fn a_link_brings_a_removed_plugin_back() {
    let old = plugin("x", "1.0.0", &[2]);
    let mut host = RunningHost::start(&directory([file(&old), link(&old)]), Config::default());
    host.pass(&directory([file(&old)]));
    host.now += STABLE_FOR;
    assert_eq!(host.pass(&directory([file(&old)])), []);
    assert_eq!(host.pass(&directory([file(&old), link(&old)])), serves("1.0.0"));
}

#[test]
fn a_file_that_was_brought_again_without_its_link_serves() {
    let old = plugin("x", "1.0.0", &[2]);
    let mut host = RunningHost::start(&directory([file(&old), link(&old)]), Config::default());
    host.file = 2;
    let again = directory([file(&old)]);
    let candidates = host.desired(&again).candidates;
    assert!(candidates[0].takes_link && !candidates[0].is_linked);
    assert_eq!(host.pass(&again), serves("1.0.0"));
}

#[test]
fn what_never_had_a_link_serves_as_long_as_its_file_is_there() {
    let old = plugin("x", "1.0.0", &[2]);
    let mut host = RunningHost::start(&directory([file(&old)]), Config::default());
    let served = host.sonames.served("libx.so.1").expect("it serves").clone();
    let unlinked = Served {
        is_linked: false,
        ..served
    };
    host.sonames = Sonames::after([("libx.so.1".to_owned(), unlinked, LinkState::Present)], &[]);
    host.now += STABLE_FOR * 2;
    let candidates = host.desired(&directory([file(&old)])).candidates;
    assert_eq!(candidates[0].digest(), Some(old.digest()));
    assert!(!candidates[0].takes_link, "the directory can't be written");
    let gone = host.desired(&directory([])).candidates;
    assert!(gone[0].is_removed());
}

#[test]
fn a_dangling_link_is_damage_and_what_serves_goes_on() {
    let [old, new] = ["1.0.0", "1.1.0"].map(|version| plugin("x", version, &[2]));
    let mut host = RunningHost::start(&directory([file(&old), link(&old)]), Config::default());
    assert_eq!(host.pass(&directory([file(&old), dangling(&old)])), serves("1.0.0"));
    assert_eq!(
        host.pass(&directory([dangling(&old)])),
        serves("1.0.0"),
        "without its file as well"
    );
    // Nothing served there: nothing serves in its place.
    let mut host = RunningHost::start(&directory([]), Config::default());
    let candidates = host.desired(&directory([file(&new), dangling(&new)])).candidates;
    assert_eq!(candidates[0].digest(), Some(new.digest()), "but a newcomer does");
    let mut host = RunningHost::start(&directory([file(&new), dangling(&new)]), Config::default());
    assert_eq!(host.pass(&directory([file(&new), dangling(&new)])), []);
}

#[test]
fn other_content_under_the_name_that_serves_is_taken_over_only_if_that_is_allowed() {
    let [old, other] = ["old", "other"].map(|text| content("x", "1.0.0", &[2], text));
    let of = |content| directory([file(content), link(content)]);
    let mut host = RunningHost::start(&of(&old), Config::default());
    let (serving, others) = host.pass_with(&of(&other));
    assert_eq!(serving, serves("1.0.0"));
    assert_eq!(
        host.sonames.served("libx.so.1").map(|served| served.key.digest),
        Some(old.digest())
    );
    let expected = OtherContent {
        soname: "libx.so.1".to_owned(),
        file: "libx.so.1.0.0".to_owned(),
        running: old.digest(),
        found: other.digest(),
    };
    assert_eq!(others, [expected]);
    host.config.plugins.replace = Replace::Allow;
    let (_, others) = host.pass_with(&of(&other));
    assert_eq!(others, []);
    assert_eq!(
        host.sonames.served("libx.so.1").map(|served| served.key.digest),
        Some(other.digest())
    );
}

#[test]
fn a_newcomer_that_fails_leaves_the_old_one_alone() {
    let [old, new] = ["1.0.0", "1.1.0"].map(|version| plugin("x", version, &[2]));
    let mut host = RunningHost::start(&directory([file(&old), link(&old)]), Config::default());
    let both = directory([file(&old), file(&new), link(&old)]);
    host.tried.fail(new.digest(), refusal());
    assert_eq!(host.pass(&both), serves("1.0.0"));
    // A link by hand to it changes nothing either.
    assert_eq!(
        host.pass(&directory([file(&old), file(&new), link(&new)])),
        serves("1.0.0")
    );
    // It is still new when the configuration has changed.
    host.tried.forget_failures();
    assert_eq!(host.pass(&both), serves("1.1.0"));
}

#[test]
fn a_soname_is_its_link_s_package_s() {
    let [dash, underscore] = ["x-y", "x_y"].map(|name| plugin(name, "1.0.0", &[2]));
    let newer = plugin("x_y", "1.1.0", &[2]);
    let of = |survey: &Survey, host: &mut RunningHost| -> Vec<_> {
        let candidates = host.desired(survey).candidates.into_iter();
        candidates
            .map(|candidate| (candidate.plugin, candidate.desired.map(|admitted| admitted.digest())))
            .collect()
    };
    let mut host = RunningHost::start(&directory([file(&dash), link(&dash)]), Config::default());
    let one = |plugin: &str, desired| (plugin.to_owned(), desired);
    let beside = directory([link(&dash), file(&newer), short_name(&dash)]);
    assert_eq!(
        of(&beside, &mut host),
        [one("x-y", Ok(dash.digest())), one("x_y", Err(NoVersion::NameTaken))]
    );
    let moved = directory([file(&underscore), link(&underscore)]);
    assert_eq!(
        of(&moved, &mut host),
        [one("x-y", Err(NoVersion::Removed)), one("x_y", Ok(underscore.digest()))]
    );
    // While the link is missing for a moment, or damaged, no other package has the soname.
    for damaged in [None, Some(dangling(&dash))] {
        let entries = [short_name(&dash), file(&newer)].into_iter().chain(damaged);
        assert_eq!(
            of(&directory(entries), &mut host),
            [one("x-y", Ok(dash.digest())), one("x_y", Err(NoVersion::NameTaken))]
        );
    }
    // What it was moved to does not come up.
    let moved = directory([short_name(&dash), link(&newer), file(&newer)]);
    assert_eq!(
        of(&moved, &mut host),
        [one("x-y", Err(NoVersion::NameTaken)), one("x_y", Ok(newer.digest()))]
    );
    host.tried.fail(newer.digest(), refusal());
    assert_eq!(
        of(&moved, &mut host),
        [one("x-y", Ok(dash.digest())), one("x_y", Err(NoVersion::Failed))]
    );
}
