//! Plugins come, change and go while the host runs: what is dropped in is served, a higher version takes over, a link moved
//! by hand is obeyed, and nothing that is wrong with a newcomer touches what serves.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use tests::bad::Bad;
use tests::cargo::sample;
use tests::client::Client;
use tests::files::{fifo, with_record};
use tests::follow::quiet;
use tests::host::{Site, show};
use tests::scene::{NAME, SONAME, bring, lived, made, point};
use tests::swaps::{constructed, real_name, start};

fn file(site: &Site, version: &str) -> PathBuf {
    site.plugins().join(real_name(NAME, version))
}

fn answers(client: &mut Client) -> bool {
    client.submit(0x10, b"").result == 0
}

// Long: one story, whose steps need each other.
#[test]
fn a_plugin_is_added_upgraded_rolled_back_and_taken_away() {
    let site = Site::new("");
    let host = start(&site);
    let mut client = host.connect();
    assert!(!answers(&mut client), "nothing is there yet");

    bring(&site, NAME, "1.0.0");
    let added = host.wait_for_change_where("added", "version", "1.0.0");
    assert!(answers(&mut client));
    assert_eq!(site.link(SONAME).unwrap(), "libhot_probe.so.1.0.0");
    for phase in ["settle_ms", "admit_ms", "load_ms", "init_ms", "publish_ms"] {
        assert!(added[phase].is_f64(), "{phase}: {added:#}");
    }

    bring(&site, NAME, "1.1.0");
    let upgraded = host.wait_for_change_where("upgraded", "version", "1.1.0");
    assert_eq!(
        (&upgraded["from_version"], &upgraded["from_digest"]),
        (&"1.0.0".into(), &added["digest"])
    );
    assert!(answers(&mut client));
    assert_eq!(site.link(SONAME).unwrap(), "libhot_probe.so.1.1.0");
    assert_eq!(
        host.wait_for_change_where("drained", "version", "1.0.0")["then"],
        "standby"
    );

    // Back, and forward again: nobody is initialised a second time.
    point(&site, "1.0.0");
    host.wait_for_change_where("rolled-back", "version", "1.0.0");
    point(&site, "1.1.0");
    host.wait_for_nth_change("upgraded", 2);
    assert!(answers(&mut client));
    assert_eq!(lived(&site), ["init", "init"]);
    assert_eq!(constructed(&site).len(), 2);

    // A standby whose file goes is shut down, and nobody else.
    fs::remove_file(file(&site, "1.0.0")).unwrap();
    let retired = host.wait_for_change_where("retired", "version", "1.0.0");
    assert_eq!(retired["reason"], "its file is gone, or has other content");
    assert_eq!(lived(&site), ["init", "init", "shutdown", "drop"]);
    assert!(answers(&mut client));

    // No link, no route; the link again, the route again.
    fs::remove_file(site.plugins().join(SONAME)).unwrap();
    assert_eq!(
        host.wait_for_change_where("removed", "version", "1.1.0")["reason"],
        "its link is gone"
    );
    assert!(!answers(&mut client));
    let retired = host.wait_for_change_where("retired", "version", "1.1.0");
    assert_eq!(retired["reason"], "it was taken away: nothing of it serves any more");
    point(&site, "1.1.0");
    host.wait_for_nth_change("added", 2);
    assert!(answers(&mut client));

    let log = host.stop();
    let both = ["init", "init", "shutdown", "drop", "shutdown", "drop"];
    assert_eq!(
        lived(&site),
        [&both[..], &["init", "shutdown", "drop"]].concat(),
        "{}",
        show(&log)
    );
}

#[test]
fn a_re_sent_old_file_undoes_no_roll_back_and_a_lower_version_takes_nothing_over() {
    let site = Site::new("");
    bring(&site, NAME, "1.1.0");
    bring(&site, NAME, "1.2.0");
    let host = start(&site);
    assert_eq!(site.link(SONAME).unwrap(), "libhot_probe.so.1.2.0");
    point(&site, "1.1.0");
    host.wait_for_change_where("rolled-back", "version", "1.1.0");

    fs::copy(made(&site, NAME, "1.2.0", 0x10), file(&site, "1.2.0")).unwrap();
    bring(&site, NAME, "1.0.0");
    quiet(&host, 0);
    assert_eq!(site.link(SONAME).unwrap(), "libhot_probe.so.1.1.0");
    assert!(host.changes("upgraded").is_empty());

    // What is really new takes over.
    bring(&site, NAME, "1.3.0");
    host.wait_for_change_where("upgraded", "version", "1.3.0");
    host.stop();
}

