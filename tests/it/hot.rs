//! Plugins come, change and go while the host runs: what is dropped in is served, a higher version takes over, a link moved
//! by hand is obeyed, and nothing that is wrong with a newcomer touches what serves.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tests::cargo::{run, sample};
use tests::client::Client;
use tests::crates::{journal, life, lines};
use tests::files::{with_identity, with_record};
use tests::follow::quiet;
use tests::host::{Host, Site, show};

const SONAME: &str = "libhot_probe.so.1";

/// A directory, a plugin with a journal, and a host that runs on them.
struct Scene {
    site: Site,
    library: PathBuf,
}

impl Scene {
    fn new(configuration: &str) -> Scene {
        Scene {
            site: Site::new(configuration),
            library: journal("hot-probe").library(),
        }
    }

    /// The plugin as that version, beside the plugin directory: on the same file system, to be moved there.
    fn version(&self, version: &str) -> PathBuf {
        let path = self.site.path().join(format!("libhot_probe.so.{version}"));
        with_identity(&self.library, &path, "hot-probe", version);
        path
    }

    /// A finished file comes by a rename.
    fn drop_in(&self, version: &str) -> PathBuf {
        let file = self.version(version);
        let target = self.file(version);
        fs::rename(file, &target).unwrap();
        target
    }

    fn file(&self, version: &str) -> PathBuf {
        self.site.plugins().join(format!("libhot_probe.so.{version}"))
    }

    fn link(&self) -> PathBuf {
        self.site.plugins().join(SONAME)
    }

    fn link_says(&self) -> String {
        fs::read_link(self.link()).unwrap().to_str().unwrap().to_owned()
    }

    /// Points the link by a rename, as careful people do.
    fn point(&self, version: &str) {
        let new = self.site.plugins().join(".new");
        symlink(format!("libhot_probe.so.{version}"), &new).unwrap();
        fs::rename(new, self.link()).unwrap();
    }

    /// With the constructor's journal.
    fn start(&self) -> Host {
        let constructed = self.site.path().join("constructed");
        let host = self.site.spawn(&[("CONSTRUCTED", constructed.to_str().unwrap())]);
        host.wait_for("listening");
        host
    }

    fn constructed(&self) -> usize {
        lines(&self.site.path().join("constructed")).len()
    }

    fn life(&self) -> Vec<String> {
        life(&self.site.plugins(), "hot-probe")
    }
}

/// The next event of that kind about that version.
#[track_caller]
fn wait(host: &Host, message: &str, version: &str) -> Value {
    host.wait_until(&format!("{message} {version}"), |log| {
        let is_it = |line: &&Value| line["message"] == message && line["version"] == version;
        log.iter().find(is_it).cloned()
    })
}

#[track_caller]
fn wait_for_nth(host: &Host, message: &str, count: usize) -> Value {
    host.wait_until(&format!("{count} of {message}"), |log| {
        log.iter()
            .filter(|line| line["message"] == message)
            .nth(count - 1)
            .cloned()
    })
}

fn answers(client: &mut Client) -> bool {
    client.submit(0x10, b"").result == 0
}

