//! `check --load` opens what is admitted, in a process of its own: what only that can tell is shown like any
//! refusal, and no plugin's code can harm the check or hide another plugin's faults.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;
use tests::bad::Bad;
use tests::cargo::sample;
use tests::crates::{PluginCrate, source};
use tests::host::Site;
use tests::native::{c_library, linked};
use tests::report::{codes, named};

/// A constructor that does what the variable TRIAL says.
const CONSTRUCTOR: &str = r#"
unsafe extern "C" { fn close(file: i32) -> i32; }

#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static CONSTRUCTOR: extern "C" fn() = construct;

extern "C" fn construct() {
    match std::env::var("TRIAL").as_deref() {
        Ok("print") => println!("{{\"files\": \"none of your business\"}}"),
        Ok("crash") => unsafe { std::ptr::null_mut::<u8>().write_volatile(1) },
        Ok("abort") => std::process::abort(),
        Ok("exit") => std::process::exit(0),
        Ok("hang") => loop { std::thread::park() },
        Ok("fork") => drop(std::process::Command::new("sleep").arg("600").spawn()),
        Ok("close") => unsafe { (3..100).for_each(|file| { close(file); }) },
        Ok("flood") => (0..100).for_each(|_| drop(std::fs::write("/dev/stdin", "garbage\n"))),
        _ => {}
    }
}
"#;

/// The plugin with that constructor.
pub(crate) fn constructor() -> PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let mut plugin = PluginCrate::new("trial-constructor");
        plugin.source = source(CONSTRUCTOR, "Ack::ok()");
        plugin.library()
    });
    library.clone()
}

// Long: a table of cases.
#[test]
fn what_only_opening_tells_is_shown_like_any_refusal() {
    let site = Site::new("[plugin.submit-echo.config]\nreply = \"maybe\"\n");
    let mut expected = BTreeMap::new();
    let mut bring = |library: &Path, name: &str, code: &'static str, found: &'static str| {
        expected.insert(site.copy(library, name), (code, found));
    };
    let undefined = linked(
        "trial-undefined",
        "unsafe extern \"C\" { safe fn nowhere(); }",
        "nowhere();",
        &[],
    );
    bring(
        &undefined,
        "libtrial_undefined.so.1.0.0",
        "load-open",
        "undefined symbol: nowhere",
    );
    bring(
        &missing_library(),
        "libtrial_missing.so.1.0.0",
        "load-open",
        "libtrial-gone.so: cannot open shared object file",
    );
    bring(
        &sample("submit-echo"),
        "libsubmit_echo.so.1.1.0",
        "load-config",
        "reply",
    );
    let layout = Bad::new(&site, &tests::bad::small(site.path()), "trial-layou", "lib?.so.1.1.0");
    layout.record(|record| record.commands = vec![0x50]);
    layout.replace(b"handle_batch;", b"answer_batch;");
    expected.insert(layout.path.clone(), ("load-layout", "plugin-api"));

    // Without --load: nothing to see.
    let (code, report) = site.check(&[]);
    assert_eq!(code, 0, "{report:#}");
    assert!(
        report["files"]
            .as_array()
            .unwrap()
            .iter()
            .all(|file| file["opened"] == false)
    );

    let good = site.copy(&sample("submit-log"), "libsubmit_log.so.1.0.0");
    let (code, report) = check(&site, "");
    assert_eq!(code, 1);
    for (file, (code, found)) in expected {
        let report = named(&report, &file);
        assert_eq!(
            (codes(report), &report["state"]),
            (vec![code], &"refused".into()),
            "{report:#}"
        );
        assert!(
            report["refusals"][0]["plugin"].as_str().unwrap().contains(found),
            "{report:#}"
        );
        assert_eq!(report["opened"], false);
    }
    let report = named(&report, &good);
    assert_eq!(
        (&report["state"], &report["opened"]),
        (&"serving".into(), &true.into()),
        "{report:#}"
    );
}

#[test]
fn start_up_code_that_crashes_exits_hangs_or_prints_harms_nobody() {
    let library = constructor();
    for (what, code, found) in [
        ("print", None, ""),
        ("crash", Some("load-crash"), "SIGSEGV"),
        ("abort", Some("load-crash"), "SIGABRT"),
        ("exit", Some("load-crash"), "exit status: 0"),
        ("hang", Some("load-timeout"), "no answer yet"),
        ("fork", None, ""),
        ("close", Some("load-crash"), "ended: "),
        ("flood", None, ""),
    ] {
        // Only what hangs is waited for to the end.
        let timeout = if what == "hang" { "1s" } else { "60s" };
        let site = Site::new(&format!("plugins.init_timeout = \"{timeout}\"\n"));
        let file = site.copy(&library, "libtrial_constructor.so.1.0.0");
        let (exit, report) = check(&site, what);
        let report = named(&report, &file);
        assert_eq!(
            codes(report),
            code.into_iter().collect::<Vec<_>>(),
            "{what}: {report:#}"
        );
        assert_eq!(exit, i32::from(code.is_some()), "{what}");
        assert_eq!(report["opened"], code.is_none(), "{what}");
        if code.is_some() {
            let text = |key: &str| report["refusals"][0][key].as_str().unwrap();
            assert!(text("plugin").contains(found), "{what}: {report:#}");
            // The plugin's own limit, not the one that the parent has for all.
            assert!(what != "hang" || text("host") == "an answer within 1s", "{report:#}");
        }
    }
}