#[test]
fn what_is_removed_whole_and_brought_again_serves_again() {
    let site = Site::new("");
    bring(&site, NAME, "1.0.0");
    let host = start(&site);
    let again = made(&site, NAME, "1.0.0", 0x10);
    // Within a moment, as a redeployment does it: the host may never see the directory without the file.
    fs::remove_file(site.plugins().join(SONAME)).unwrap();
    fs::remove_file(file(&site, "1.0.0")).unwrap();
    fs::copy(&again, file(&site, "1.0.0")).unwrap();
    quiet(&host, 0);
    assert!(answers(&mut host.connect()), "{}", show(&host.log()));
    assert_eq!(site.link(SONAME).unwrap(), "libhot_probe.so.1.0.0");

    // The link alone: that is the operator's decision, and the file of before does not undo it.
    let removals = host.changes("removed").len();
    fs::remove_file(site.plugins().join(SONAME)).unwrap();
    host.wait_for_status("its removal", |_| {
        (host.changes("removed").len() > removals).then_some(())
    });
    quiet(&host, 0);
    assert!(!answers(&mut host.connect()));
    host.stop();
}

#[test]
fn a_version_whose_old_handler_ends_slowly_is_waited_for_without_holding_up_others() {
    let site = Site::new("[plugin.hot-probe.config]\nhang_at_end = true\n");
    bring(&site, NAME, "1.0.0");
    bring(&site, NAME, "1.1.0");
    let host = start(&site);
    point(&site, "1.0.0");
    host.wait_for_change_where("rolled-back", "version", "1.0.0");
    host.wait_for_change_where("drained", "version", "1.1.0");
    // Its shutdown never returns; and then it is wanted again.
    fs::remove_file(file(&site, "1.1.0")).unwrap();
    host.wait_until("its shutdown", |_| {
        (lived(&site).contains(&"shutdown".to_owned())).then_some(())
    });
    bring(&site, NAME, "1.1.0");
    point(&site, "1.1.0");
    quiet(&host, 0);
    assert!(answers(&mut host.connect()), "1.0.0 goes on");
    site.install(&sample("submit-echo"));
    host.wait_for_change_where("added", "plugin", "submit-echo");
    host.signal(Signal::TERM);
    host.wait_for("stopping");
    host.signal(Signal::TERM);
    host.wait();
}

#[test]
fn a_newcomer_that_is_no_good_leaves_what_serves_alone() {
    // Its table has submit-echo win over those that nobody asked for.
    let site = Site::new("plugins.init_timeout = \"60s\"\n[plugin.submit-echo]\n");
    bring(&site, NAME, "1.0.0");
    let host = start(&site);
    let mut client = host.connect();

    // Refused in admission, at load, and by its command.
    with_record(&made(&site, NAME, "1.1.0", 0x10), &file(&site, "1.1.0"), |record| {
        record.panic = "abort".into()
    });
    let no_entry = Bad {
        path: made(&site, NAME, "1.2.0", 0x10),
    };
    no_entry.replace(b"HOST_PLUGIN_ENTRY", b"HOST_PLUGIN_OTHER");
    fs::rename(no_entry.path, file(&site, "1.2.0")).unwrap();
    site.install(&sample("submit-echo"));
    host.wait_for_change_where("added", "version", "1.1.0");
    with_record(&made(&site, NAME, "1.3.0", 0x10), &file(&site, "1.3.0"), |record| {
        record.commands = vec![0x02, 0x10]
    });
    for code in ["abi-panic", "load-entry", "command-taken"] {
        host.wait_for_change_where("refused", "code", code);
        assert!(answers(&mut client), "{code}");
    }
    quiet(&host, 0);
    assert_eq!(site.link(SONAME).unwrap(), "libhot_probe.so.1.0.0");
    assert_eq!(lived(&site), ["init"]);

    // Each reason is told once, however often the directory is looked at.
    quiet(&host, 0);
    let refusals = host.changes("refused");
    for code in ["abi-panic", "command-taken"] {
        let told = refusals
            .iter()
            .filter(|refusal| refusal["refusal"]["code"] == code)
            .count();
        assert_eq!(told, 1, "{code}: {refusals:#?}");
    }

    // Mended, it loads.
    fs::remove_file(file(&site, "1.2.0")).unwrap();
    bring(&site, NAME, "1.1.0");
    host.wait_for_change_where("upgraded", "version", "1.1.0");
    assert!(answers(&mut client));
    host.stop();
}