#[test]
fn a_plugin_is_added_upgraded_rolled_back_and_taken_away() {
    let scene = Scene::new("");
    let host = scene.start();
    let mut client = host.connect();
    assert!(!answers(&mut client), "nothing is there yet");

    scene.drop_in("1.0.0");
    let added = wait(&host, "added", "1.0.0");
    assert!(answers(&mut client));
    assert_eq!(scene.link_says(), "libhot_probe.so.1.0.0");
    for phase in ["settle_ms", "admit_ms", "load_ms", "init_ms", "publish_ms"] {
        assert!(added[phase].is_f64(), "{phase}: {added:#}");
    }

    scene.drop_in("1.1.0");
    let upgraded = wait(&host, "upgraded", "1.1.0");
    assert_eq!(
        (&upgraded["from_version"], &upgraded["from_digest"]),
        (&"1.0.0".into(), &added["digest"])
    );
    assert!(answers(&mut client));
    assert_eq!(scene.link_says(), "libhot_probe.so.1.1.0");
    assert_eq!(wait(&host, "drained", "1.0.0")["then"], "standby");

    // Back, and forward again: nobody is initialised a second time.
    scene.point("1.0.0");
    wait(&host, "rolled back", "1.0.0");
    scene.point("1.1.0");
    wait_for_nth(&host, "upgraded", 2);
    assert!(answers(&mut client));
    assert_eq!(scene.life(), ["init", "init"]);
    assert_eq!(scene.constructed(), 2);

    // A standby whose file goes is shut down, and nobody else.
    fs::remove_file(scene.file("1.0.0")).unwrap();
    let retired = wait(&host, "retired", "1.0.0");
    assert_eq!(retired["reason"], "its file is gone, or has other content");
    assert_eq!(scene.life(), ["init", "init", "shutdown", "drop"]);
    assert!(answers(&mut client));

    // No link, no route; the link again, the route again.
    fs::remove_file(scene.link()).unwrap();
    assert_eq!(wait(&host, "removed", "1.1.0")["reason"], "its link is gone");
    assert!(!answers(&mut client));
    let retired = wait(&host, "retired", "1.1.0");
    assert_eq!(retired["reason"], "it was taken away: nothing of it serves any more");
    scene.point("1.1.0");
    wait_for_nth(&host, "added", 2);
    assert!(answers(&mut client));

    let log = host.stop();
    let both = ["init", "init", "shutdown", "drop", "shutdown", "drop"];
    assert_eq!(
        scene.life(),
        [&both[..], &["init", "shutdown", "drop"]].concat(),
        "{}",
        show(&log)
    );
}

#[test]
fn a_re_sent_old_file_undoes_no_roll_back_and_a_lower_version_takes_nothing_over() {
    let scene = Scene::new("");
    scene.drop_in("1.1.0");
    scene.drop_in("1.2.0");
    let host = scene.start();
    assert_eq!(scene.link_says(), "libhot_probe.so.1.2.0");
    scene.point("1.1.0");
    wait(&host, "rolled back", "1.1.0");

    fs::copy(scene.version("1.2.0"), scene.file("1.2.0")).unwrap();
    scene.drop_in("1.0.0");
    quiet(&host, 0);
    assert_eq!(scene.link_says(), "libhot_probe.so.1.1.0");
    assert!(host.events("upgraded").is_empty());

    // What is really new takes over.
    scene.drop_in("1.3.0");
    wait(&host, "upgraded", "1.3.0");
    host.stop();
}

#[test]
fn what_is_removed_whole_and_brought_again_serves_again() {
    let scene = Scene::new("");
    scene.drop_in("1.0.0");
    let host = scene.start();
    let again = scene.version("1.0.0");
    // Within a moment, as a redeployment does it: the host may never see the directory without the file.
    fs::remove_file(scene.link()).unwrap();
    fs::remove_file(scene.file("1.0.0")).unwrap();
    fs::copy(&again, scene.file("1.0.0")).unwrap();
    quiet(&host, 0);
    assert!(answers(&mut host.connect()), "{}", show(&host.log()));
    assert_eq!(scene.link_says(), "libhot_probe.so.1.0.0");

    // The link alone: that is a wish, and the file of before does not undo it.
    let removals = host.events("removed").len();
    fs::remove_file(scene.link()).unwrap();
    wait_for_nth(&host, "removed", removals + 1);
    quiet(&host, 0);
    assert!(!answers(&mut host.connect()));
    host.stop();
}

#[test]
fn a_version_whose_old_handler_ends_slowly_is_waited_for_without_holding_up_others() {
    let scene = Scene::new("[plugin.hot-probe.config]\nhang_at_end = true\n");
    scene.drop_in("1.0.0");
    scene.drop_in("1.1.0");
    let host = scene.start();
    scene.point("1.0.0");
    wait(&host, "rolled back", "1.0.0");
    wait(&host, "drained", "1.1.0");
    // Its shutdown never returns; and then it is wanted again.
    fs::remove_file(scene.file("1.1.0")).unwrap();
    host.wait_until("its shutdown", |_| {
        (scene.life().contains(&"shutdown".to_owned())).then_some(())
    });
    scene.drop_in("1.1.0");
    scene.point("1.1.0");
    quiet(&host, 0);
    assert!(answers(&mut host.connect()), "1.0.0 goes on");
    scene.site.install(&sample("submit-echo"));
    host.wait_until("another plugin", |log| {
        let is_it = |line: &&Value| line["message"] == "added" && line["plugin"] == "submit-echo";
        log.iter().find(is_it).cloned()
    });
    host.signal(Signal::TERM);
    host.wait_for("stopping");
    host.signal(Signal::TERM);
    host.wait();
}