#[test]
fn one_content_is_opened_once_and_a_table_for_people_says_so() {
    let site = Site::with("", &[&sample("submit-echo")]);
    let (code, stdout, stderr) = site.with_configuration(&["check", "--load"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert_eq!(
        stdout.matches("layout: same").count(),
        1,
        "the file and not the link: {stdout}"
    );
    // From elsewhere, and without a configuration.
    let output = site.host(&["check", "--load", sample("submit-log").to_str().unwrap()]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && stdout.contains("admitted; layout: same"),
        "{stdout}"
    );
}

/// What a start would not ask of a plugin, `check --load` does not either.
#[test]
fn the_configuration_is_the_one_that_a_start_would_give() {
    let wrong = "config.reply = \"maybe\"\n";
    for (what, configuration, codes_expected) in [
        ("serving", format!("[plugin.submit-echo]\n{wrong}"), vec!["load-config"]),
        (
            "disabled",
            format!("[plugin.submit-echo]\nenabled = false\n{wrong}"),
            vec![],
        ),
        (
            "in standby",
            format!("[plugin.submit-echo]\nversion = \"2\"\n{wrong}"),
            vec![],
        ),
    ] {
        let site = Site::new(&configuration);
        let file = site.copy(&sample("submit-echo"), "libsubmit_echo.so.1.1.0");
        let (_, report) = check(&site, "");
        assert_eq!(codes(named(&report, &file)), codes_expected, "{what}: {report:#}");
    }
}

/// Content-addressed stores have files without a plugin's name.
#[test]
fn a_link_to_a_file_of_another_name_is_opened_as_it_is_judged() {
    let site = Site::default();
    let (store, link) = (site.path().join("store-4711"), site.path().join("libsubmit_echo.so.1"));
    fs::copy(sample("submit-echo"), &store).unwrap();
    std::os::unix::fs::symlink(store, &link).unwrap();
    for arguments in [&["check"][..], &["check", "--load"]] {
        let output = site.host(&[arguments, &[link.to_str().unwrap()]].concat());
        assert!(output.status.success(), "{output:?}");
    }
}

/// Some containers and most chroots have none.
#[test]
fn libraries_are_tried_out_without_proc_as_well() {
    let site = Site::with("", &[&sample("submit-echo")]);
    let binary = tests::cargo::host_binary();
    let (folder, name) = (binary.parent().unwrap(), binary.file_name().unwrap());
    let check = |program: &str| {
        let inner = format!(
            "mount -t tmpfs none /proc && {program} check --load --json --plugins {}",
            site.configuration().display()
        );
        Command::new("unshare")
            .args(["-rm", "sh", "-c", &inner])
            .current_dir(folder)
            .env("XDG_RUNTIME_DIR", site.path().join("run"))
            .env(
                "PATH",
                format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()),
            )
            .output()
    };
    let Some(host) = site.spawn_with_mounts("mount -t tmpfs none /proc") else {
        return;
    };
    // It takes newcomers, too.
    host.wait_for("listening");
    site.install(&sample("submit-log"));
    host.wait_for_change("added");
    assert_eq!(host.connect().submit(0x02, b"").result, 0);
    host.stop();
    let name = name.to_str().unwrap();
    for program in [binary.to_str().unwrap(), &format!("./{name}"), name] {
        let output = check(program).unwrap();
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let files = report["files"].as_array().unwrap();
        assert!(files.iter().all(|file| file["opened"] == true), "{program}: {report:#}");
    }
}

/// A limit that is reached is the machine's, whichever step meets it, and says which that was. Root has no such limit.
#[test]
fn a_process_or_a_thread_that_cannot_be_started_is_no_verdict_on_a_file() {
    let site = Site::default();
    let file = site.copy(&sample("submit-log"), "libsubmit_log.so.1.0.0");
    let program = site.path().join("host");
    fs::copy(tests::cargo::host_binary(), &program).unwrap();
    let user = 54_321;
    let give = |path: &Path| std::os::unix::fs::chown(path, Some(user), None);
    let all = [site.path(), &site.path().join("run"), &site.plugins(), &file, &program];
    if all.into_iter().any(|path| give(path).is_err()) {
        eprintln!("SKIPPED: only root can start a host as another user");
        return;
    }
    let mut met = BTreeSet::new();
    for limit in 1.. {
        let output = Command::new("setpriv")
            .args([
                &format!("--reuid={user}"),
                "--clear-groups",
                "--inh-caps=-all",
                "prlimit",
            ])
            .arg(format!("--nproc={limit}"))
            .arg(&program)
            .args(["check", "--load", "--json", "--plugins"])
            .arg(site.configuration())
            .env("XDG_RUNTIME_DIR", site.path().join("run"))
            .current_dir(site.path())
            .output()
            .unwrap();
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let lack = &named(&report, &file)["unavailable"];
        if lack.is_null() {
            break; // enough for all that it starts
        }
        let text = |key: &str| lack[key].as_str().unwrap_or_else(|| panic!("{limit}: {report:#}"));
        let said = format!("could not start a {}", text("code"));
        assert!(
            text("found").starts_with(&said) && text("cure").starts_with("ulimit -u"),
            "{limit}: {report:#}"
        );
        met.insert(text("code").to_owned());
    }
    assert_eq!(met, ["process", "thread"].map(str::to_owned).into());
}

/// `check --load --json` with that mood of the constructor; nothing of a child's output may come between.
fn check(site: &Site, mood: &str) -> (i32, Value) {
    let output = site
        .command()
        .args(["check", "--load", "--json", "--plugins"])
        .arg(site.configuration())
        .env("TRIAL", mood)
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code().unwrap(), report)
}

/// A plugin that needs a library which is gone.
fn missing_library() -> PathBuf {
    let folder = TempDir::new().unwrap();
    c_library(&folder.path().join("libtrial-gone.so"), "void gone(void) {}\n", &[]);
    let search = format!("-L{}", folder.path().display());
    let items = "unsafe extern \"C\" { safe fn gone(); }";
    linked("trial-missing", items, "gone();", &[&search, "-ltrial-gone"])
}