#[test]
fn an_init_that_fails_panics_or_never_returns_changes_nothing() {
    for (config, code) in [
        ("fail = true", "load-init"),
        ("panic = true", "load-init"),
        ("pipe = \"PIPE\"", "load-timeout"),
    ] {
        let site = Site::new("plugins.init_timeout = \"2s\"\n");
        let pipe = fifo(&site.path().join("pipe"));
        bring(&site, NAME, "1.0.0");
        let host = start(&site);
        let mut client = host.connect();
        let table = format!(
            "[plugin.hot-probe.config]\n{}\n",
            config.replace("PIPE", pipe.to_str().unwrap())
        );
        site.configure(&format!("plugins.init_timeout = \"2s\"\n{table}"));
        host.wait_for_change_where("refused", "code", code);
        assert!(answers(&mut client), "{config}");
        assert!(host.changes("reconfigured").is_empty(), "{config}");
        // A newcomer under that configuration fares no better.
        bring(&site, NAME, "1.1.0");
        host.wait_until("both", |log| {
            (log.iter().filter(|line| line["code"] == code).count() > 1).then_some(())
        });
        assert!(answers(&mut client), "{config}");
        assert_eq!(site.link(SONAME).unwrap(), "libhot_probe.so.1.0.0");
        // Mended, both come in: a new instance first, or the new version at once.
        site.configure("plugins.init_timeout = \"2s\"\n");
        host.wait_for_change_where("upgraded", "version", "1.1.0");
        assert!(answers(&mut client), "{config}");
        host.stop();
    }
}

#[test]
fn the_configuration_is_followed_and_a_broken_one_changes_nothing() {
    let site = Site::new("");
    bring(&site, NAME, "1.0.0");
    let host = start(&site);
    let mut client = host.connect();
    let mut body = |command| {
        let ack = client.submit(command, b"");
        (ack.result == 0).then_some(ack.body)
    };
    assert_eq!(body(0x10), Some(0u32.to_be_bytes().to_vec()));

    site.configure("[plugin.hot-probe.config]\nnumber = 7\n");
    host.wait_for_change_where("reconfigured", "version", "1.0.0");
    assert_eq!(body(0x10), Some(7u32.to_be_bytes().to_vec()));
    assert_eq!(
        host.wait_for_change_where("drained", "version", "1.0.0")["then"],
        "shutdown"
    );
    assert_eq!(
        host.wait_for_change_where("retired", "version", "1.0.0")["reason"],
        "its configuration is another one"
    );
    assert_eq!(lived(&site), ["init", "init", "shutdown", "drop"]);
    assert_eq!(constructed(&site).len(), 1, "the library is the same");

    site.configure("[plugin.hot-probe]\ncommands = [0x20]\nconfig.number = 7\n");
    host.wait_for_change_where("other-commands", "version", "1.0.0");
    assert_eq!((body(0x10), body(0x20)), (None, Some(7u32.to_be_bytes().to_vec())));

    site.configure("[plugin.hot-probe]\ncomands = [0x20]\n");
    let broken = host.wait_for_change("configuration-refused");
    assert!(broken["error"].as_str().unwrap().contains("comands"), "{broken:#}");
    assert!(body(0x20).is_some());

    site.configure("[plugin.hot-probe]\nenabled = false\n");
    host.wait_for_change_where("removed", "version", "1.0.0");
    assert_eq!(body(0x20), None);

    site.configure("server.listen = \"127.0.0.1:1\"\n");
    let restart = host.wait_for_change("next-start");
    assert_eq!(restart["key"], "server.listen");
    host.wait_for_change_where("added", "version", "1.0.0");
    assert!(body(0x10).is_some());
    host.stop();
}