#[test]
fn a_file_whose_end_nobody_heard_of_is_judged_all_the_same() {
    let scene = Scene::new("");
    scene.drop_in("1.0.0");
    let host = scene.start();
    let whole = fs::read(scene.version("1.1.0")).unwrap();
    let mut file = File::create(scene.file("1.1.0")).unwrap();
    file.write_all(&whole[..1000]).unwrap();
    scene.site.configure("plugins.watch = false\n");
    host.wait_for("configuration reread");
    file.write_all(&whole[1000..]).unwrap();
    drop(file);
    quiet(&host, 0);
    wait(&host, "upgraded", "1.1.0");
    host.stop();
}

#[test]
fn a_newcomer_that_is_no_good_leaves_what_serves_alone() {
    // Its table has submit-echo win over those that nobody asked for.
    let scene = Scene::new("plugins.init_timeout = \"60s\"\n[plugin.submit-echo]\n");
    scene.drop_in("1.0.0");
    let host = scene.start();
    let mut client = host.connect();

    // Refused in admission, at load, and by its command.
    with_record(&scene.version("1.1.0"), &scene.file("1.1.0"), |record| {
        record.panic = "abort".into()
    });
    let no_entry = scene.version("1.2.0");
    let bytes = fs::read(&no_entry).unwrap();
    fs::write(
        scene.file("1.2.0"),
        replaced(bytes, b"HOST_PLUGIN_ENTRY", b"HOST_PLUGIN_OTHER"),
    )
    .unwrap();
    scene.site.install(&sample("submit-echo"));
    wait(&host, "added", "1.1.0");
    with_record(&scene.version("1.3.0"), &scene.file("1.3.0"), |record| {
        record.commands = vec![0x02, 0x10]
    });
    for code in ["abi-panic", "load-entry", "command-taken"] {
        host.wait_until(code, |log| log.iter().find(|line| line["code"] == code).cloned());
        assert!(answers(&mut client), "{code}");
    }
    quiet(&host, 0);
    assert_eq!(scene.link_says(), "libhot_probe.so.1.0.0");
    assert_eq!(scene.life(), ["init"]);

    // Each reason is told once, however often the directory is looked at.
    quiet(&host, 0);
    let refusals = host.events("refused");
    for code in ["abi-panic", "command-taken"] {
        let told = refusals.iter().filter(|refusal| refusal["code"] == code).count();
        assert_eq!(told, 1, "{code}: {refusals:#?}");
    }

    // Mended, it loads.
    fs::remove_file(scene.file("1.2.0")).unwrap();
    scene.drop_in("1.1.0");
    wait(&host, "upgraded", "1.1.0");
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
        let scene = Scene::new("plugins.init_timeout = \"2s\"\n");
        let pipe = scene.site.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        scene.drop_in("1.0.0");
        let host = scene.start();
        let mut client = host.connect();
        let table = format!(
            "[plugin.hot-probe.config]\n{}\n",
            config.replace("PIPE", pipe.to_str().unwrap())
        );
        scene.site.configure(&format!("plugins.init_timeout = \"2s\"\n{table}"));
        host.wait_until(code, |log| log.iter().find(|line| line["code"] == code).cloned());
        assert!(answers(&mut client), "{config}");
        assert!(host.events("reconfigured").is_empty(), "{config}");
        // A newcomer under that configuration fares no better.
        scene.drop_in("1.1.0");
        host.wait_until("both", |log| {
            (log.iter().filter(|line| line["code"] == code).count() > 1).then_some(())
        });
        assert!(answers(&mut client), "{config}");
        assert_eq!(scene.link_says(), "libhot_probe.so.1.0.0");
        // Mended, both come in: a new instance first, or the new version at once.
        scene.site.configure("plugins.init_timeout = \"2s\"\n");
        wait(&host, "upgraded", "1.1.0");
        assert!(answers(&mut client), "{config}");
        host.stop();
    }
}

#[test]
fn however_a_file_is_delivered_it_is_judged_once_and_whole() {
    let deliveries: &[(&str, &str)] = &[
        ("cp", "cp FROM plugins/NAME"),
        (
            "cp in pieces",
            "exec 3> plugins/NAME; head -c 100000 FROM >&3; read line < pipe; tail -c +100001 FROM >&3",
        ),
        ("mv", "mv FROM plugins/NAME"),
        ("install", "install -m 755 FROM plugins/NAME"),
        (
            "a temporary name and a rename",
            "cp FROM plugins/.NAME.x7Gq && mv plugins/.NAME.x7Gq plugins/NAME",
        ),
        ("tar", "ln FROM NAME; tar c NAME | tar x -C plugins"),
        ("a hard link", "ln FROM plugins/NAME"),
        (
            "a folder exchanged by a link",
            "mkdir plugins/..1 && cp FROM plugins/..1/NAME && ln -s ..1 plugins/..tmp && mv -T plugins/..tmp plugins/..data && ln -s ..data/NAME plugins/NAME",
        ),
    ];
    let scene = Scene::new("plugins.poll = \"200ms\"\n");
    scene.drop_in("1.0.0");
    let host = scene.start();
    for (number, (what, command)) in deliveries.iter().enumerate() {
        let version = format!("1.{}.0", number + 1);
        let from = scene.version(&version);
        // A file of one's own, not the name that `tar` makes.
        let moved = scene.site.path().join("from");
        fs::rename(from, &moved).unwrap();
        let name = format!("libhot_probe.so.{version}");
        let line = command.replace("FROM", "from").replace("NAME", &name);
        let pipe = scene.site.path().join("pipe");
        let _ = fs::remove_file(&pipe);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        let mut shell = Command::new("sh");
        shell
            .current_dir(scene.site.path())
            .args(["-c", &format!("set -e; {line}")]);
        if command.contains("pipe") {
            let mut child = shell.spawn().unwrap();
            // Half of it is there while the host looks twice; then the rest may come.
            while !fs::metadata(scene.file(&version)).is_ok_and(|file| file.len() == 100_000) {
                std::thread::yield_now();
            }
            let seen = host.events("configuration reread").len();
            host.signal(Signal::HUP);
            wait_for_nth(&host, "configuration reread", seen + 1);
            File::options()
                .write(true)
                .open(&pipe)
                .unwrap()
                .write_all(b"on\n")
                .unwrap();
            assert!(child.wait().unwrap().success());
        } else {
            assert!(run(&mut shell).status.success(), "{what}");
        }
        wait(&host, "upgraded", &version);
        assert_eq!(scene.link_says(), name, "{what}");
        let _ = fs::remove_file(&moved);
        let _ = fs::remove_file(scene.site.path().join(&name));
    }
    // `ln -sfn` removes the link before it makes the new one.
    assert!(
        run(Command::new("ln")
            .current_dir(scene.site.plugins())
            .args(["-sfn", "libhot_probe.so.1.0.0", SONAME]))
        .status
        .success()
    );
    wait(&host, "rolled back", "1.0.0");
    let log = host.stop();
    for message in ["refused", "removed"] {
        assert!(!log.iter().any(|line| line["message"] == message), "{}", show(&log));
    }
    assert_eq!(scene.constructed(), deliveries.len() + 1);
}

#[test]
fn damage_is_no_wish() {
    let scene = Scene::new("plugins.poll = \"200ms\"\n");
    scene.drop_in("1.0.0");
    let host = scene.start();
    let mut client = host.connect();
    let file = scene.file("1.0.0");
    let good = fs::read(&file).unwrap();
    type Step = (&'static str, fn(&Path));
    let steps: &[Step] = &[
        ("cut off", |file| {
            File::options().write(true).open(file).unwrap().set_len(1000).unwrap()
        }),
        ("emptied", |file| fs::write(file, b"").unwrap()),
        ("overwritten", |file| fs::write(file, b"nonsense").unwrap()),
        ("deleted", |file| fs::remove_file(file).unwrap()),
    ];
    for (what, spoil) in steps {
        spoil(&file);
        quiet(&host, 0);
        assert!(answers(&mut client), "{what}");
        fs::write(&file, &good).unwrap();
    }
    quiet(&host, 0);
    assert!(answers(&mut client));
    assert_eq!(scene.life(), ["init"]);
    for message in ["removed", "upgraded", "added", "replaced"] {
        assert!(host.events(message).is_empty(), "{message}:\n{}", show(&host.log()));
    }
    host.stop();
}

#[test]
fn other_content_under_a_name_that_serves_is_told_and_taken_over_only_where_that_is_allowed() {
    let scene = Scene::new("");
    scene.drop_in("1.0.0");
    let host = scene.start();
    let mut client = host.connect();
    // What serves under a shorter name as well, so that its content stays in the directory.
    fs::copy(scene.file("1.0.0"), scene.site.plugins().join("libhot_probe.so.1.0")).unwrap();
    quiet(&host, 0);
    let mut other = fs::read(scene.file("1.0.0")).unwrap();
    other.extend(b"more");
    fs::write(scene.file("1.0.0"), &other).unwrap();
    let told = host.wait_for("other content");
    assert_ne!(told["running"], told["found"], "{told:#}");
    let (code, report) = scene.site.check(&[]);
    let refusal = &report["plugins"][0]["refusal"];
    assert_eq!((code, &refusal["code"]), (1, &"other-content".into()), "{report:#}");
    for (key, digest) in [("host", &told["running"]), ("plugin", &told["found"])] {
        let text = refusal[key].as_str().unwrap();
        assert!(text.ends_with(digest.as_str().unwrap()), "{refusal:#}");
    }
    quiet(&host, 0);
    assert_eq!(host.events("other content").len(), 1);
    assert!(host.events("replaced").is_empty());
    assert_eq!(scene.life(), ["init"]);

    // Nor where the file was away for a while.
    fs::remove_file(scene.site.plugins().join("libhot_probe.so.1.0")).unwrap();
    quiet(&host, 0);
    fs::remove_file(scene.file("1.0.0")).unwrap();
    quiet(&host, 0);
    fs::write(scene.file("1.0.0"), &other).unwrap();
    quiet(&host, 0);
    assert!(host.events("replaced").is_empty(), "{}", show(&host.log()));

    scene.site.configure("plugins.replace = \"allow\"\n");
    let replaced = wait(&host, "replaced", "1.0.0");
    assert_eq!(
        (&replaced["from_digest"], &replaced["digest"]),
        (&told["running"], &told["found"])
    );
    assert!(answers(&mut client));
    host.stop();
}

#[test]
fn the_configuration_is_followed_and_a_broken_one_changes_nothing() {
    let scene = Scene::new("");
    scene.drop_in("1.0.0");
    let host = scene.start();
    let mut client = host.connect();
    let mut body = |command| {
        let ack = client.submit(command, b"");
        (ack.result == 0).then_some(ack.body)
    };
    assert_eq!(body(0x10), Some(0u32.to_be_bytes().to_vec()));

    scene.site.configure("[plugin.hot-probe.config]\nnumber = 7\n");
    wait(&host, "reconfigured", "1.0.0");
    assert_eq!(body(0x10), Some(7u32.to_be_bytes().to_vec()));
    assert_eq!(wait(&host, "drained", "1.0.0")["then"], "shutdown");
    assert_eq!(
        wait(&host, "retired", "1.0.0")["reason"],
        "its configuration is another one"
    );
    assert_eq!(scene.life(), ["init", "init", "shutdown", "drop"]);
    assert_eq!(scene.constructed(), 1, "the library is the same");

    scene
        .site
        .configure("[plugin.hot-probe]\ncommands = [0x20]\nconfig.number = 7\n");
    wait(&host, "other commands", "1.0.0");
    assert_eq!((body(0x10), body(0x20)), (None, Some(7u32.to_be_bytes().to_vec())));

    scene.site.configure("[plugin.hot-probe]\ncomands = [0x20]\n");
    let broken = host.wait_for("configuration unusable, the running one stays");
    assert!(broken["error"].as_str().unwrap().contains("comands"), "{broken:#}");
    assert!(body(0x20).is_some());

    scene.site.configure("[plugin.hot-probe]\nenabled = false\n");
    wait(&host, "removed", "1.0.0");
    assert_eq!(body(0x20), None);

    scene.site.configure("server.listen = \"127.0.0.1:1\"\n");
    let restart = host.wait_for("takes effect at the next start");
    assert_eq!(restart["key"], "server.listen");
    wait(&host, "added", "1.0.0");
    assert!(body(0x10).is_some());
    host.stop();
}

fn replaced(mut bytes: Vec<u8>, old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let places: Vec<usize> = (0..bytes.len() - old.len())
        .filter(|at| bytes[*at..].starts_with(old))
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + new.len()].copy_from_slice(new);
    }
    bytes
}
